"""
The details page as one HTML file: template, style and program from `assets/`, its texts, colours and data.

A strict content security policy admits only these very texts: a browser loads nothing else, and would not run
what a process name tried to smuggle in.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

from gpuwatch_tray.report import palette

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

ASSETS = Path(__file__).resolve().parent / "assets"
PROGRAM = ("basics", "cards", "charts", "marks", "lanes", "tables", "main")
_PLACE = re.compile(r"\{\{(\w+)\}\}")


def render_page(payload: Mapping[str, Any], *, title: str, noscript: str) -> str:
    """Return the whole file; the page's program gets `payload` as it is."""
    style = _asset("vendor/uPlot.min.css") + palette.palette_css() + _asset("page.css")
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
