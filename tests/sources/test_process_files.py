"""What the files of Linux tell of a process is what psutil tells: on real processes, and on odd ones."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import contextmanager

import psutil  # looks from outside
import pytest

from gpuwatch_tray.sources import process_files
from gpuwatch_tray.sources.library_process import LibraryProcess
from gpuwatch_tray.sources.process_files import ProcessFiles, ZombieError
from tests.support.timing import wait_until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
QUESTIONS = ("owner", "arguments", "name", "folder", "parent")
NOBODY = 4_194_304  # Linux gives PIDs below its pid_max, which is this at most (proc(5))


@contextmanager
def running(*words, folder):
    """A process that waits in `folder` until its input ends, past its exec."""
    with subprocess.Popen(words, stdin=subprocess.PIPE, cwd=folder) as process:
        wait_until(lambda: psutil.Process(process.pid).cmdline()[:1] == [words[0]], "its program")
        yield process.pid
        process.stdin.close()


@contextmanager
def zombie():
    """A process that has ended, and whose parent has not asked."""
    with subprocess.Popen(["true"]) as process:
        wait_until(lambda: psutil.Process(process.pid).status() == psutil.STATUS_ZOMBIE, "its end")
        yield process.pid


def agreed(pid):
    """What both tell of it."""
    told = {name: getattr(ProcessFiles(pid), name)() for name in QUESTIONS}
    assert told == {name: getattr(LibraryProcess(pid), name)() for name in QUESTIONS}
    return told


@pytest.mark.parametrize("pid", [os.getpid(), os.getppid()], ids=["me", "my parent"])
def test_both_tell_the_same(pid):
    """Owner, arguments, name, folder and parent."""
    agreed(pid)


def test_a_name_that_the_kernel_has_cut_off_is_whole(tmp_path):
    """It keeps 15 bytes, the arguments all; a name of 15 is whole as it is."""
    for name in ("a-program-of-22-letters", "fifteen-letters", "mit-Umlauten-äöü-und-mehr"):
        program = tmp_path / name
        program.symlink_to("/bin/cat")
        with running(str(program), folder=tmp_path) as pid:
            told = ProcessFiles(pid)
            assert (told.name(), told.arguments(), told.parent()) == (name, [str(program)], os.getpid())
            if name.isascii():
                agreed(pid)


def test_a_name_that_the_arguments_do_not_have_stays_cut_off(tmp_path):
    """A program that was started under another name."""
    program = tmp_path / "a-program-of-22-letters"
    program.symlink_to("/bin/cat")
    with subprocess.Popen(["other"], executable=program, stdin=subprocess.PIPE) as process:
        wait_until(lambda: psutil.Process(process.pid).cmdline() == ["other"], "its program")
        assert agreed(process.pid)["name"] == "a-program-of-22"
        process.stdin.close()


def test_a_folder_that_was_deleted_is_told_without_the_kernels_mark(tmp_path):
    """The kernel writes " (deleted)" behind it; a folder may be called so, too."""
    gone, odd = tmp_path / "gone", tmp_path / "odd (deleted)"
    for folder in (gone, odd):
        folder.mkdir()
    with running("cat", folder=gone) as pid, running("cat", folder=odd) as other:
        gone.rmdir()
        assert agreed(pid)["folder"] == str(gone)
        assert agreed(other)["folder"] == str(odd)


@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        (b"cat\0-u\0", ["cat", "-u"]),
        (b"cat\0\0a b\0", ["cat", "", "a b"]),
        (b"postgres: writer\0", ["postgres:", "writer"]),
        (b"chrome --type=x", ["chrome", "--type=x"]),
        (b"\0", [""]),
        (b"\xff\0", ["\udcff"]),
    ],
)
def test_titles_over_the_arguments_are_read_as_psutil_does(monkeypatch, text, arguments):
    """Written by setproctitle and others, with or without a NUL behind them."""
    monkeypatch.setattr(process_files, "read_file", lambda _path: text)
    assert ProcessFiles(os.getpid()).arguments() == arguments


def test_a_file_longer_than_one_read_is_read_whole(tmp_path):
    """A command line can have hundreds of kilobytes."""
    words = ["x" * 1000] * 200
    with running("sh", "-c", "read x", *words, folder=tmp_path) as pid:
        assert ProcessFiles(pid).arguments() == ["sh", "-c", "read x", *words]


def test_a_zombie_has_a_name_and_an_owner_but_neither_arguments_nor_folder():
    """Both say so."""
    with zombie() as pid:
        for process in (ProcessFiles(pid), LibraryProcess(pid)):
            assert (process.name(), process.owner()[0]) == ("true", os.getuid())
            assert process.parent() == os.getpid()
            for question in (process.arguments, process.folder):
                with pytest.raises(ZombieError):
                    question()


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_process_that_is_gone_is_gone_for_each_question(question):
    """Its files are, and nothing is made up."""
    with pytest.raises(ProcessLookupError):
        getattr(ProcessFiles(NOBODY), question)()


@pytest.mark.parametrize("question", ["owner", "name", "parent"])
def test_a_file_that_is_empty_is_of_a_process_that_ended(monkeypatch, question):
    """It ended since the file was opened."""
    monkeypatch.setattr(process_files, "read_file", lambda _path: b"")
    with pytest.raises(ProcessLookupError):
        getattr(ProcessFiles(os.getpid()), question)()


def test_psutils_errors_are_told_as_pythons(monkeypatch):
    """One kind of error, whoever is asked."""
    with pytest.raises(ProcessLookupError):
        LibraryProcess(NOBODY)
    process = LibraryProcess(os.getpid())

    def refuse(_process):
        raise psutil.AccessDenied(os.getpid())

    monkeypatch.setattr(psutil.Process, "cmdline", refuse)
    with pytest.raises(PermissionError):
        process.arguments()


def test_a_user_without_a_name_has_its_number():
    """As in some containers."""
    assert process_files.user_name(4_000_000_000) == "4000000000"
