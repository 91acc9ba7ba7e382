"""
Headless Chromium, spoken to over the pipe of its DevTools protocol: no port, no library.

Source: https://chromedevtools.github.io/devtools-protocol/ and `--remote-debugging-pipe`: JSON messages that
end with a NUL byte, read by the browser on descriptor 3 and written on 4.
"""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import pytest

PROGRAMS = ("chromium", "google-chrome")
RELEASE = Path("/etc/os-release")
WITHIN = 30.0  # seconds for one answer: a machine under load starts a browser slowly
OPTIONS = (
    "--headless=new",
    "--no-sandbox",  # as root, as in containers
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    "--disable-dev-shm-usage",
    "--password-store=basic",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
)


class BrowserError(AssertionError):
    """The browser, or the program of its page, did not do what it was asked to."""


def required():
    """The browser's program. Without one the test is skipped, and under CI it fails where it can be had."""
    found = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if found is None:
        ubuntu = RELEASE.is_file() and "ID=ubuntu" in RELEASE.read_text(encoding="utf-8").splitlines()
        why = "there is no Chromium: `make desktop-packages` installs it, save on Ubuntu, where it is a snap"
        (pytest.fail if os.environ.get("CI") and not ubuntu else pytest.skip)(why)
    return found


class Browser:
    """One browser with an empty profile in `folder`, and one page; ended, by its PID, with the block."""

    def __init__(self, folder):
        program = required()
        hear, self._say = os.pipe()
        self._hear, say = os.pipe()
        # bash, for the descriptors' numbers: dash takes only one digit.
        line = f'exec "$0" "$@" 3<&{hear} 4>&{say}'
        self._log = (folder / "chromium.log").open("wb")
        self._process = subprocess.Popen(
            ["bash", "-c", line, program, *OPTIONS, f"--user-data-dir={folder / 'profile'}", "about:blank"],
            pass_fds=(hear, say),
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            env={**os.environ, "HOME": str(folder), "DBUS_SESSION_BUS_ADDRESS": "disabled:"},
        )
        os.close(hear)
        os.close(say)
        self._rest = b""
        self._number = 0
        self.events = []
        target = self._ask("Target.createTarget", {"url": "about:blank"})["targetId"]
        attached = self._ask("Target.attachToTarget", {"targetId": target, "flatten": True})
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.ask(f"{domain}.enable")

    def __enter__(self):
        return self

    def __exit__(self, *_error):
        with suppress(OSError, BrowserError):
            self._ask("Browser.close", {})
        try:
            self._process.wait(60)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(60)
        os.close(self._say)
        os.close(self._hear)
        self._log.close()

    def ask(self, method, **parameters):
        """The answer of the page to one command."""
        return self._ask(method, parameters, self._session)

    def open(self, file, *, width=1280, height=900, dark=False, scale=1):
        """Show a file at this size, and wait until it has drawn itself; returns the seconds that it took."""
        self.events.clear()
        self.ask(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=scale,
            mobile=width < 600,
        )
        self.theme(dark=dark)
        began = time.monotonic()
        self.ask("Page.navigate", url=file.as_uri())
        until = began + WITHIN
        while self.run("document.readyState === 'complete' && document.body.dataset.drawn") != "yes":
            assert time.monotonic() < until, (self.problems(), "the page has not drawn itself")
        return time.monotonic() - began

    def theme(self, *, dark):
        """The desktop's theme, as the page is told it."""
        value = "dark" if dark else "light"
        self.ask("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": value}])

    def run(self, script):
        """The value of an expression in the page; waits for a promise."""
        found = self.ask("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in found:
            raise BrowserError(found["exceptionDetails"].get("exception", {}).get("description", found))
        return found["result"].get("value")

    def press(self, key, code=0, text="", modifiers=0):
        """Press one key and let go of it."""
        words = {"key": key, "windowsVirtualKeyCode": code, "modifiers": modifiers}
        self.ask("Input.dispatchKeyEvent", type="keyDown", text=text, **words)
        self.ask("Input.dispatchKeyEvent", type="keyUp", **words)

    def mouse(self, kind, x, y, **more):
        """Move, press or release the mouse."""
        self.ask("Input.dispatchMouseEvent", type=kind, x=x, y=y, **more)

    def keep_downloads(self, folder):
        """Have what the page offers to save saved in `folder`."""
        self._ask("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(folder)})

    def picture(self, file, *, whole=True):
        """A PNG of the page, all of it or what is on the screen."""
        found = self.ask("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        file.write_bytes(base64.b64decode(found["data"]))

    def problems(self):
        """What the browser complained about: console errors, exceptions, refused content."""
        found = []
        for event in self.events:
            told = event["params"]
            if event["method"] == "Runtime.exceptionThrown":
                found.append(told["exceptionDetails"].get("exception", {}).get("description", str(told)))
            elif event["method"] == "Runtime.consoleAPICalled" and told["type"] in {
                "error",
                "warning",
                "assert",
            }:
                found.append(str(told["args"]))
            elif event["method"] == "Log.entryAdded" and told["entry"]["level"] in {"error", "warning"}:
                found.append(told["entry"]["text"])
        return found

    def requests(self):
        """Every address that was asked for since the page was opened."""
        sent = [event for event in self.events if event["method"] == "Network.requestWillBeSent"]
        return [event["params"]["request"]["url"] for event in sent]

    def _ask(self, method, parameters, session=None):
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self._say, data) :]
        until = time.monotonic() + WITHIN
        while True:
            answer = self._next(until)
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise BrowserError(f"{method}: {answer['error']}")
                return answer["result"]
            if "method" in answer:
                self.events.append(answer)

    def _next(self, until):
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self._hear], [], [], max(until - time.monotonic(), 0))
            part = os.read(self._hear, 1 << 20) if ready else b""
            if not part:
                raise BrowserError(f"the browser does not answer; its log is {self._log.name}")
            self._rest += part
        message, _, self._rest = self._rest.partition(b"\0")
        return json.loads(message)
