"""A web server that supports range requests, which http.server does not.

    python -m tests.io.web_server FOLDER    serves its files
    python -m tests.io.web_server 403       answers all requests with 403

It prints its port.
"""

import http.server
import pathlib
import re
import sys


class Files(http.server.BaseHTTPRequestHandler):
    """Serve files of a folder, whole or the requested byte range."""

    folder = pathlib.Path()

    def do_GET(self):
        path = self.folder / self.path.lstrip("/")
        if not path.is_file():
            self.send_error(404)
            return
        content = path.read_bytes()
        byte_range = re.fullmatch(
            r"bytes=(\d+)-(\d*)", self.headers.get("Range", "")
        )
        if byte_range:
            first, last = (
                int(byte_range[1]),
                int(byte_range[2] or len(content) - 1),
            )
            if first >= len(content):
                self.send_error(416)
                return
            whole, content = len(content), content[first : last + 1]
            last = first + len(content) - 1
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {first}-{last}/{whole}")
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    do_HEAD = do_GET


class Refusal(http.server.BaseHTTPRequestHandler):
    """Answer all requests with one status, as a store does unknown users."""

    status = 403

    def do_GET(self):
        self.send_response(self.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_HEAD = do_PUT = do_POST = do_DELETE = do_GET


def main(what: str) -> None:
    if what.isdecimal():
        Refusal.status, handler = int(what), Refusal
    else:
        Files.folder, handler = pathlib.Path(what), Files
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    print(server.server_port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main(sys.argv[1])
