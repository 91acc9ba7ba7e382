"""Advice where no program shows tray icons."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from gpuwatch_tray.language import N_, _
from gpuwatch_tray.tray.sni import WATCHER
from gpuwatch_tray.within import start_thread

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Mapping

    from gpuwatch_tray.bus import SessionBus

log = logging.getLogger(__name__)

HOST_TIMEOUT = 60.0  # seconds: a panel may start late at login
ADVICE_STATUS = N_("Until then, `gpuwatch-tray status` tells how things stand.")
ADVICE_GNOME = N_(
    "GNOME shows tray icons only with its extension “AppIndicator and KStatusNotifierItem Support”:"
    " install it from extensions.gnome.org (Debian and Ubuntu: gnome-shell-extension-appindicator),"
    " log in again and enable it."
)
ADVICE_WLROOTS = N_(
    "waybar shows tray icons with its module “tray”: add it to the modules in waybar's configuration."
)
ADVICE_ANY = N_(
    "No program here shows tray icons: start a panel with a tray (StatusNotifier),"
    " such as xfce4-panel, lxqt-panel or waybar."
)
WLROOTS_DESKTOPS = frozenset({"sway", "wlroots", "hyprland", "river", "labwc", "wayfire", "niri"})


def panel_advice(environ: Mapping[str, str]) -> str:
    """Return what to install on this desktop, by XDG_CURRENT_DESKTOP."""
    desktops = {name.lower() for name in environ.get("XDG_CURRENT_DESKTOP", "").split(":")}
    if any(name.startswith("gnome") or name in {"ubuntu", "unity"} for name in desktops):
        return f"{_(ADVICE_GNOME)} {_(ADVICE_STATUS)}"
    return f"{_(ADVICE_WLROOTS if desktops & WLROOTS_DESKTOPS else ADVICE_ANY)} {_(ADVICE_STATUS)}"


class MissingHostDetector:
    """
    A detector that calls `notify` once when no host has shown tray icons for `timeout` seconds in a row.

    It counts on the bus's loop and notifies on a thread of its own, for the notice may itself use the bus.
    """

    def __init__(
        self,
        bus: SessionBus,
        notify: Callable[[str], None],
        environ: Mapping[str, str],
        timeout: float = HOST_TIMEOUT,
    ) -> None:
        self._bus = bus
        self._notify = notify
        self._advice = panel_advice(environ)
        self._timeout = timeout
        self._countdown: asyncio.TimerHandle | None = None
        self._notified = False

    def start(self) -> None:
        """Start; from any thread."""
        self._bus.on_lost(self._cancel)  # a lost bus is no missing panel
        self._bus.follow_owner(WATCHER, self._owner_changed)

    def _owner_changed(self, owner: str) -> None:
        if owner:
            self._cancel()
        elif self._countdown is None and not self._notified:
            self._countdown = self._bus.loop.call_later(self._timeout, self._timed_out)

    def _cancel(self) -> None:
        if self._countdown is not None:
            self._countdown.cancel()
            self._countdown = None

    def _timed_out(self) -> None:
        self._countdown = None
        self._notified = True
        log.warning("no tray: %s", self._advice)
        start_thread("no-host", self._notify, self._advice)
