"""One evaluator a folder and host."""

from __future__ import annotations

import os

from gpuwatch_tray.lock import WatchLock


def test_the_second_is_refused_and_told_who_is_first(tmp_path):
    """While one holds the lock, another does not get it and can name the holder."""
    first, second = WatchLock(tmp_path, "box", "tray"), WatchLock(tmp_path, "box", "check")
    assert first.acquire()
    assert not second.acquire()
    assert second.holder() == f"tray, PID {os.getpid()}"
    second.release()  # not its own: nothing happens
    assert not second.acquire()
    first.release()
    assert second.acquire()
    second.release()


def test_hosts_that_share_a_folder_do_not_exclude_each_other(tmp_path):
    """The lock is per host, as home folders are shared over NFS."""
    one, other = WatchLock(tmp_path, "a", "tray"), WatchLock(tmp_path, "b", "tray")
    assert one.acquire()
    assert other.acquire()
    one.release()
    other.release()
