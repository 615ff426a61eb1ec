"""Headless Chromium, driven over the WebDriver protocol: JSON over HTTP.

Debian's packages chromium and chromium-driver are all it takes.
"""

import base64
import contextlib
import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

NEEDED = "NONLOCAL_TF_NEEDS_CHROMIUM"
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # its name in the protocol
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
)


def missing() -> str:
    """Return the reason why there is no browser, or ""."""
    if os.environ.get(NEEDED):
        return ""
    for name in ("chromium", "chromedriver"):
        if shutil.which(name) is None:
            return f"there is no {name} (Debian: chromium, chromium-driver)"
    return ""


class Browser:
    """Headless Chromium window; a context manager.

    Args:
        width: of the window, in pixels.
        height: of the window, in pixels.
    """

    def __init__(self, width: int = 900, height: int = 1000):
        self._size = width, height
        self._closing = contextlib.ExitStack()

    def __enter__(self):
        with self._closing:
            self._start()
            self._closing = self._closing.pop_all()
        return self

    def __exit__(self, *error):
        self._closing.close()

    def open(self, url: str) -> None:
        """Open a page and wait until it is loaded."""
        self._call("POST", "/url", {"url": url})

    def run(self, script: str, *arguments):
        """Run a script and return its result, awaiting promises."""
        return self._call(
            "POST", "/execute/sync", {"script": script, "args": arguments}
        )

    def wait(self, script: str, *arguments, seconds: float = 60):
        """Run a script until its result is truthy."""
        until = time.monotonic() + seconds
        while not (result := self.run(script, *arguments)):
            if time.monotonic() > until:
                raise TimeoutError(f"{script}; the page has {self.text()}")
            time.sleep(0.1)
        return result

    def text(self) -> str:
        """Return the visible text of the page."""
        return self.run("return document.body.innerText")

    def click(self, selector: str) -> None:
        """Click the middle of an element."""
        self._call("POST", f"/element/{self._find(selector)}/click", {})

    def type(self, selector: str, text: str) -> None:
        """Type into an element; for a file input, the path of a file."""
        element = self._find(selector)
        self._call("POST", f"/element/{element}/value", {"text": text})

    def errors(self) -> list[str]:
        """Return the console's messages since the last call."""
        entries = self._call("POST", "/se/log", {"type": "browser"})
        return [f"{entry['level']}: {entry['message']}" for entry in entries]

    def screenshot(self) -> bytes:
        """Take a screenshot as PNG."""
        return base64.b64decode(self._call("GET", "/screenshot"))

    def resize(self, width: int, height: int) -> None:
        """Resize the window."""
        self._call("POST", "/window/rect", {"width": width, "height": height})

    def _find(self, selector: str) -> str:
        how = {"using": "css selector", "value": selector}
        return self._call("POST", "/element", how)[ELEMENT]

    def _start(self):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        driver = subprocess.Popen(
            ["chromedriver", f"--port={port}", "--silent"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._closing.callback(driver.wait)
        self._closing.callback(driver.terminate)
        self._url = f"http://127.0.0.1:{port}/session"
        profile = self._closing.enter_context(
            tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        )
        arguments = [*FLAGS, f"--user-data-dir={profile}"]
        arguments.append("--window-size={},{}".format(*self._size))
        capabilities = {
            "goog:chromeOptions": {"args": arguments},
            "goog:loggingPrefs": {"browser": "ALL"},
        }
        content = {"capabilities": {"alwaysMatch": capabilities}}
        session = self._new_session(driver, content)
        self._url += f"/{session['sessionId']}"
        self._closing.callback(self._call, "DELETE", "")

    def _new_session(self, driver, content):
        until = time.monotonic() + 30
        while True:
            try:
                return self._call("POST", "", content)
            except urllib.error.URLError:
                if driver.poll() is not None or time.monotonic() > until:
                    raise
                time.sleep(0.1)

    def _call(self, method: str, path: str, content=None):
        request = urllib.request.Request(
            self._url + path,
            None if content is None else json.dumps(content).encode(),
            {"Content-Type": "application/json"},
            method=method,
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=120) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            with error:
                problem = json.load(error)["value"]
            raise RuntimeError(
                f"{problem['error']}: {problem['message']}"
            ) from error
