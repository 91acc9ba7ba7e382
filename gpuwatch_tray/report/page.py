"""
The details page as one HTML file: template, style and program from `assets/`, its texts, colours and data.

A strict content security policy admits only these very texts, whatever a process name tries to smuggle in.
"""

from __future__ import annotations

import base64
import hashlib
import html
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from gpuwatch_tray.common.late_pattern import late_pattern
from gpuwatch_tray.i18n import _
from gpuwatch_tray.report.script_json import script_safe_json

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


# The strips of a GPU's day go from the first to the second; light to dark on white, dark to light on black.
HEAT = {"heat0": "#e3edf7", "heat1": "#084c94", "warm0": "#fbeade", "warm1": "#a33200"}
HEAT_ON_DARK = {"heat0": "#1f2c3a", "heat1": "#8cccff", "warm0": "#33241b", "warm1": "#ffa66e"}


def palette_css() -> str:
    """Return the colours as custom properties of CSS."""
    light = "".join(_css_properties(LINES, STATES | HEAT))
    dark = "".join(_css_properties(LINES_ON_DARK, STATES_ON_DARK | HEAT_ON_DARK))
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
PROGRAM = ("basics", "cards", "charts", "marks", "lanes", "tables", "lab", "save", "main", "live")
_PLACE = late_pattern(r"\{\{(\w+)\}\}")


class Feed(Struct, frozen=True):
    """The data file that a page follows: its name, beside the page, and the page's nonce for scripts."""

    file: str
    nonce: str  # 128 random bits: only a script element that the page's own program has made carries it


def render_page(payload: Mapping[str, Any], *, title: str, noscript: str, feed: Feed | None = None) -> str:
    """Return the whole file; the page's program gets `payload` as it is."""
    style = _asset("vendor/uPlot.min.css") + palette_css() + _asset("page.css")
    library = _asset("vendor/uPlot.iife.min.js")
    parts = "\n".join(_asset(f"{name}.js") for name in PROGRAM)
    program = f'"use strict";\n(() => {{\n{parts}}})();\n'
    nonce = "" if feed is None else f" 'nonce-{feed.nonce}'"
    policy = (
        "default-src 'none'; base-uri 'none'; form-action 'none'; "
        f"style-src {_digest(style)}; script-src {_digest(library)} {_digest(program)}{nonce}"
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


def _digest(text: str) -> str:
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return f"'sha256-{digest}'"


def _asset(name: str) -> str:
    return (ASSETS / name).read_text("utf-8")


def page_texts() -> dict[str, str]:
    """Return every text that the page's program shows."""
    return {
        "skip": _("Skip to the content"),
        "title": _("GPUs on {host}"),
        "simulated": _("SIMULATED: nothing here is real"),
        "made": _("Created {at}. To refresh it: `gpuwatch-tray report --open`"),
        "span": _("From {start} to {end}, a value every {step}."),
        "thinned": _("Each point covers {step}: the lowest, mean and highest values are kept."),
        "runs_left_out": _("{count} shorter process runs are left out."),
        "gaps": _("An unknown value is a gap in a line and a “?” in a table."),
        "colophon": _("gpuwatch-tray {version} · charts by uPlot (MIT)"),
        "live": _("Live: updated {age} ago. The page follows gpuwatch-tray until {until}."),
        "live_silent": _("Not live: last updated {age} ago. gpuwatch-tray has stopped, or it hangs."),
        "live_gone": _("Not live: last updated {age} ago. gpuwatch-tray has stopped: its data file is gone."),
        "live_ended": _("Not live: gpuwatch-tray stopped at {at}."),
        "live_stopped": _(
            "Not live: the page stopped following at {at}. Open it again from the tray's menu."
        ),
        "live_missing": _(
            "Not live: this browser cannot read {file} beside the page. A Flatpak browser can "
            "read only the page itself."
        ),
        "last_seen": _("the last values are from {at}"),
        "not_seen_since": _("not seen since {at}"),
        "gpus": _("GPUs now"),
        "gpus_at": _("GPUs at {at}"),
        "key": _("What the shapes and shades mean"),
        "key_heat": _("use and memory, none to all"),
        "key_warm": _("temperature, {low} to {high} °C"),
        "key_gap": _("not known"),
        "key_charts": _(
            "On the charts, a shape marks where an alert began, and its bar shows how long it "
            "lasted. A dotted horizontal line is a limit. With one or two GPUs, a pale band "
            "spans the lowest to the highest value."
        ),
        "save": _("Save the data (CSV)"),
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
        "legend": _("One row per GPU: click a name to hide or show its lines"),
        "values_at": _("Values at"),
        "moment": _("Time of the values shown"),
        "zoom": _("Time range"),
        "last_hours": _("{h} h"),
        "last_days": _("{d} d"),
        "everything": _("All"),
        "zoom_in": _("Zoom in"),
        "zoom_out": _("Zoom out"),
        "earlier": _("Earlier"),
        "later": _("Later"),
        "lanes": _("Processes by GPU"),
        "lanes_summary": _("Bars showing when each of {count} process runs was on which GPU"),
        "owners": _("Owners"),
        "run": _("{owner} · {name} · PID {pid} · {start} to {end} · {memory}"),
        "running": _("running"),
        "alerts": _("Alerts"),
        "no_alerts": _("No alert in this time."),
        "severity": _("Severity"),
        "began": _("Began"),
        "lasted": _("Lasted"),
        "what": _("Alert"),
        "still": _("still firing"),
        "end_not_known": _("end not known"),
        "acknowledge": _("Acknowledge:"),
        "snooze": _("Snooze:"),
        "copy": _("Copy"),
        "copied": _("Copied"),
        "copy_what": _("Copy: {command}"),
        "until": _("over at {at}"),
        "processes": _("Processes"),
        "no_processes": _("No process was seen on a GPU in this time."),
        "pid": _("PID"),
        "owner": _("Owner"),
        "program": _("Program"),
        "seen_from": _("From"),
        "seen_until": _("Until"),
        "ran": _("Time on GPU"),
        "most_memory": _("Peak memory"),
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
        "lab": _("The lab"),
        "lab_at": _("The lab at {at}"),
        "hosts": _("Hosts of the lab"),
        "host": _("Host"),
        "host_state": _("State"),
        "since": _("For"),
        "free": _("Free"),
        "look_free": _("looking free: {count}"),
        "up_to": _("up to {memory}"),
        "open_page": _("Open {title}"),
        "gpu_count": _("GPUs"),
        "yours": _("Yours"),
        "oldest": _("Your oldest"),
        "hottest": _("Hottest"),
        "search_hosts": _("Search hosts, states and alerts"),
        "no_hosts": _("No host is found."),
        "and_more": _("and {count} more"),
        "empty": _(
            "Nothing recorded yet. While gpuwatch-tray runs, it keeps one value per minute for "
            "each GPU; come back in a few minutes."
        ),
        "seconds": _("{s} s"),
        "under_a_minute": _("under a minute"),
        "minutes": _("{m} min"),
        "hours": _("{h} h {m} min"),
        "days": _("{d} d {h} h"),
    }
