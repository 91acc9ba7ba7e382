"""Who watches, asked over the socket."""

from __future__ import annotations

from gpuwatch_tray import ipc
from gpuwatch_tray.doctor import CheckState
from gpuwatch_tray.doctor.environment import check_running
from gpuwatch_tray.ipc.lock import LockHolder


def test_nobody(tmp_path):
    """Nothing that answers is no problem: cron may do the work."""
    (line,) = check_running(LockHolder(), [str(tmp_path / "nobody")])
    assert (line.state, "nothing is watching" in line.text) == (CheckState.OK, True)


def test_the_one_that_answers(tmp_path):
    """Its face, PID and headline; its trouble is a warning; an error of it is told."""
    address = str(tmp_path / "s")
    answer = {"face": "tray", "pid": 7, "headline": "All within limits"}
    server = ipc.serve((address,), {"status": lambda _: answer})
    try:
        (line,) = check_running(LockHolder(7, "tray", address=server.address), [])
        assert (line.state, line.text) == (CheckState.OK, "tray, PID 7: All within limits")
        (line,) = check_running(LockHolder(7, "tray", trouble="disk full", address=server.address), [])
        assert (line.state, line.text) == (CheckState.WARNING, "tray, PID 7: disk full")
    finally:
        server.stop()
    server = ipc.serve((address,), {})
    try:
        (line,) = check_running(LockHolder(7, "tray", address=server.address), [])
        assert (line.state, line.text.startswith("tray, PID 7 does not answer")) == (
            CheckState.WARNING,
            True,
        )
    finally:
        server.stop()
