"""Rows as CSV, for programs and for spreadsheets."""

from __future__ import annotations

import csv
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what a formula begins with. Source: OWASP, "CSV Injection"


def write(fields: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """
    Print them, with a line of the fields' names first; what is unknown is an empty field.

    A process gives itself the name that it likes: one that a spreadsheet would compute has a `'` before it.
    """
    writer = csv.DictWriter(sys.stdout, fields, lineterminator="\n")
    writer.writeheader()
    writer.writerows({field: _harmless(row[field]) for field in fields} for row in rows)


def _harmless(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value
