"""The words for states, severities and phases: by one name in the JSON, and as people read them here."""

from __future__ import annotations

from gpuwatch_tray.language import N_, _

# what `said` is asked for; any other word is said as it is
WORDS = (
    *(N_("ok"), N_("snoozed"), N_("warning"), N_("critical"), N_("no data"), N_("info")),
    *(N_("pending"), N_("firing"), N_("recovering"), N_("resolved"), N_("acknowledged")),
    *(N_("present"), N_("away"), N_("unknown")),
    *(N_("tray"), N_("watch")),
)


def said(key: object) -> str:
    """A key such as `no_data` in the language that is spoken."""
    return _(str(key).replace("_", " "))
