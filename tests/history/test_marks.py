"""The alerts on the time axis."""

from __future__ import annotations

from gpuwatch_tray.history import alert_marks, gpus_of_alert
from gpuwatch_tray.model import Alert, Instant, Severity

GPUS = ("GPU-a", "GPU-b")
RUN = "boot/42/1.5/GPU-b"


def alert(subject="GPU-a", *, fired=100.0, resolved=None, text="hot") -> Alert:
    return Alert(
        "box/heat/GPU-a",
        "heat",
        subject,
        Severity.WARNING,
        text,
        since=90.0,
        id=7,
        fired=None if fired is None else Instant(fired),
        resolved=None if resolved is None else Instant(resolved),
    )


def test_a_subject_names_its_gpu_alone_or_as_a_part():
    """A GPU's alert and its Xid event are about that GPU, and about no other."""
    assert gpus_of_alert("GPU-a", GPUS, ()) == ("GPU-a",)
    assert gpus_of_alert("GPU-b/79", GPUS, ()) == ("GPU-b",)
    assert gpus_of_alert("GPU", GPUS, ()) == ()


def test_an_alert_about_a_process_is_about_the_gpus_that_it_was_on():
    """The runs tell where a process was; a PID that only begins alike is another process."""
    assert gpus_of_alert("boot/42/1.5", GPUS, [RUN]) == ("GPU-b",)
    assert gpus_of_alert("boot/4", GPUS, [RUN]) == ()
    assert gpus_of_alert("", GPUS, [RUN]) == ()


def test_marks_are_what_fired_and_was_there_at_the_time():
    """What never fired, was over before or fired after is no mark."""
    found = [alert(), alert(fired=None), alert(resolved=150.0), alert(fired=301.0)]
    assert [mark.ended for mark in alert_marks(found, GPUS, (), 0.0, 300.0)] == [None, 150.0]
    assert [mark.ended for mark in alert_marks(found, GPUS, (), 160.0, 300.0)] == [None]


def test_a_marks_text_is_redacted():
    """A mark is shown on a page: what may be a secret is not in it."""
    (mark,) = alert_marks([alert(text="uses --token=abcdef0123456789")], GPUS, (), 0.0, 300.0)
    assert "abcdef0123456789" not in mark.text
