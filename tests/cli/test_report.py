"""`report` through the installed console script, and the way of its page to a browser."""

from __future__ import annotations

import json
import os
import re
import stat
import sys
from pathlib import Path

import pytest

from gpuwatch_tray.app import report_page
from gpuwatch_tray.app.report_page import ReportPageError, ReportPageOpener, page_file, write_page
from gpuwatch_tray.desktop import launcher
from tests.driver.scenario import FakeGpu, FakeProcess, Scenario
from tests.support.installed import MIB
from tests.support.workers import workers

OPENER = '#!/bin/sh\ncp "$1" "$(dirname "$0")/opened.html"\n'


@pytest.fixture
def opener(tmp_path, installed):
    """An xdg-open that keeps what it was given."""
    folder = tmp_path / "tools"
    folder.mkdir()
    (folder / "xdg-open").write_text(OPENER)
    (folder / "xdg-open").chmod(0o755)
    installed.environment["PATH"] = f"{folder}:{installed.environment['PATH']}"
    return folder


def payload(file):
    found = re.search(r'<script id="data" type="application/json">(.*?)</script>', Path(file).read_text())
    return json.loads(found[1])


def mode(path):
    return stat.S_IMODE(Path(path).stat().st_mode)


def test_it_makes_a_private_page_and_prints_where(installed):
    """Mode 0600 in a folder of 0700; made again it takes the last one's place, and nothing else stays."""
    first, again = installed.run("report"), installed.run("report")
    assert (first.returncode, first.stderr) == (0, "")
    assert first.stdout == again.stdout
    file = Path(first.stdout.strip())
    assert (mode(file), mode(file.parent)) == (0o600, 0o700)
    assert list(file.parent.iterdir()) == [file]
    assert payload(file)["state"]["level"] == "no_data"


def test_out_and_hours(installed, tmp_path):
    """--out puts it where it is told to, as private; --hours says how far back it goes."""
    file = tmp_path / "week page.html"
    file.write_text("old")
    file.chmod(0o644)
    done = installed.run("report", "--out", str(file), "--hours", "168")
    assert (done.returncode, done.stdout) == (0, f"{file}\n")
    assert mode(file) == 0o600
    assert payload(file)["lang"] == "en"


def test_what_a_killed_program_left_is_removed(tmp_path):
    """An unfinished page of an hour ago goes; one that is being made, and other files, stay."""
    file = tmp_path / "box.html"
    old, young, other = (
        tmp_path / f".{name}" for name in ("box.html.0123abcd", "box.html.89abcdef", "bashrc")
    )
    for each in (old, young, other):
        each.write_text("part")
    for each in (old, other):
        os.utime(each, (0, 0))
    write_page(file, "whole")
    assert sorted(tmp_path.iterdir()) == sorted([file, young, other])


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--hours", "0"], 2, "expected a whole number above 0"),
        (["--hours", "721"], 2, "--hours: expected at most 720"),
        (["--out", "no/such/folder/page.html"], 1, "no/such/folder/page.html: No such file or directory"),
        (["--out", ""], 2, "--out: expected a file's name, or - for standard output"),
        (["--out", "-", "--open"], 2, "--out - and --open cannot be used together"),
        (["--demo"], 1, "no demo is running"),
    ],
)
def test_mistakes(installed, words, code, said):
    """What cannot be done is one clear line, with the right exit code."""
    done = installed.run("report", *words)
    assert (done.returncode, done.stdout) == (code, "")
    assert said in done.stderr


@pytest.mark.driver
def test_beside_a_watcher_the_page_has_the_present(installed, opener, tmp_path):
    """State, values and one's own redacted command come from the watcher; the browser gets the page."""
    installed.configure(POLL_SEC=30)
    with workers(tmp_path, ["train.py", "--wandb-key", "hunter22"]) as (mine,):
        installed.play(Scenario(gpus=[FakeGpu.numbered(0, FakeProcess(mine.pid, 2828 * MIB))]))
        with installed.watching():
            done = installed.run("report", "--open")
    assert (done.returncode, done.stderr) == (0, "")
    assert (opener / "opened.html").read_text() == Path(done.stdout.strip()).read_text()
    found = payload(opener / "opened.html")
    assert found["state"]["level"] == "ok"
    assert found["watched"]
    assert found["feed"]["file"].endswith(".live.js")
    assert found["options"] == ""
    assert "hunter22" not in (opener / "opened.html").read_text()


@pytest.mark.driver
def test_a_page_to_keep_follows_nothing(installed, opener, tmp_path):
    """With --out, or unless it is opened, no data file is written, and the page admits no further script."""
    file = tmp_path / "kept.html"
    with installed.watching():
        kept = installed.run("report", "--open", "--out", str(file))
        made = installed.run("report")
    assert (kept.returncode, made.returncode) == (0, 0)
    for page in (file, Path(made.stdout.strip())):
        assert payload(page)["watched"]
        assert payload(page)["feed"] is None
        assert "nonce-" not in page.read_text()
        assert list(page.parent.glob("*.live.js")) == []


def test_the_page_says_how_a_terminal_here_calls_this_program(installed, tmp_path):
    """By its name where the PATH has it, else by the script's place: what is copied must work."""
    (tmp_path / "empty").mkdir()
    file = tmp_path / "page.html"
    for path, called in ((installed.script.parent, "gpuwatch-tray"), (tmp_path / "empty", installed.script)):
        assert installed.run("report", "--out", str(file), PATH=str(path)).returncode == 0
        assert payload(file)["called"] == str(called)


def test_without_an_opener_it_says_so(installed, tmp_path):
    """The page is made and named, and the missing program too; the exit code is 1."""
    (tmp_path / "empty").mkdir()
    done = installed.run("report", "--open", PATH=str(tmp_path / "empty"))
    assert done.returncode == 1
    assert Path(done.stdout.strip()).is_file()
    assert "install xdg-utils" in done.stderr


def told(monkeypatch, script):
    """Details whose child is a small program."""
    monkeypatch.setattr(launcher, "available", lambda: True)
    return ReportPageOpener([sys.executable, "-c", script])


def test_a_child_that_fails_is_an_error_with_its_last_line(monkeypatch):
    """What the child said last is what the person is told."""
    shown = told(monkeypatch, "import sys; sys.exit('first\\ngpuwatch-tray: the disk is full')")
    with pytest.raises(ReportPageError, match="the disk is full"):
        shown.open_page()
    told(monkeypatch, "").open_page()


def test_clicks_in_a_row_are_one(monkeypatch, tmp_path):
    """Whoever clicks thrice gets one page; a click a while later gets another."""
    monkeypatch.setattr(report_page, "CLICK_PAUSE", 0.5)
    log = tmp_path / "log"
    shown = told(monkeypatch, f"open({str(log)!r}, 'a').write('x')")
    for _ in range(3):
        shown.open_page()
    assert log.read_text() == "x"
    monkeypatch.setattr(report_page, "CLICK_PAUSE", 0.0)
    shown.open_page()
    assert log.read_text() == "xx"


def test_a_child_that_hangs_is_ended(monkeypatch):
    """A click is never kept for ever."""
    monkeypatch.setattr(report_page, "PAGE_TIMEOUT", 0.3)
    with pytest.raises(ReportPageError, match=r"not finished within 0\.3 s"):
        told(monkeypatch, "import time; time.sleep(60)").open_page()


def test_a_browser_from_a_snap_gets_the_page_where_it_may_read(tmp_path):
    """The default browser's entry is a snap's: its own common folder; any other entry: the state's."""
    snaps, tools, home = tmp_path / "snaps", tmp_path / "tools", tmp_path / "home"
    common = home / "snap/firefox/common"
    for folder in (snaps, tools, common):
        folder.mkdir(parents=True)
    (snaps / "firefox_firefox.desktop").touch()
    environ = {"PATH": f"{tools}:/usr/bin:/bin", "HOME": str(home)}
    for entry, folder in (
        ("firefox_firefox.desktop", common / "gpuwatch-tray"),
        ("firefox.desktop", tmp_path / "page"),
        ("", tmp_path / "page"),
    ):
        (tools / "xdg-mime").write_text(f"#!/bin/sh\necho {entry}\n")
        (tools / "xdg-mime").chmod(0o755)
        assert page_file(tmp_path, "box", environ, snaps) == folder / "box.html"
    assert page_file(tmp_path, "box", environ, tmp_path / "none") == tmp_path / "page/box.html"


def test_out_may_be_standard_output(installed):
    """`-` prints the page and nothing else, for a pipe."""
    done = installed.run("report", "--out", "-")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("<!DOCTYPE html>")
    assert done.stdout.rstrip().endswith("</html>")
    assert not (installed.folder / "-").exists()


def test_a_device_or_fifo_is_written_into(tmp_path):
    """As root, /dev/null would be replaced by a file for the whole machine; a fifo's reader would wait."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with pytest.raises(OSError, match="No such device or address"):  # nobody reads: no endless wait
        write_page(fifo, "whole")
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    try:
        write_page(fifo, "whole")
        assert os.read(reader, 100) == b"whole"
    finally:
        os.close(reader)
    assert stat.S_ISFIFO(fifo.stat().st_mode)
    null = tmp_path / "null"
    null.symlink_to("/dev/null")
    write_page(null, "whole")
    assert null.is_symlink()
    assert sorted(tmp_path.iterdir()) == [fifo, null]


def test_a_link_to_a_file_stays_one(tmp_path):
    """The page goes where the link points to."""
    file, link = tmp_path / "page.html", tmp_path / "link.html"
    file.write_text("old")
    link.symlink_to(file)
    write_page(link, "whole")
    assert link.is_symlink()
    assert file.read_text() == "whole"
