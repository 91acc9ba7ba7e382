"""
The details page as one HTML file: template, style and program from `assets/`, its texts, colours and data.

A strict content security policy admits only these very texts, whatever a process name tries to smuggle in.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

from gpuwatch_tray.i18n import _

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any


# Okabe-Ito's hues, darkened or lightened until they stand out from their ground by 3:1 (WCAG 2.2, 1.4.11);
# each line has a dash pattern besides. Owners have pale colours, with the name in the bar.
LINES = ("#0072b2", "#d55e00", "#00805c", "#aa4499", "#2b8cc4", "#8c6d00", "#882255", "#4d4d4d")
LINES_ON_DARK = ("#56b4e9", "#f0883e", "#2fc79a", "#e29ccb", "#a8d8f7", "#e6c34a", "#f08a9b", "#d0d4d8")
OWNERS = ("#bbccee", "#ccddaa", "#eeeebb", "#ffcccc", "#cceeff", "#e0d0f0", "#ffd9b3", "#dddddd")
OWNER_INK = "#16202a"
# The states, as the icon's fills; on white the two light ones and the grey are darker.
STATES = {
    "ok": "#008a64",
    "warning": "#e69f00",
    "critical": "#d55e00",
    "snoozed": "#2b8cc4",
    "no_data": "#6d7a87",
    "info": "#0072b2",
    "limit": "#16202a",
}
STATES_ON_DARK = {
    "ok": "#2fc79a",
    "warning": "#f0b429",
    "critical": "#f0743e",
    "snoozed": "#56b4e9",
    "no_data": "#adb8c3",
    "info": "#56b4e9",
    "limit": "#e6ebf0",
}


def palette_css() -> str:
    """Return the colours as custom properties of CSS."""
    light = "".join(_css_properties(LINES, STATES))
    dark = "".join(_css_properties(LINES_ON_DARK, STATES_ON_DARK))
    return f":root{{{light}}}@media (prefers-color-scheme: dark){{:root{{{dark}}}}}\n"


def _css_properties(lines: tuple[str, ...], states: Mapping[str, str]) -> Iterator[str]:
    for place, colour in enumerate(lines):
        yield f"--gpu{place}:{colour};"
    for place, colour in enumerate(OWNERS):
        yield f"--owner{place}:{colour};"
    yield f"--owner-ink:{OWNER_INK};"
    for name, colour in states.items():
        yield f"--{name}:{colour};"


ASSETS = Path(__file__).resolve().parent / "assets"
PROGRAM = ("basics", "cards", "charts", "marks", "lanes", "tables", "main")
_PLACE = re.compile(r"\{\{(\w+)\}\}")


def render_page(payload: Mapping[str, Any], *, title: str, noscript: str) -> str:
    """Return the whole file; the page's program gets `payload` as it is."""
    style = _asset("vendor/uPlot.min.css") + palette_css() + _asset("page.css")
    library = _asset("vendor/uPlot.iife.min.js")
    parts = "\n".join(_asset(f"{name}.js") for name in PROGRAM)
    program = f'"use strict";\n(() => {{\n{parts}}})();\n'
    policy = (
        "default-src 'none'; base-uri 'none'; form-action 'none'; "
        f"style-src {_digest(style)}; script-src {_digest(library)} {_digest(program)}"
    )
    values = {
        "lang": html.escape(str(payload["lang"])),
        "policy": policy,  # hashes and keywords: nothing that a double quote would end
        "title": html.escape(title),
        "noscript": html.escape(noscript),
        "style": style,
        "data": script_safe_json(payload),
        "library": library,
        "program": program,
    }
    # In one pass: inserted text is never searched for placeholders.
    return _PLACE.sub(lambda match: values[match[1]], _asset("page.html"))


def script_safe_json(payload: Mapping[str, Any]) -> str:
    """Return JSON that ends no script element, whatever its strings: `&`, `<` and `>` are escaped."""
    text = json.dumps(payload, separators=(",", ":"), allow_nan=False)
    return text.replace("&", r"\u0026").replace("<", r"\u003c").replace(">", r"\u003e")


def _digest(text: str) -> str:
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return f"'sha256-{digest}'"


def _asset(name: str) -> str:
    return (ASSETS / name).read_text("utf-8")


def page_texts(*, watched: bool) -> dict[str, str]:
    """Return every text that the page's program shows; unless `watched`, nothing is known of the present."""
    return {
        "skip": _("Skip to the content"),
        "title": _("GPUs on {host}"),
        "simulated": _("SIMULATED: nothing here is real"),
        "made": _("Made {at}; refresh it with `gpuwatch-tray report --open`"),
        "span": _("From {start} to {end}, a value every {step}."),
        "thinned": _("Finer values than one every {step} are summed up: lowest, mean and highest are kept."),
        "runs_left_out": _("{count} shorter process runs are left out."),
        "gaps": _("Where nothing is known there is a gap in a line, and a “?” in a table."),
        "colophon": _("gpuwatch-tray {version} · charts by uPlot (MIT)"),
        "gpus": _("GPUs now"),
        "gpu": _("GPU"),
        "history": _("What happened"),
        "numbers": _("The numbers as a table"),
        "lowest": _("Lowest"),
        "mean": _("Mean"),
        "highest": _("Highest"),
        "last": _("Last"),
        "from_to": _("{title}, {start} to {end}"),
        "summary": _("{gpu} between {low} and {high}, last {last}"),
        "summary_none": _("{gpu} not known"),
        "legend": _("A row each GPU: press its name to hide or show its lines"),
        "values_at": _("Values at"),
        "moment": _("The moment whose values are shown"),
        "zoom": _("Span of time"),
        "last_hours": _("{h} h"),
        "last_days": _("{d} d"),
        "everything": _("All"),
        "zoom_in": _("Zoom in"),
        "zoom_out": _("Zoom out"),
        "earlier": _("Earlier"),
        "later": _("Later"),
        "lanes": _("Processes by GPU"),
        "lanes_summary": _("Bars that show which of {count} process runs was on which GPU when"),
        "owners": _("Owners"),
        "run": _("{owner} · {name} · PID {pid} · {start} to {end} · {memory}"),
        "running": _("running"),
        "alerts": _("Alerts"),
        "no_alerts": _("No alert in this time."),
        "severity": _("Severity"),
        "began": _("Began"),
        "lasted": _("Lasted"),
        "what": _("Alert"),
        "still": _("still fires") if watched else _("end not known"),
        "until": _("over at {at}"),
        "processes": _("Processes"),
        "no_processes": _("No process was seen on a GPU in this time."),
        "pid": _("PID"),
        "owner": _("Owner"),
        "program": _("Program"),
        "seen_from": _("From"),
        "seen_until": _("Until"),
        "ran": _("On the GPU for"),
        "most_memory": _("Most memory"),
        "usage": _("Who used what"),
        "user": _("User"),
        "gpu_hours": _("GPU-hours"),
        "gib_hours": _("GiB-hours"),
        "utilisation_percent": _("Mean use, %"),
        "idle_held_hours": _("Idle-held hours"),
        "energy_kwh": _("Energy, kWh"),
        "cost": _("Cost"),
        "total": _("Total"),
        "show_all": _("Show all {count}"),
        "empty": _(
            "Nothing is recorded yet. While gpuwatch-tray runs, a value a minute is kept of each GPU;"
            " come back in a few minutes."
        ),
        "under_a_minute": _("under a minute"),
        "minutes": _("{m} min"),
        "hours": _("{h} h {m} min"),
        "days": _("{d} d {h} h"),
    }
