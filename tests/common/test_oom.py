"""What the kernel says of processes that it killed for want of memory."""

from __future__ import annotations

from gpuwatch_tray.common.oom import HostWatch, count_oom_kills, kill_lines

SAID = "Memory cgroup out of memory: Killed process 7 (python) total-vm:8kB"
KILLED = b"6,2431,13006740919,-;Memory cgroup out of memory: Killed process %d (python) total-vm:8kB\n S=x\n"


def test_the_line_about_a_process_is_found():
    """By its PID, without what /dev/kmsg adds; not that of another or of long before."""
    records = [b"6,1,5,-;usb 1-1: new device\n", KILLED % 77, KILLED % 7, b"6,3,13006740920,-;oom-kill:x\n"]
    assert kill_lines(records, 7, 13000.0) == (SAID,)
    assert kill_lines(records, 8, 0.0) == ()
    assert kill_lines(records, 7, 14000.0) == ()


def test_a_record_that_is_none_does_no_harm():
    """The file may be another on another system."""
    assert kill_lines([b"", b"x;Killed process 7 (a)", b"1,2,x;Killed process 7 (a)"], 7, 0.0) == ()


def test_a_moment_without_a_kill_counts_none():
    """The counts are from the making of the watch on."""
    watch = HostWatch()
    before = count_oom_kills()
    assert before is None or before >= 0
    assert watch.oom_kills() >= 0
    assert watch.machine_kills() == (0 if before is None else count_oom_kills() - before)
