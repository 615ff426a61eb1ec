"""The web server of `training.app`: for this machine and its own page alone.

Any page that a browser has open can send requests to 127.0.0.1, and a name
that someone else owns can be made to lead there. So a request is served only if
it names this server as its host, comes from no other origin, and (all but the
page itself) carries the word that only the page was told. A connection serves
one request, and has so long for it.
"""

import contextlib
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
from . import app_session, app_upload
from .app_session import Session
from .app_upload import Refused

PAGE = pathlib.Path(__file__).with_name("app.html")
ADDRESS = "127.0.0.1"
CONNECTIONS = 32
HEADERS_SECONDS = 30.0
SILENCE_SECONDS = 20.0
# A body may take so long, and a second more for each so many bytes.
BODY_SECONDS = 60.0
SLOWEST_BYTES_A_SECOND = 1 << 20
WAIT_SECONDS = 10.0
QUEUE_SECONDS = 0.2  # after which it is seen whether the browser is there
LINGER_SECONDS = 2.0
LINGER_BYTES = 1 << 24
QUESTION_BYTES = 4096
POLICY = (
    "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}';"
    " img-src 'self' data:; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)


class Server(http.server.ThreadingHTTPServer):
    """Serves a session on the loopback interface.

    Args:
        session: what is asked.
        port: 0 for any that is free.
        max_bytes: of a file that is dropped.

    Raises:
        UserError: the port is taken.
    """

    daemon_threads = True

    def __init__(self, session: Session, port: int, max_bytes: int):
        self.session = session
        self.max_bytes = max_bytes
        self.token = secrets.token_urlsafe(16)
        self.job = threading.Lock()
        self._free = threading.BoundedSemaphore(CONNECTIONS)
        try:
            super().__init__((ADDRESS, port), Handler)
        except (OSError, OverflowError) as error:
            raise UserError(
                f"Port {port} cannot be had: {error}. Give another: --port "
                "8001, or 0 for any that is free."
            ) from error
        port = self.server_address[1]
        self.url = f"http://{ADDRESS}:{port}/"
        self.hosts = (f"{ADDRESS}:{port}", f"localhost:{port}")

    def process_request(self, request, client_address):
        if not self._free.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request, client_address):
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request, client_address):
        """Prints what went wrong; a browser that goes away is nothing."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class Handler(http.server.BaseHTTPRequestHandler):
    """One request: a page, a question about it, or a film."""

    server: Server
    server_version = "nonlocal_tf"
    sys_version = ""
    error_content_type = "text/plain; charset=utf-8"
    error_message_format = "%(code)d\n"

    def setup(self):
        super().setup()
        self._incoming = _Incoming(self.connection, HEADERS_SECONDS)
        self.rfile = io.BufferedReader(self._incoming)

    def do_GET(self):
        """The page, and nothing else."""
        self._serve({"/": self._page, "/favicon.ico": self._no_icon})

    def do_POST(self):
        """All that the page asks."""
        session = self.server.session
        self._serve(
            {
                "/about": self._about,
                "/progress": lambda: _json(session.progress()),
                "/file": self._file,
                "/sample": lambda: self._ask(session.open_sample, wait=0),
                "/clip": lambda: self._ask(session.frames, WAIT_SECONDS),
                "/look": lambda: self._ask(session.look, WAIT_SECONDS),
            }
        )

    def log_message(self, *arguments):
        """Requests are not worth a line; what goes wrong prints its own."""

    def _serve(self, routes):
        status, error = 200, None
        try:
            answer = self._route(routes)
        except Refused as refused:
            status, answer = refused.status, str(refused)
        except UserError as refused:
            model = self.server.session.model.path
            status, answer = 422, app_session.one_line(refused, model)
        except TimeoutError:
            status, answer = 408, "That took too long to arrive."
        except ConnectionError:
            return  # the browser has gone
        except OSError as full:
            status, answer = 507, f"The film cannot be kept: {full.strerror}."
        except Exception as ours:
            status, answer = 500, "That went wrong; the terminal says how."
            error = ours
        if status == 200:
            self._send(200, *answer)
        else:
            self._send(status, *_json({"error": " ".join(answer.split())}))
            self._linger()
        if error is not None:
            raise error  # for the terminal

    def _route(self, routes):
        """The answer as (media type, content[, policy])."""
        hosts = self.headers.get_all("Host", [])
        if len(hosts) != 1 or hosts[0].lower() not in self.server.hosts:
            raise Refused(421, f"This is {self.server.url} alone.")
        origin = self.headers.get("Origin")
        own = [f"http://{host}" for host in self.server.hosts]
        if origin is not None and origin.lower() not in own:
            raise Refused(403, "Other pages may not ask here.")
        path = self.path.partition("?")[0]
        if path not in routes:
            raise Refused(404, "There is no such page.")
        given = self.headers.get("X-Token", "").encode()
        ours = self.server.token.encode()
        if self.command == "POST" and not hmac.compare_digest(given, ours):
            raise Refused(403, "Reload the page: the app was started anew.")
        return routes[path]()

    def _page(self):
        nonce = secrets.token_urlsafe(16)
        html = PAGE.read_text("utf-8").replace("{{nonce}}", nonce)
        html = html.replace("{{token}}", self.server.token)
        policy = POLICY.format(nonce=nonce)
        return "text/html; charset=utf-8", html.encode(), policy

    def _no_icon(self):
        return "image/svg+xml", b'<svg xmlns="http://www.w3.org/2000/svg"/>'

    def _about(self):
        about = self.server.session.about()
        return _json({**about, "max_mb": self.server.max_bytes / 2**20})

    def _file(self):
        session, name = self.server.session, self.headers.get("X-File-Name", "")
        suffix = app_upload.suffix_of(name, session.suffixes)
        length = app_upload.length_of(self.headers, self.server.max_bytes)
        turn = _turn(self.server, 0, self._still_there)
        with turn, app_upload.scratch(suffix) as path:
            self._incoming.allow(BODY_SECONDS + length / SLOWEST_BYTES_A_SECOND)
            with path.open("w+b") as file:
                app_upload.receive(self.rfile, length, file)
                file.seek(0)
                app_upload.check_content(file, session.content_of(suffix))
            try:
                return _json(session.open_file(path, self._still_there))
            except UserError as error:
                model = session.model.path
                message = app_session.one_line(error, model, path)
                raise Refused(422, message) from error

    def _ask(self, answer: Callable[[dict], dict], wait: float):
        length = app_upload.length_of(self.headers, QUESTION_BYTES)
        try:
            asked = json.loads(self.rfile.read(length))
        except (ValueError, RecursionError) as error:
            raise Refused(400, "Expected a question in JSON.") from error
        if not isinstance(asked, dict):
            raise Refused(400, "Expected an object in JSON.")
        with _turn(self.server, wait, self._still_there):
            self._still_there()
            return _json(answer(asked))

    def _still_there(self):
        """Raises a ConnectionError if the browser does not wait any more."""
        ready, _, _ = select.select([self.connection], [], [], 0)
        # Of what comes after a request nothing is used.
        if ready and not self.connection.recv(app_upload.CHUNK_BYTES):
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
        with contextlib.suppress(OSError):  # the browser has gone
            self.end_headers()
            self.wfile.write(content)

    def _linger(self):
        """Reads on for a moment: a reset would hide the answer from some."""
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_WR)
            self._incoming.allow(LINGER_SECONDS)
            part, left = bytearray(app_upload.CHUNK_BYTES), LINGER_BYTES
            while left > 0 and (count := self._incoming.readinto(part)):
                left -= count


@contextlib.contextmanager
def _turn(
    server: Server, wait: float, still_there: Callable[[], None]
) -> Iterator[None]:
    """One job at a time: a place in the queue for so many seconds.

    Whoever goes meanwhile loses it: `still_there` raises.
    """
    until = time.monotonic() + wait
    while not server.job.acquire(timeout=min(wait, QUEUE_SECONDS)):
        still_there()
        if time.monotonic() >= until:
            raise Refused(429, "Another film is at work; try again soon.")
    try:
        yield
    finally:
        server.job.release()


def _json(answer: dict) -> tuple[str, bytes]:
    return "application/json", json.dumps(answer, allow_nan=False).encode()


class _Incoming(io.RawIOBase):
    """What a connection sends, until its time is up."""

    def __init__(self, connection: socket.socket, seconds: float):
        self._connection = connection
        self.allow(seconds)

    def allow(self, seconds: float) -> None:
        """Gives it so many seconds from now."""
        self._until = time.monotonic() + seconds

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        left = self._until - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._connection.settimeout(min(left, SILENCE_SECONDS))
        return self._connection.recv_into(buffer)
