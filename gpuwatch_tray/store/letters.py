"""The details of a mail as JSON, for a column or a pipe."""

from __future__ import annotations

import json
from dataclasses import asdict

from gpuwatch_tray.model import Details, Severity
from gpuwatch_tray.store.values import checked_rows


def details_to_json(details: Details) -> str:
    """Return the details as JSON without defaults; ASCII, as a process name may hold what UTF-8 cannot."""
    usual = asdict(Details())
    return json.dumps({key: value for key, value in asdict(details).items() if value != usual[key]})


def details_from_json(text: str) -> Details:
    """Parse the details. Raises UnreadableRowError."""
    with checked_rows():
        found = json.loads(text)
        severity = found.get("severity")
        return Details(
            html=found.get("html", ""),
            host=found.get("host", ""),
            severity=None if severity is None else Severity(severity),
            rules=tuple(found.get("rules", ())),
            incidents=tuple(found.get("incidents", ())),
            subjects=tuple(found.get("subjects", ())),
            replies_to=tuple(found.get("replies_to", ())),
            reminder=found.get("reminder", False),
            only=tuple(found.get("only", ())),
        )
