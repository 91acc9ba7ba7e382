"""The list of GPU processes as text, as JSON, and read back."""

from __future__ import annotations

from gpuwatch_tray.listing.elapsed import duration, elapsed_text, parse_elapsed, plain_duration
from gpuwatch_tray.listing.parse import BadLine, Listing, parse
from gpuwatch_tray.listing.records import SCHEMA, as_json
from gpuwatch_tray.listing.text import all_text, header, own_text, type_text
from gpuwatch_tray.listing.totals import UserTotal, gpus_text, totals, totals_text

__all__ = [
    "SCHEMA",
    "BadLine",
    "Listing",
    "UserTotal",
    "all_text",
    "as_json",
    "duration",
    "elapsed_text",
    "gpus_text",
    "header",
    "own_text",
    "parse",
    "parse_elapsed",
    "plain_duration",
    "totals",
    "totals_text",
    "type_text",
]
