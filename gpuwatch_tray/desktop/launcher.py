"""Files and commands opened with the desktop's programs, which the tray neither waits for nor ends."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from gpuwatch_tray.common.threads import start_thread
from gpuwatch_tray.i18n import _

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


Openers: TypeAlias = "Mapping[str, tuple[tuple[str, ...], ...]]"  # by system: programs with their options

TIMEOUT = 3.0  # seconds within which an opener reports a failure
FILE_OPENERS = {
    # Windows and macOS have no program for `.env`, but text editors.
    "win32": (("notepad.exe",),),
    "darwin": (("open", "-t"),),
}
UNIX_OPENERS = (("xdg-open",), ("gio", "open"))
BROWSERS = {
    "win32": (("rundll32.exe", "url.dll,FileProtocolHandler"),),
    "darwin": (("open",),),
}


ACTIVATE = 'tell application "Terminal" to activate'


class OpeningError(Exception):
    """It was not opened; the text says why in one line."""


def available(environ: Mapping[str, str] | None = None) -> bool:
    """Return whether there is a program that opens files here."""
    return bool(_find_opener(os.environ if environ is None else environ, FILE_OPENERS))


def open_file(path: str | Path, environ: Mapping[str, str] | None = None) -> None:
    """Open the text file at `path` for the user; raises OpeningError, within seconds."""
    _open(path, environ, FILE_OPENERS)


def open_page(path: str | Path, environ: Mapping[str, str] | None = None) -> None:
    """Open the HTML file at `path` in the browser; raises OpeningError, within seconds."""
    _open(path, environ, BROWSERS)


def open_address(address: str, environ: Mapping[str, str] | None = None) -> None:
    """Open an http address in the browser; raises OpeningError, within seconds."""
    if not address.startswith(("http://", "https://")):  # what follows is then no option of the opener
        raise OpeningError(_("{address} is no address of a web page").format(address=address))
    environ = os.environ if environ is None else environ
    opener = _find_opener(environ, BROWSERS)
    if not opener:
        raise OpeningError(_("no program here opens {name}: install xdg-utils").format(name=address))
    _start([*opener, address], environ, address)


def _open(path: str | Path, environ: Mapping[str, str] | None, openers: Openers) -> None:
    environ = os.environ if environ is None else environ
    opener = _find_opener(environ, openers)
    file = Path(path).absolute()  # an absolute path is no option
    if not opener:
        raise OpeningError(_("no program here opens {file}: install xdg-utils").format(file=file))
    if not file.is_file():
        raise OpeningError(_("there is no file {file}").format(file=file))
    _start([*opener, str(file)], environ, str(file))


def _start(command: Sequence[str], environ: Mapping[str, str], what: str) -> None:
    try:
        # A session of its own, so that it outlives the tray.
        running = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=dict(environ),
            start_new_session=True,
        )
    except OSError as error:
        raise OpeningError(f"{command[0]}: {error.strerror or error}") from error
    try:
        code = running.wait(TIMEOUT)
    except subprocess.TimeoutExpired:
        # It is the editor or terminal itself, whose exit code must be collected one day.
        start_thread("opened", running.wait)
        return
    if code:
        text = _("{program} could not open {file} (exit code {code})")
        raise OpeningError(text.format(program=command[0], file=what, code=code))


def _find_opener(environ: Mapping[str, str], openers: Openers) -> list[str]:
    for program, *options in openers.get(sys.platform, UNIX_OPENERS):
        if found := shutil.which(program, path=environ.get("PATH")):
            return [found, *options]
    return []


# Terminals and the option behind which each takes a command: the desktop's own first, then by a fixed order.
TERMINALS = (
    ("xdg-terminal-exec", ()),
    ("ptyxis", ("--",)),
    ("kgx", ("--",)),  # GNOME Console
    ("gnome-terminal", ("--",)),
    ("konsole", ("-e",)),
    ("xfce4-terminal", ("-x",)),
    ("qterminal", ("-e",)),
    ("mate-terminal", ("-x",)),
    ("kitty", ()),
    ("foot", ()),
    ("alacritty", ("-e",)),
    ("wezterm", ("start", "--")),
    ("x-terminal-emulator", ("-e",)),  # Debian's alternative
    ("xterm", ("-e",)),
)
OWN_TERMINALS = {  # by XDG_CURRENT_DESKTOP
    "GNOME": ("ptyxis", "kgx", "gnome-terminal"),
    "KDE": ("konsole",),
    "XFCE": ("xfce4-terminal",),
    "LXQt": ("qterminal",),
    "MATE": ("mate-terminal",),
}


def open_terminal(command: Sequence[str], environ: Mapping[str, str] | None = None) -> None:
    """Run `command` in a new terminal window, which waits for Enter at its end; raises OpeningError."""
    environ = os.environ if environ is None else environ
    words = terminal_command(command, environ)
    if not words:
        raise OpeningError(
            _("no terminal was found here; run: {command}").format(command=shlex.join(command))
        )
    _start(words, environ, shlex.join(command))


def has_terminal(environ: Mapping[str, str] | None = None) -> bool:
    """Return whether `open_terminal` has a program to open."""
    return bool(terminal_command(["true"], os.environ if environ is None else environ))


def terminal_command(
    command: Sequence[str], environ: Mapping[str, str], system: str = sys.platform
) -> list[str]:
    """Return the words that open a terminal with `command` on this system; none where there is none."""
    if system == "win32":
        return ["cmd.exe", "/c", "start", "gpuwatch-tray", "cmd.exe", "/k", *command]
    if system == "darwin":
        quoted = shlex.join(command).replace("\\", "\\\\").replace('"', '\\"')
        return ["osascript", "-e", f'tell application "Terminal" to do script "{quoted}"', "-e", ACTIVATE]
    question = shlex.quote(_("Press Enter to close this window. "))
    wait = f"printf '\\n%s' {question}; read -r _ || :"
    waiting = f"{shlex.join(command)}; {wait}"
    own = [
        name
        for part in environ.get("XDG_CURRENT_DESKTOP", "").split(":")
        for name in OWN_TERMINALS.get(part, ())
    ]
    for name, options in sorted(TERMINALS, key=lambda terminal: terminal[0] not in own):
        if found := shutil.which(name, path=environ.get("PATH")):
            return [found, *options, "sh", "-c", waiting]
    return []
