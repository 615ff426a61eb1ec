"""Web server of `training.app`, on the loopback interface.

Any page open in a browser can send requests to 127.0.0.1, and DNS rebinding
can direct foreign host names there. A request is served only if its Host is
this server, its Origin is not another page, and (except for the page itself)
it carries the token embedded in the page. A connection serves one request,
within a deadline.
"""

import contextlib
import functools
import hmac
import http.server
import io
import json
import pathlib
import secrets
import select
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator

from ..io.user_error import UserError
from . import page_session, uploads
from .detector_session import DetectorSession
from .page_session import PageSession
from .uploads import RequestError

ADDRESS = "127.0.0.1"
CONNECTIONS = 32
HEADERS_SECONDS = 30.0
SILENCE_SECONDS = 20.0
# Deadline of a body: a constant, plus its size at the lowest accepted rate.
BODY_SECONDS = 60.0
SLOWEST_BYTES_A_SECOND = 1 << 20
QUEUE_SECONDS = 0.2  # between checks that the browser is still connected
LINGER_SECONDS = 2.0
LINGER_BYTES = 1 << 24
QUESTION_BYTES = 4096
SHARED = pathlib.Path(__file__).with_name("shared.js")  # of both pages
POLICY = (
    "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}';"
    " img-src 'self' data:; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)


class AppServer(http.server.ThreadingHTTPServer):
    """HTTP server of one session on the loopback interface.

    Args:
        session: answers the requests.
        port: 0 for any free port.
        max_bytes: maximum size of an uploaded file.

    Attributes:
        slots: semaphore of concurrent connections.

    Raises:
        UserError: the port is in use.
    """

    daemon_threads = True

    def __init__(
        self,
        session: PageSession | DetectorSession,
        port: int,
        max_bytes: int,
    ):
        self.session = session
        self.max_bytes = max_bytes
        self.token = secrets.token_urlsafe(16)
        self.job = threading.Lock()
        self.slots = threading.BoundedSemaphore(CONNECTIONS)
        try:
            super().__init__((ADDRESS, port), AppHandler)
        except (OSError, OverflowError) as error:
            raise UserError(
                f"Port {port} is not available: {error}. Choose another: "
                "--port 8001, or 0 for any free port."
            ) from error
        port = self.server_address[1]
        self.url = f"http://{ADDRESS}:{port}/"
        self.hosts = (f"{ADDRESS}:{port}", f"localhost:{port}")

    def process_request(self, request, client_address):
        if not self.slots.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request, client_address):
        try:
            super().process_request_thread(request, client_address)
        finally:
            self.slots.release()

    def handle_error(self, request, client_address):
        """Print errors, except of clients that disconnected."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class AppHandler(http.server.BaseHTTPRequestHandler):
    """Handler of one request: the page, a query of it, or an upload."""

    server: AppServer
    server_version = "nonlocal_tf"
    sys_version = ""
    error_content_type = "text/plain; charset=utf-8"
    error_message_format = "%(code)d\n"

    def setup(self):
        super().setup()
        self._incoming = _DeadlineReader(self.connection, HEADERS_SECONDS)
        self.rfile = io.BufferedReader(self._incoming)

    def do_GET(self):
        """Serve the page."""
        self._serve({"/": self._page, "/favicon.ico": self._empty_icon})

    def do_POST(self):
        """Serve the queries of the page."""
        session = self.server.session
        answers = {
            path: functools.partial(self._ask, answer, wait)
            for path, (answer, wait) in session.answers.items()
        }
        self._serve(
            {
                "/about": self._about,
                "/progress": lambda: _json(session.progress()),
                "/file": self._file,
                **answers,
            }
        )

    def log_message(self, *arguments):
        """Do not log requests; errors are printed elsewhere."""

    def _serve(self, routes):
        status, error = 200, None
        try:
            answer = self._route(routes)
        except RequestError as refused:
            status, answer = refused.status, str(refused)
        except UserError as refused:
            model = self.server.session.model.path
            status, answer = 422, page_session.public_message(refused, model)
        except TimeoutError:
            status, answer = 408, "The request took too long to arrive."
        except ConnectionError:
            return  # the client disconnected
        except OSError as full:
            status, answer = (
                507,
                f"The file cannot be stored: {full.strerror}.",
            )
        except Exception as internal:
            status, answer = 500, "Internal error; see the terminal."
            error = internal
        if status == 200:
            self._send(200, *answer)
        else:
            self._send(status, *_json({"error": " ".join(answer.split())}))
            self._linger()
        if error is not None:
            raise error  # for the terminal

    def _route(self, routes):
        """Return the response as (media type, content[, policy])."""
        hosts = self.headers.get_all("Host", [])
        if len(hosts) != 1 or hosts[0].lower() not in self.server.hosts:
            raise RequestError(421, f"Expected the host {self.server.url}")
        origin = self.headers.get("Origin")
        own = [f"http://{host}" for host in self.server.hosts]
        if origin is not None and origin.lower() not in own:
            raise RequestError(403, "Requests of other pages are refused.")
        path = self.path.partition("?")[0]
        if path not in routes:
            raise RequestError(404, "Unknown path.")
        token = self.headers.get("X-Token", "").encode()
        expected = self.server.token.encode()
        if self.command == "POST" and not hmac.compare_digest(token, expected):
            raise RequestError(403, "Reload the page: the app was restarted.")
        return routes[path]()

    def _page(self):
        nonce = secrets.token_urlsafe(16)
        html = self.server.session.page.read_text("utf-8")
        html = html.replace("{{shared}}", SHARED.read_text("utf-8").rstrip())
        html = html.replace("{{nonce}}", nonce)
        html = html.replace("{{token}}", self.server.token)
        policy = POLICY.format(nonce=nonce)
        return "text/html; charset=utf-8", html.encode(), policy

    def _empty_icon(self):
        return "image/svg+xml", b'<svg xmlns="http://www.w3.org/2000/svg"/>'

    def _about(self):
        about = self.server.session.about()
        return _json({**about, "max_mb": self.server.max_bytes / 2**20})

    def _file(self):
        session, name = self.server.session, self.headers.get("X-File-Name", "")
        suffix = uploads.allowed_suffix(name, session.suffixes)
        length = uploads.content_length(self.headers, self.server.max_bytes)
        turn = _job_slot(self.server, 0, self._check_connected)
        with turn, uploads.temporary_file(suffix) as path:
            self._incoming.allow(BODY_SECONDS + length / SLOWEST_BYTES_A_SECOND)
            with path.open("w+b") as file:
                uploads.receive(self.rfile, length, file)
                file.seek(0)
                session.check_file(file, suffix)
            try:
                return _json(session.open_file(path, self._check_connected))
            except UserError as error:
                model = session.model.path
                message = page_session.public_message(error, model, path)
                raise RequestError(422, message) from error

    def _ask(self, answer: Callable[[dict], dict], wait: float):
        length = uploads.content_length(self.headers, QUESTION_BYTES)
        try:
            question = json.loads(self.rfile.read(length))
        except (ValueError, RecursionError) as error:
            raise RequestError(400, "Expected JSON.") from error
        if not isinstance(question, dict):
            raise RequestError(400, "Expected a JSON object.")
        with _job_slot(self.server, wait, self._check_connected):
            self._check_connected()
            return _json(answer(question))

    def _check_connected(self):
        """Raise a ConnectionError if the client disconnected."""
        ready, _, _ = select.select([self.connection], [], [], 0)
        # Data after a request is discarded.
        if ready and not self.connection.recv(uploads.CHUNK_BYTES):
            raise ConnectionResetError

    def _send(self, status, kind, content, policy="default-src 'none'"):
        self.send_response(status)
        if status == 429:
            self.send_header("Retry-After", "5")
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Content-Security-Policy", policy)
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("X-Frame-Options", "DENY")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")
        self.send_header("Cache-Control", "no-store")
        self.connection.settimeout(SILENCE_SECONDS)
        with contextlib.suppress(OSError):  # the client disconnected
            self.end_headers()
            self.wfile.write(content)

    def _linger(self):
        """Drain the connection briefly: a reset could discard the response."""
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_WR)
            self._incoming.allow(LINGER_SECONDS)
            part, remaining = bytearray(uploads.CHUNK_BYTES), LINGER_BYTES
            while remaining > 0 and (count := self._incoming.readinto(part)):
                remaining -= count


@contextlib.contextmanager
def _job_slot(
    server: AppServer, wait: float, check_connected: Callable[[], None]
) -> Iterator[None]:
    """Run one job at a time; wait up to `wait` seconds for the others.

    `check_connected` is called while waiting, and raises if the client
    disconnected.
    """
    until = time.monotonic() + wait
    while not server.job.acquire(timeout=min(wait, QUEUE_SECONDS)):
        check_connected()
        if time.monotonic() >= until:
            raise RequestError(
                429, "Busy: another file is being processed; try again soon."
            )
    try:
        yield
    finally:
        server.job.release()


def _json(answer: dict) -> tuple[str, bytes]:
    return "application/json", json.dumps(answer, allow_nan=False).encode()


class _DeadlineReader(io.RawIOBase):
    """Raw stream of a connection that raises a TimeoutError at a deadline."""

    def __init__(self, connection: socket.socket, seconds: float):
        self._connection = connection
        self.allow(seconds)

    def allow(self, seconds: float) -> None:
        """Set the deadline to a number of seconds from now."""
        self._until = time.monotonic() + seconds

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        remaining = self._until - time.monotonic()
        if remaining <= 0:
            raise TimeoutError
        self._connection.settimeout(min(remaining, SILENCE_SECONDS))
        return self._connection.recv_into(buffer)
