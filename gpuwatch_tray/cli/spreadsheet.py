"""Rows as CSV, for a spreadsheet."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")  # Source: OWASP, "CSV Injection"


def write_csv(fields: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Print `rows` as CSV with a header; None is an empty field."""
    import csv

    writer = csv.DictWriter(sys.stdout, fields, lineterminator="\n")
    writer.writeheader()
    writer.writerows({field: _without_formula(row[field]) for field in fields} for row in rows)


def _without_formula(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA_STARTS) else value
