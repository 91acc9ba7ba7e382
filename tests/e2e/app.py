"""The running tray of one installation on one desktop."""

from __future__ import annotations

import signal
import subprocess

from tests.driver.scenario import calls_in
from tests.support.timing import PATIENCE, wait_until


class App:
    """The installed program, started with these words; what it prints is in `log`."""

    def __init__(self, installed, desk, *words):
        self.log = installed.folder / "tray.log"
        environment = desk.environment | installed.environment
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [installed.script, *words],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=installed.folder,
            )

    def quit(self, seconds=PATIENCE):
        """Wait for the end and return the exit code."""
        return self.process.wait(seconds)

    def close(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(60)
                raise AssertionError(f"the tray did not end:\n{self.log.read_text()}") from None


def wait_for_polls(calls, number):
    """Wait until the driver has been asked for its processes `number` more times."""
    wanted = calls_in(calls)["compute_v3"] + number
    wait_until(lambda: calls_in(calls)["compute_v3"] >= wanted, f"{number} polls", timeout=60)
