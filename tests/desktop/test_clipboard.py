"""The clipboard: which way is taken, what arrives, and what is said when nothing can."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading

import pytest

from gpuwatch_tray.desktop import clipboard
from gpuwatch_tray.desktop.clipboard import ClipboardError, available, copy
from tests.desktop.tools import add_program, environment_with
from tests.e2e import rig
from tests.support.timing import wait_until

COMMAND = "python train.py --name 'Zoë ☃' --batch_size=64\nsecond line"
TAKE = '#!/bin/sh\necho "$0 $*" > "$TOOLS/called"\ncat > "$TOOLS/taken"\n'


WAYS = [
    # a Wayland session has its own program
    (("wl-copy", "xclip", "xsel"), {"WAYLAND_DISPLAY": "wayland-1", "DISPLAY": ":1"}, "wl-copy"),
    # without it, XWayland's clipboard is the next best
    (("xclip", "xsel"), {"WAYLAND_DISPLAY": "wayland-1", "DISPLAY": ":1"}, "xclip"),
    # wl-copy is of no use on X11
    (("wl-copy", "xclip", "xsel"), {"DISPLAY": ":1"}, "xclip"),
    (("xsel",), {"DISPLAY": ":1"}, "xsel"),
]


@pytest.mark.parametrize(("installed", "session", "taken"), WAYS)
def test_the_desktops_own_program_gets_the_text(tools, installed, session, taken):
    """By its pipe, whole, and never among its arguments."""
    for name in installed:
        add_program(tools, name, TAKE)
    environ = environment_with(tools, **session)
    assert available(environ)
    copy(COMMAND, environ)
    assert (tools / "taken").read_text() == COMMAND
    called = (tools / "called").read_text()
    assert called.startswith(str(tools / taken))
    assert "train.py" not in called


NOWHERE = [
    # no desktop at all
    (("wl-copy", "xclip"), {}),
    # Wayland alone, without the program for it
    (("xclip",), {"WAYLAND_DISPLAY": "wayland-1"}),
]


@pytest.mark.parametrize(("installed", "session"), NOWHERE)
def test_without_a_clipboard_nothing_is_offered_and_the_error_says_what_to_install(tools, installed, session):
    """`available` says no, and `copy` names the packages."""
    for name in installed:
        add_program(tools, name, TAKE)
    environ = environment_with(tools, **session)
    assert not available(environ)
    with pytest.raises(ClipboardError, match="install wl-clipboard"):
        copy("x", environ)


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("#!/bin/sh\nexit 3\n", "xclip failed with exit code 3"),
        ("#!/no/such/shell\n", "xclip: "),
        ("#!/bin/sh\nexec sleep 20\n", "did not accept the text within"),
    ],
)
def test_a_program_that_fails_or_hangs_is_named_and_the_text_is_not(tools, monkeypatch, script, said):
    """One line with the program and its trouble, within bounds, and no secret in it."""
    monkeypatch.setattr(clipboard, "TIMEOUT", 0.3)
    add_program(tools, "xclip", script)
    with pytest.raises(ClipboardError, match=said) as told:
        copy("--password hunter22", environment_with(tools, DISPLAY=":1"))
    assert "hunter22" not in str(told.value)


@pytest.mark.parametrize(
    ("platform", "expected", "data"),
    [
        ("win32", ["clip.exe"], "é☃".encode("utf-16-le")),
        ("darwin", ["pbcopy"], "é☃".encode()),
    ],
)
def test_windows_and_macos_have_a_program_of_their_own(monkeypatch, platform, expected, data):
    """clip.exe takes UTF-16, pbcopy UTF-8 and a locale that says so."""
    calls = []

    def run(command, **more):
        calls.append((command, more["input"], more["env"].get("LC_CTYPE")))
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(subprocess, "run", run)
    copy("é☃", {})
    assert calls == [(expected, data, "UTF-8" if platform == "darwin" else None)]


@pytest.fixture(scope="module")
def screen(tmp_path_factory):
    """Start a real X server; yield its DISPLAY."""
    rig.require()
    if shutil.which("xclip") is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("the clipboard's tests need xclip")
    with rig.display(tmp_path_factory.mktemp("screen")) as name:
        yield name


def paste(screen, target="UTF8_STRING"):
    """Return what another program finds on the clipboard."""
    command = ["xclip", "-display", screen, "-selection", "clipboard", "-out", "-target", target]
    return subprocess.run(command, capture_output=True, timeout=60, check=False).stdout


def owners():
    return [thread for thread in threading.enumerate() if thread.name == "clipboard"]


@pytest.mark.desktop
def test_xclip_puts_it_on_a_real_clipboard(screen):
    """With the program installed, another program pastes what was copied."""
    copy(COMMAND, {**os.environ, "DISPLAY": screen, "WAYLAND_DISPLAY": ""})
    wait_until(lambda: paste(screen).decode() == COMMAND, "xclip, which goes on by itself, to have it")


@pytest.mark.desktop
def test_without_a_program_the_tray_itself_holds_the_clipboard(screen, tools):
    """Each form that programs ask for is answered, an unknown one is refused, and again after that."""
    copy(COMMAND, environment_with(tools, DISPLAY=screen))
    targets = paste(screen, "TARGETS").decode().split()
    assert {"TARGETS", "TIMESTAMP", "UTF8_STRING", "STRING", "text/plain;charset=utf-8"} <= set(targets)
    for target in ("UTF8_STRING", "text/plain;charset=utf-8", "text/plain", "TEXT"):
        assert paste(screen, target).decode() == COMMAND
    assert paste(screen, "STRING") == COMMAND.encode("latin-1", "replace")
    assert paste(screen, "image/png") == b""
    assert int(paste(screen, "TIMESTAMP")) > 0
    assert paste(screen).decode() == COMMAND


@pytest.mark.desktop
def test_the_next_copy_takes_over_and_leaves_no_thread_behind(screen, tools):
    """One owner at a time; none once another program has the clipboard."""
    for number in range(5):
        copy(f"copy {number}", environment_with(tools, DISPLAY=screen))
        assert paste(screen).decode() == f"copy {number}"
    wait_until(lambda: len(owners()) == 1, "the former owners to end")
    taking = ["xclip", "-display", screen, "-selection", "clipboard", "-in"]
    subprocess.run(taking, input=b"theirs", stdout=subprocess.DEVNULL, timeout=60, check=True)
    wait_until(lambda: not owners(), "the last owner to end")
    assert paste(screen) == b"theirs"


@pytest.mark.desktop
def test_a_text_too_long_for_one_answer_is_cut_between_characters(screen, tools):
    """More than fits into one property arrives as its beginning, and is still UTF-8."""
    copy("x" + "é" * clipboard.MAX_BYTES, environment_with(tools, DISPLAY=screen))
    got = paste(screen)
    assert len(got) == clipboard.MAX_BYTES - 1
    assert set(got.decode()) == {"x", "é"}


@pytest.mark.desktop
def test_an_x_server_that_ends_takes_the_owner_with_it(tools, tmp_path):
    """No thread stays, and nothing is raised in it."""
    rig.require()
    before = len(owners())
    with rig.display(tmp_path) as name:
        copy("x", environment_with(tools, DISPLAY=name))
        assert len(owners()) == before + 1
    wait_until(lambda: len(owners()) <= before, "the owner to end")


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # python-xlib's, where nobody answers
def test_an_x_server_that_is_not_there_is_an_error_that_names_it(tools):
    """DISPLAY may point to a session that has ended."""
    before = owners()
    with pytest.raises(ClipboardError, match=r"the X server :65000 cannot be reached"):
        copy("x", environment_with(tools, DISPLAY=":65000"))
    wait_until(lambda: set(owners()) <= set(before), "the attempt to end")
