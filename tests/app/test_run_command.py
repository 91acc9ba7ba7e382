"""What is told about a run never changes how it ends, whatever fails of the telling."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from gpuwatch_tray.app.run_command import STARTS_WITHIN, is_running
from gpuwatch_tray.runs.run_folder import RunRecord

pytestmark = [pytest.mark.driver, pytest.mark.configured(GPU_LIMIT=4)]


@pytest.mark.parametrize(
    ("module", "broken"),
    [
        ("sources.processes", "process_identity"),
        ("runs.explanation", "explain_end"),
        ("app.run_command", "observed_json"),
    ],
)
def test_a_fault_of_the_program_leaves_the_exit_code(installed, module, broken):
    """An error that nobody foresaw is one line on standard error, and the command's code is returned."""
    code = (
        f"import sys\nfrom gpuwatch_tray.cli import main\nimport gpuwatch_tray.{module} as module\n"
        f"def fail(*_args): raise KeyError('unforeseen')\nmodule.{broken} = fail\n"
        "sys.exit(main(['when', 'run', '--', 'sh', '-c', 'echo x; exit 3']))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=installed.environment,
        cwd=installed.folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (3, "x\n")
    assert "KeyError" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_run_that_is_being_started_goes_on():
    """Its folder is there before its process is; one that never got a process has ended."""
    now = time.time()
    assert is_running(RunRecord(1, "x", began=now))
    assert not is_running(RunRecord(1, "x", began=now - STARTS_WITHIN - 1))
    assert not is_running(RunRecord(1, "x", began=now, ended=now))
