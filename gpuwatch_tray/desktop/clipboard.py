"""
The user's clipboard, by the desktop's program for it, through a pipe: others can read command lines.

On X11 without such a program a thread owns the selection (python-xlib), and hands the text out on each paste.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import queue
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from gpuwatch_tray.common.threads import start_thread
from gpuwatch_tray.i18n import N_, _

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
        raise ClipboardError(_("no clipboard can be reached here: {mend}").format(mend=_(INSTALL)))
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
            _("{command} did not accept the text within {seconds:g} s").format(
                command=command[0], seconds=TIMEOUT
            )
        ) from None
    except OSError as error:
        raise ClipboardError(f"{command[0]}: {error.strerror or error}") from error
    if done.returncode:
        raise ClipboardError(
            _("{command} failed with exit code {code}").format(command=command[0], code=done.returncode)
        )


log = logging.getLogger(__name__)

# Bytes in one property of an X request; more would need INCR, and no command line is longer.
MAX_BYTES = 200_000
TEXT_TARGETS = ("UTF8_STRING", "text/plain;charset=utf-8", "STRING", "TEXT", "text/plain")


def own_selection(text: str, display: str, within: float) -> str:
    """Own the selection with `text` from now on; return the problem in a few words, empty for none."""
    answer: queue.SimpleQueue[str] = queue.SimpleQueue()
    data = text.encode()
    if len(data) > MAX_BYTES:
        log.info("clipboard: the text is cut to %d bytes", MAX_BYTES)
        data = data[:MAX_BYTES].decode(errors="ignore").encode()
    start_thread("clipboard", _serve_selection, data, display, answer)
    try:
        return answer.get(timeout=within)
    except queue.Empty:
        return _("the X server {display} did not answer within {within:g} s").format(
            display=display, within=within
        )


def _serve_selection(data: bytes, display: str, answer: queue.SimpleQueue[str]) -> None:
    try:
        error: Any = importlib.import_module("Xlib.error")
        connection = importlib.import_module("Xlib.display").Display(display)
    except Exception as failed:  # noqa: BLE001  # python-xlib raises what the socket and its parser do
        answer.put(
            _("the X server {display} cannot be reached: {failed}").format(display=display, failed=failed)
        )
        return
    # A reader may go away while it is answered.
    connection.set_error_handler(lambda *_: None)
    # The server has ended, and the clipboard with it.
    with contextlib.suppress(error.ConnectionClosedError, OSError):
        try:
            selection = _Selection(connection, data)
            answer.put("" if selection.owned() else _("another program is holding the clipboard"))
            selection.serve()
        finally:
            connection.close()


class _Selection:
    """The ownership of CLIPBOARD, on its own thread."""

    def __init__(self, connection: Any, data: bytes) -> None:
        self._x: Any = importlib.import_module("Xlib.X")
        self._atoms: Any = importlib.import_module("Xlib.Xatom")
        self._event: Any = importlib.import_module("Xlib.protocol.event")
        self._connection = connection
        self._data = data
        self._window = connection.screen().root.create_window(
            0, 0, 1, 1, 0, connection.screen().root_depth, event_mask=self._x.PropertyChangeMask
        )
        self._clipboard = connection.intern_atom("CLIPBOARD")
        self._time = self._now()
        self._window.set_selection_owner(self._clipboard, self._time)

    def owned(self) -> bool:
        """Return whether we own the selection."""
        return bool(self._connection.get_selection_owner(self._clipboard) == self._window)

    def serve(self) -> None:
        """Answer requests until another owner takes over."""
        if not self.owned():
            return
        while (event := self._connection.next_event()).type != self._x.SelectionClear:
            if event.type == self._x.SelectionRequest:
                self._answer(event)

    def _now(self) -> int:
        """Return the server's time, which an owner must give, from a property change made for this."""
        self._window.change_property(self._atoms.WM_NAME, self._atoms.STRING, 8, b"gpuwatch-tray")
        while (event := self._connection.next_event()).type != self._x.PropertyNotify:
            pass
        return int(event.time)

    def _answer(self, request: Any) -> None:
        place = request.property or request.target  # old programs name no property
        value = self._property_for(request.target)
        if value is not None:
            request.requestor.change_property(place, *value)
        notice = self._event.SelectionNotify(
            time=request.time,
            requestor=request.requestor,
            selection=request.selection,
            target=request.target,
            property=self._x.NONE if value is None else place,
        )
        request.requestor.send_event(notice)
        self._connection.flush()

    def _property_for(self, target: int) -> tuple[int, int, Any] | None:
        """Return the property (type, format, data) that answers a request; None for an unknown target."""
        texts = {self._connection.intern_atom(name): name for name in TEXT_TARGETS}
        targets, timestamp = map(self._connection.intern_atom, ("TARGETS", "TIMESTAMP"))
        if target == targets:
            return self._atoms.ATOM, 32, [targets, timestamp, *texts]
        if target == timestamp:
            return self._atoms.INTEGER, 32, [self._time]
        if target not in texts:
            return None
        name = texts[target]
        if name == "STRING":  # by definition Latin-1
            return target, 8, self._data.decode().encode("latin-1", "replace")
        return (self._connection.intern_atom("UTF8_STRING") if name == "TEXT" else target), 8, self._data
