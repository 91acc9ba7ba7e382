"""The details of a mail as JSON, for a column or a pipe."""

from __future__ import annotations

import json
from dataclasses import asdict

from gpuwatch_tray.model import MailDetails, Severity
from gpuwatch_tray.store.values import checked_rows


def details_to_json(details: MailDetails) -> str:
    """Return the details as JSON without defaults; ASCII, as a process name may hold what UTF-8 cannot."""
    usual = asdict(MailDetails())
    return json.dumps({key: value for key, value in asdict(details).items() if value != usual[key]})


def details_from_json(text: str) -> MailDetails:
    """Parse the details. Raises UnreadableRowError."""
    with checked_rows():
        values = json.loads(text)
        severity = values.get("severity")
        return MailDetails(
            html=values.get("html", ""),
            host=values.get("host", ""),
            severity=None if severity is None else Severity(severity),
            rules=tuple(values.get("rules", ())),
            incidents=tuple(values.get("incidents", ())),
            subjects=tuple(values.get("subjects", ())),
            replies_to=tuple(values.get("replies_to", ())),
            reminder=values.get("reminder", False),
            only=tuple(values.get("only", ())),
        )
