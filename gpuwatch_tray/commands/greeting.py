"""The popup of the very first start: what is watched, and what may be done next."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from gpuwatch_tray.language import _, ngettext
from gpuwatch_tray.model import Button, Popup, Severity, known
from gpuwatch_tray.store import StoreError

if TYPE_CHECKING:
    from gpuwatch_tray.context import RunContext
    from gpuwatch_tray.model import Snapshot
    from gpuwatch_tray.notifiers import PopupSink
    from gpuwatch_tray.store import Store

log = logging.getLogger(__name__)

KEY = "welcome"


class Welcome:
    """Pops up at the first good reading of a state that has never been greeted; once a run at most."""

    def __init__(
        self, setup: RunContext, store: Store, popups: PopupSink, buttons: tuple[Button, ...]
    ) -> None:
        self._setup = setup
        self._store = store
        self._popups = popups
        self._buttons = buttons
        self._done = setup.simulated  # a demo has a state for itself each time, and says enough

    def see(self, snapshot: Snapshot) -> None:
        """One reading; on the poller's thread."""
        if self._done or snapshot.problem is not None or not snapshot.gpus:
            return
        self._done = True
        try:
            if not self._store.was_greeted() and self._popups.show(self._popup(snapshot)):
                self._store.record_greeting()
        except StoreError as error:
            log.warning("%s", error)

    def _popup(self, snapshot: Snapshot) -> Popup:
        whole = [gpu for gpu in snapshot.gpus if not gpu.physical]
        title = ngettext(
            "gpuwatch-tray watches {count} GPU", "gpuwatch-tray watches {count} GPUs", len(whole)
        ).format(count=len(whole))
        names = ", ".join(dict.fromkeys(known(gpu.name) or gpu.uuid or f"GPU {gpu.index}" for gpu in whole))
        lines = [names, _("It needs no settings; its menu is at the icon in the panel.")]
        if not self._setup.settings.to_email:
            lines.append(_("To be mailed as well, set TO_EMAIL in the settings."))
        return Popup(KEY, title, "\n".join(lines), Severity.INFO, self._buttons)
