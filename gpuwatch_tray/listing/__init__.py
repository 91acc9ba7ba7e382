"""The list of GPU processes as text, as JSON, and read back."""

from __future__ import annotations

from gpuwatch_tray.listing.elapsed import elapsed_text, parse_elapsed
from gpuwatch_tray.listing.parse import BadLine, Listing, parse
from gpuwatch_tray.listing.records import SCHEMA, as_json
from gpuwatch_tray.listing.text import all_text, header, own_text, type_text

__all__ = [
    "SCHEMA",
    "BadLine",
    "Listing",
    "all_text",
    "as_json",
    "elapsed_text",
    "header",
    "own_text",
    "parse",
    "parse_elapsed",
    "type_text",
]
