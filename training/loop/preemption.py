"""SIGTERM, with which machines are taken back: what is done is saved first."""

import contextlib
import signal
import threading
from collections.abc import Iterator


class Preempted(Exception):
    """The process was asked to stop, and nothing is lost."""


class Sigterm:
    """Return whether the process received SIGTERM.

    Outside of training that is an exception at once. In training it is
    deferred to the end of a step, where the run can be saved.
    """

    def __init__(self):
        self.requested = False
        self._is_deferred = False

    @contextlib.contextmanager
    def handled(self) -> Iterator[None]:
        """Listens to the signal, in a command's main thread."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        self.requested = False
        before = signal.signal(signal.SIGTERM, self._handle)
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, before)

    @contextlib.contextmanager
    def deferred(self) -> Iterator[None]:
        """Let the block end by itself, which reads `requested`."""
        self._is_deferred = True
        try:
            yield
        finally:
            self._is_deferred = False

    def _handle(self, number, frame):
        del number, frame
        self.requested = True
        if not self._is_deferred:
            raise Preempted


sigterm = Sigterm()
