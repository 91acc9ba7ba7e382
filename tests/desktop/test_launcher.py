"""Opening a file: which program gets it, and what is said when none can."""

from __future__ import annotations

import os
import shutil
import sys
import threading
import time

import pytest

from gpuwatch_tray.desktop import launcher
from gpuwatch_tray.desktop.launcher import (
    OpeningError,
    available,
    has_terminal,
    open_address,
    open_file,
    open_page,
    open_terminal,
    terminal_command,
)
from tests.desktop.tools import add_program, environment_with
from tests.support.timing import slowness, wait_until

NOTE = '#!/bin/sh\nfor word in "$0" "$@"; do echo "$word" >> "$TOOLS/called"; done\n'


@pytest.fixture
def odd_file(tmp_path, monkeypatch):
    """Make a file whose name looks like an option, in the current folder."""
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "-my gpu.env"
    file.write_text("GPU_LIMIT=2\n")
    return file


@pytest.mark.parametrize(
    ("installed", "called"),
    [
        (("xdg-open", "gio"), ["xdg-open"]),
        (("gio",), ["gio", "open"]),
    ],
)
def test_the_desktops_opener_gets_the_whole_path(tools, odd_file, installed, called):
    """As one argument that no program takes for an option."""
    for name in installed:
        add_program(tools, name, NOTE)
    assert available(environment_with(tools))
    open_file(odd_file.name, environment_with(tools))
    first, *others = (tools / "called").read_text().splitlines()
    assert [first, *others] == [str(tools / called[0]), *called[1:], str(odd_file)]


def test_without_an_opener_it_is_not_offered_and_the_error_says_what_to_install(tools, odd_file):
    """`available` says no; `open_file` names the package."""
    assert not available(environment_with(tools))
    with pytest.raises(OpeningError, match="install xdg-utils"):
        open_file(odd_file, environment_with(tools))


def test_a_file_that_is_not_there_is_named(tools, tmp_path):
    """No opener is started for it: each shows such an error in its own way, or not at all."""
    add_program(tools, "xdg-open", NOTE)
    with pytest.raises(OpeningError, match=r"there is no file .*none\.env"):
        open_file(tmp_path / "none.env", environment_with(tools))
    assert not (tools / "called").exists()


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("#!/bin/sh\nexit 4\n", r"could not open .*my gpu\.env \(exit code 4\)"),
        ("#!/no/such/shell\n", "xdg-open: "),
    ],
)
def test_an_opener_that_fails_is_an_error(tools, odd_file, script, said):
    """The user is told, instead of nothing happening."""
    add_program(tools, "xdg-open", script)
    with pytest.raises(OpeningError, match=said):
        open_file(odd_file, environment_with(tools))


def test_an_editor_that_stays_open_is_not_waited_for(tools, odd_file, monkeypatch):
    """The click is done at once, and its exit code is fetched when it ends: no zombie stays."""
    monkeypatch.setattr(launcher, "TIMEOUT", 0.2)
    script = '#!/bin/sh\nwhile [ ! -e "$TOOLS/closed" ]; do sleep 0.05; done\n'
    add_program(tools, "xdg-open", script)
    began = time.monotonic()
    open_file(odd_file, environment_with(tools))
    assert time.monotonic() - began < 3 * slowness()
    assert [thread.name for thread in threading.enumerate()].count("opened") == 1
    (tools / "closed").touch()
    wait_until(lambda: "opened" not in [thread.name for thread in threading.enumerate()], "the editor's end")


@pytest.mark.parametrize(("platform", "called"), [("win32", ["notepad.exe"]), ("darwin", ["open", "-t"])])
def test_windows_and_macos_open_it_with_their_text_editor(tools, odd_file, monkeypatch, platform, called):
    """No program of theirs is bound to `.env`."""
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(shutil, "which", lambda name, path: f"{path}/{name}")  # it asks for the system too
    add_program(tools, called[0], NOTE)
    open_file(odd_file, environment_with(tools))
    words = (tools / "called").read_text().splitlines()
    assert words == [str(tools / called[0]), *called[1:], str(odd_file)]


@pytest.mark.parametrize(
    ("platform", "called"),
    [
        ("linux", ["xdg-open"]),
        ("win32", ["rundll32.exe", "url.dll,FileProtocolHandler"]),
        ("darwin", ["open"]),
    ],
)
def test_a_page_goes_to_what_the_system_shows_html_with(tools, odd_file, monkeypatch, platform, called):
    """A browser, and not the text editor that a settings file gets."""
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(shutil, "which", lambda name, path: f"{path}/{name}")
    add_program(tools, called[0], NOTE)
    open_page(odd_file, environment_with(tools))
    words = (tools / "called").read_text().splitlines()
    assert words == [str(tools / called[0]), *called[1:], str(odd_file)]


def test_only_an_address_of_the_web_is_opened_as_one(tools):
    """An option, a file or another scheme never reaches the program that opens pages."""
    add_program(tools, "xdg-open", NOTE)
    open_address("https://grafana.example.org/d/1", environment_with(tools))
    for other in ("-x", "/etc/passwd", "file:///etc/passwd", "javascript:alert(1)"):
        with pytest.raises(OpeningError, match="no address of a web page"):
            open_address(other, environment_with(tools))
    called = (tools / "called").read_text().splitlines()
    assert called == [str(tools / "xdg-open"), "https://grafana.example.org/d/1"]


RUNS = '#!/bin/sh\necho "$0" "$1" >> "$TOOLS/called"\nshift\nexec "$@" < /dev/null > "$TOOLS/window" 2>&1\n'


@pytest.mark.parametrize(
    ("desktop", "there", "taken"),
    [
        ("XFCE", ("xfce4-terminal", "xterm"), "xfce4-terminal -x"),
        ("KDE", ("xfce4-terminal", "konsole"), "konsole -e"),
        ("ubuntu:GNOME", ("xfce4-terminal", "gnome-terminal"), "gnome-terminal --"),
        ("sway", ("xterm",), "xterm -e"),
    ],
)
def test_a_command_runs_in_the_desktops_own_terminal(tools, desktop, there, taken):
    """The window shows what the command says, word for word, and does not vanish with it."""
    for name in there:
        add_program(tools, name, RUNS)
    environ = environment_with(tools) | {"XDG_CURRENT_DESKTOP": desktop}
    environ["PATH"] += f":{os.environ['PATH']}"  # for sh and printf
    assert has_terminal(environ)
    open_terminal(["printf", "%s.", "two words", "it's"], environ)
    wait_until(lambda: "Enter" in (tools / "window").read_text(), "the end of the command")
    assert (tools / "window").read_text() == "two words.it's.\nPress Enter to close this window. "
    assert (tools / "called").read_text() == f"{tools / taken.split()[0]} {taken.split()[1]}\n"


def test_without_a_terminal_the_command_is_told(tools):
    """It is not offered; who asks all the same can type it."""
    environ = environment_with(tools)
    assert not has_terminal(environ)
    with pytest.raises(OpeningError, match="no terminal was found here; run: gpuwatch-tray setup mail"):
        open_terminal(["gpuwatch-tray", "setup", "mail"], environ)


def test_windows_and_macos_open_their_own_terminal():
    """Neither has been run; the words are those of `start` and of Terminal's dictionary."""
    words = ["/Users/a b/gpuwatch-tray", "setup", "mail"]
    assert terminal_command(words, {}, "win32")[:4] == ["cmd.exe", "/c", "start", "gpuwatch-tray"]
    assert terminal_command(words, {}, "win32")[-3:] == words
    script = terminal_command(words, {}, "darwin")[2]
    assert script == 'tell application "Terminal" to do script "\'/Users/a b/gpuwatch-tray\' setup mail"'
