"""Web server on this machine that answers as a test sets it."""

import contextlib
import http.server
import threading


@contextlib.contextmanager
def serving(answers):
    """Serve on a free port; yield the address.

    Args:
        answers: by path, bytes of a file or a function of the handler.
    """

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            answer = answers.get(self.path)
            if callable(answer):
                answer(self)
            elif answer is None:
                self.send_error(404, "Not Found")
            else:
                send(self, answer)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def send(handler, content, kind="application/octet-stream", size=None):
    """Answer with content; `size` may be another than that of the content."""
    handler.send_response(200)
    handler.send_header("Content-Type", kind)
    handler.send_header("Content-Length", str(size or len(content)))
    handler.end_headers()
    handler.wfile.write(content)
