"""
The user's clipboard, by the desktop's program for it.

The text goes through a pipe, never on a command line, where others could read it. On X11 without such a
program a thread with a connection of its own owns the selection (python-xlib comes with pystray), for X11
keeps no text: the owner hands it out on each paste.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

from gpuwatch_tray.language import N_, _

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

TIMEOUT = 5.0  # seconds
X11 = (("xclip", "-selection", "clipboard", "-in"), ("xsel", "--clipboard", "--input"))
WAYLAND = (("wl-copy", "--type", "text/plain;charset=utf-8"),)
INSTALL = N_("install wl-clipboard (Wayland) or xclip (X11)")


class ClipboardError(Exception):
    """The text could not be copied; the message says why without the text."""


def available(environ: Mapping[str, str] | None = None) -> bool:
    """Return whether `copy` can reach a clipboard."""
    return _copy_function(os.environ if environ is None else environ) is not None


def copy(text: str, environ: Mapping[str, str] | None = None) -> None:
    """Put `text` on the clipboard; raises ClipboardError, within seconds."""
    put = _copy_function(os.environ if environ is None else environ)
    if put is None:
        raise ClipboardError(_("there is no clipboard to reach here: {mend}").format(mend=_(INSTALL)))
    put(text)


def _copy_function(environ: Mapping[str, str]) -> Callable[[str], None] | None:
    elsewhere = {
        "win32": lambda text: _pipe(["clip.exe"], text.encode("utf-16-le"), environ),
        # pbcopy decodes by the locale, which a login item lacks
        "darwin": lambda text: _pipe(["pbcopy"], text.encode(), {**environ, "LC_CTYPE": "UTF-8"}),
    }
    return elsewhere.get(sys.platform) or _unix(environ)


def _unix(environ: Mapping[str, str]) -> Callable[[str], None] | None:
    display = environ.get("DISPLAY")
    programs = (*(WAYLAND if environ.get("WAYLAND_DISPLAY") else ()), *(X11 if display else ()))
    for program, *options in programs:
        if found := shutil.which(program, path=environ.get("PATH")):
            return lambda text: _pipe([found, *options], text.encode(), environ)
    if not display:
        return None

    def own(text: str) -> None:
        # Late: few need python-xlib.
        from gpuwatch_tray.clipboard.selection import own_selection

        if problem := own_selection(text, display, TIMEOUT):
            raise ClipboardError(problem)

    return own


def _pipe(command: list[str], data: bytes, environ: Mapping[str, str]) -> None:
    try:
        # Not its outputs: the process that stays behind to serve the clipboard would keep a pipe open.
        done = subprocess.run(
            command,
            input=data,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=dict(environ),
            timeout=TIMEOUT,
            check=False,
            start_new_session=True,
        )
    except subprocess.TimeoutExpired:
        raise ClipboardError(
            _("{command} did not take the text within {seconds:g} s").format(
                command=command[0], seconds=TIMEOUT
            )
        ) from None
    except OSError as error:
        raise ClipboardError(f"{command[0]}: {error.strerror or error}") from error
    if done.returncode:
        raise ClipboardError(
            _("{command} failed with exit code {code}").format(command=command[0], code=done.returncode)
        )
