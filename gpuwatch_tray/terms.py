"""The words for states, severities and phases: by one name in the JSON, and as people read them here."""

from __future__ import annotations

from gpuwatch_tray.language import N_, _

# what `said` is asked for; any other word is said as it is
WORDS = (
    *(N_("ok"), N_("snoozed"), N_("warning"), N_("critical"), N_("no data"), N_("info")),
    *(N_("pending"), N_("firing"), N_("recovering"), N_("resolved"), N_("acknowledged")),
    *(N_("present"), N_("away"), N_("unknown")),
    *(N_("tray"), N_("watch"), N_("alert"), N_("rule")),
    # what `doctor` looks at
    *(N_("program"), N_("settings"), N_("driver"), N_("source"), N_("Xid errors"), N_("popups")),
    *(N_("presence"), N_("autostart"), N_("mail"), N_("outbox"), N_("state"), N_("log"), N_("secrets")),
    N_("watching"),
    # what became of an alert: `alerts` has it
    *(N_("fired"), N_("severity rose"), N_("severity fell"), N_("firing again")),
    *(N_("email queued"), N_("email waits")),
    *(N_("popup shown"), N_("popup could not be shown"), N_("popup waits")),
)


def said(key: object) -> str:
    """A key such as `no_data` in the language that is spoken."""
    return _(str(key).replace("_", " "))
