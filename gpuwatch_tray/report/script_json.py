"""JSON that may stand in a script element or a script file, whatever its strings hold."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


def script_safe_json(payload: Mapping[str, Any]) -> str:
    """
    Return ASCII in which `&`, `<` and `>` are escaped: it ends no script element.

    As an expression of JavaScript it means the same, as long as no name in it is `__proto__`: names are ours.
    """
    text = json.dumps(payload, separators=(",", ":"), allow_nan=False)
    return text.replace("&", r"\u0026").replace("<", r"\u003c").replace(">", r"\u003e")
