"""The words of the page in the language that is spoken; what stands in braces is put in by the page."""

from __future__ import annotations

from gpuwatch_tray.language import _


def words(*, watched: bool) -> dict[str, str]:
    """Every text that the page's program shows; unless it is `watched`, nothing is known of the present."""
    return {
        "skip": _("Skip to the content"),
        "title": _("GPUs on {host}"),
        "simulated": _("SIMULATED: nothing here is real"),
        "made": _("Made {at}; load it anew with `gpuwatch-tray report --open`"),
        "span": _("From {start} to {end}, a value every {step}."),
        "thinned": _("Finer values than one every {step} are summed up: lowest, mean and highest are kept."),
        "runs_left_out": _("{count} shorter process runs are left out."),
        "gaps": _("Where nothing is known there is a gap in a line, and a “?” in a table."),
        "colophon": _("gpuwatch-tray {version} · charts by uPlot (MIT)"),
        "gpus": _("GPUs now"),
        "gpu": _("GPU"),
        "history": _("What happened"),
        "numbers": _("The numbers as a table"),
        "lowest": _("Lowest"),
        "mean": _("Mean"),
        "highest": _("Highest"),
        "last": _("Last"),
        "from_to": _("{title}, {start} to {end}"),
        "summary": _("{gpu} between {low} and {high}, last {last}"),
        "summary_none": _("{gpu} not known"),
        "legend": _("A row each GPU: press its name to hide or show its lines"),
        "values_at": _("Values at"),
        "moment": _("The moment whose values are shown"),
        "zoom": _("Span of time"),
        "last_hours": _("{h} h"),
        "last_days": _("{d} d"),
        "everything": _("All"),
        "zoom_in": _("Zoom in"),
        "zoom_out": _("Zoom out"),
        "earlier": _("Earlier"),
        "later": _("Later"),
        "lanes": _("Processes by GPU"),
        "lanes_summary": _("Bars that show which of {count} process runs was on which GPU when"),
        "owners": _("Owners"),
        "run": _("{owner} · {name} · PID {pid} · {start} to {end} · {memory}"),
        "running": _("running"),
        "alerts": _("Alerts"),
        "no_alerts": _("No alert in this time."),
        "severity": _("Severity"),
        "began": _("Began"),
        "lasted": _("Lasted"),
        "what": _("Alert"),
        "still": _("still fires") if watched else _("end not known"),
        "until": _("over at {at}"),
        "processes": _("Processes"),
        "no_processes": _("No process was seen on a GPU in this time."),
        "pid": _("PID"),
        "owner": _("Owner"),
        "program": _("Program"),
        "seen_from": _("From"),
        "seen_until": _("Until"),
        "ran": _("On the GPU for"),
        "most_memory": _("Most memory"),
        "usage": _("Who used what"),
        "show_all": _("Show all {count}"),
        "empty": _(
            "Nothing is recorded yet. While gpuwatch-tray runs, a value a minute is kept of each GPU;"
            " come back in a few minutes."
        ),
        "under_a_minute": _("under a minute"),
        "minutes": _("{m} min"),
        "hours": _("{h} h {m} min"),
        "days": _("{d} d {h} h"),
    }
