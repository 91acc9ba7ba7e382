"""The translated words for the states, severities, phases and topics whose keys stand in the JSON."""

from __future__ import annotations

from gpuwatch_tray.language import N_, _

# Marked for the catalogue; a key that is not here is shown as it is.
WORDS = (
    *(N_("ok"), N_("snoozed"), N_("warning"), N_("critical"), N_("no data"), N_("info")),
    *(N_("pending"), N_("firing"), N_("recovering"), N_("resolved"), N_("acknowledged")),
    *(N_("present"), N_("away"), N_("unknown")),
    *(N_("tray"), N_("watch"), N_("alert"), N_("rule")),
    # the topics of `doctor`
    *(N_("program"), N_("settings"), N_("driver"), N_("source"), N_("Xid errors"), N_("popups")),
    *(N_("presence"), N_("autostart"), N_("mail"), N_("outbox"), N_("state"), N_("log"), N_("secrets")),
    N_("watching"),
    # the transitions of an alert
    *(N_("fired"), N_("severity rose"), N_("severity fell"), N_("firing again")),
    *(N_("email queued"), N_("email waits")),
    *(N_("popup shown"), N_("popup could not be shown"), N_("popup waits")),
)


def translate_key(key: object) -> str:
    """Translate a key such as `no_data`."""
    return _(str(key).replace("_", " "))
