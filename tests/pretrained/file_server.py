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

    def answer(handler):
        answer = answers.get(handler.path)
        if callable(answer):
            answer(handler)
        elif answer is None:
            handler.send_error(404, "Not Found")
        else:
            send(handler, answer)

    with serving_all(answer) as address:
        yield address


@contextlib.contextmanager
def serving_all(answer):
    """Serve on a free port; yield the address.

    Args:
        answer: function of the handler of a request.
    """

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            answer(self)

        do_HEAD = do_POST = do_PUT = do_GET

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


def send(
    handler,
    content,
    kind="application/octet-stream",
    size=None,
    status=200,
    headers=None,
):
    """Answer with content; `size` may be another than that of the content."""
    handler.send_response(status)
    handler.send_header("Content-Type", kind)
    handler.send_header("Content-Length", str(size or len(content)))
    for name, value in (headers or {}).items():
        handler.send_header(name, value)
    handler.end_headers()
    if handler.command != "HEAD":
        handler.wfile.write(content)
