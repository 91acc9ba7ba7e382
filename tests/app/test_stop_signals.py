"""A signal ends the program whatever its main thread does just then."""

from __future__ import annotations

import subprocess
import sys

import pytest

WITHIN_THE_WAIT = """
import signal, threading
from gpuwatch_tray.app.headless import stop_on_signals

done = threading.Event()
stop_on_signals(done.set)
with done._cond:  # as the main thread has it for a moment of each wait
    signal.raise_signal(signal.{name})
print(done.wait(60))
"""


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_signal_at_any_step_of_the_wait_ends_it(name):
    """The handler takes no lock that the interrupted thread may hold: it would wait for itself for ever."""
    program = [sys.executable, "-c", WITHIN_THE_WAIT.format(name=name)]
    assert subprocess.run(program, check=False, capture_output=True, text=True, timeout=90).stdout == "True\n"
