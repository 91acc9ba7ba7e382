"""The details page, one self-contained HTML file; made in a process of its own, the tray never loads it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuwatch_tray.common import redact
from gpuwatch_tray.i18n import _
from gpuwatch_tray.model import labelled
from gpuwatch_tray.report import payload
from gpuwatch_tray.report.page import Feed, render_page
from gpuwatch_tray.report.payload import PageContext, build_payload

if TYPE_CHECKING:
    from gpuwatch_tray.model import History


__all__ = ["Feed", "PageContext", "html", "step"]


def html(history: History, about: PageContext) -> str:
    """Return the page about `history`."""
    title = labelled(_("GPUs on {host}").format(host=redact.one_line(about.host)), simulated=about.simulated)
    noscript = _("This page needs JavaScript, which is switched off here.")
    return render_page(build_payload(history, about), title=title, noscript=noscript, feed=about.feed)


def step(start: float, end: float) -> int:
    """Return the seconds of which the page shows one value, over this span."""
    return payload.make_grid(start, end).step
