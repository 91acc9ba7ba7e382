"""The text to a chat: short, the worst first, the host named, within a limit; pure."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuwatch_tray import i18n
from gpuwatch_tray.alerts.reminder_types import CommandEnds, Reminder, reminder_from_json, reminder_to_json
from gpuwatch_tray.alerts.run_groups import join_notices
from gpuwatch_tray.model import Instant, Message, MessageKind, ReminderNotice, Severity
from gpuwatch_tray.notify import render
from gpuwatch_tray.notify.render import MailIdentity
from tests.support.fakes import START, alert
from tests.support.mail_parts import OUT_OF_MEMORY, failed_run

BOX = MailIdentity("box", "ada", "/etc/gpu-watch.env")
INFO, WARNING, CRITICAL = Severity.INFO, Severity.WARNING, Severity.CRITICAL


def told(*alerts):
    return render.alert_chat(BOX, alerts, now=START, message_id="<1@box>")


def test_the_worst_comes_first_with_its_shape():
    """The title counts them, and has the shape of the worst."""
    message = told(
        alert("fan", "GPU-0", WARNING, text="the fan stands still"),
        alert("intruder", "GPU-1", INFO, text="bob is here"),
        alert("gpu_lost", "GPU-2", CRITICAL, text="GPU 2 was lost"),
    )
    assert message.subject == "◆ box: 3 alerts"
    assert message.text.splitlines() == ["◆ GPU 2 was lost", "▲ the fan stands still", "● bob is here"]
    assert message.details.severity is CRITICAL
    assert message.details.rules == ("gpu_lost", "fan", "intruder")
    assert (message.details.html, message.attachments, message.picture) == ("", (), b"")


def test_one_alert_is_named_in_the_title():
    """By its rule, as the popup is."""
    assert told(alert("gpu_lost", "GPU-2", CRITICAL, text="gone")).subject == "◆ box: A GPU is lost"


def test_an_alert_of_the_lab_is_named_as_well():
    """By the title of its rule, not by the name in the code."""
    assert told(alert("host_blind", "gpu7/", text="gone")).subject == "▲ box: Hosts do not answer"


def test_one_that_comes_and_goes_says_so():
    """As the popup does."""
    assert told(alert(raises=4)).text.splitlines()[-1].startswith("It comes and goes")


def test_secrets_and_control_characters_are_left_out():
    """A program may have any name."""
    message = told(alert(text="python --token hf_abcdefghijklmnopqrstuvwxyz0123 \x1b[31m\nred"))
    assert "hf_" not in message.text
    assert "\x1b" not in message.text
    assert len(message.text.splitlines()) == 1


def test_an_end():
    """How long it was."""
    ended = alert(text="hot", since=START - 600)
    message = render.resolved_chat(BOX, [ended], now=START, message_id="<1@box>")
    assert (message.subject, message.text) == ("✔ box: An alert is over", "✔ hot (after 10 min)")
    assert message.kind is MessageKind.RESOLVED


def test_a_notice_leaves_the_output_at_home():
    """The cause and the fix are in it, and where the rest is."""
    notice = ReminderNotice(
        "train.py has failed", "It ran out of memory", START, ("fix: less",), ("secret line",), WARNING, run=7
    )
    message = render.notice_chat(BOX, notice, now=START, message_id="<1@box>")
    assert message.subject == "▲ box: train.py has failed"
    assert message.text.splitlines() == [
        "It ran out of memory",
        "fix: less",
        "all of it: gpuwatch-tray runs show 7",
    ]


@pytest.mark.parametrize(
    "notice", [failed_run(), join_notices("base", [failed_run(), failed_run()], more=False)]
)
def test_the_line_of_the_output_that_shows_the_cause_stays_at_home(notice):
    """Others read along in a chat; mail has it. On file it is still known which line that is."""
    body = json.loads(
        json.dumps(reminder_to_json(Reminder(1, Instant(START), CommandEnds(9, "start-9", "base"), notice)))
    )
    kept = reminder_from_json(1, body).notice
    message = render.notice_chat(BOX, kept, now=START, message_id="<1@box>")
    assert "asked for 2.0 GiB" in message.text
    assert OUT_OF_MEMORY in kept.details
    assert OUT_OF_MEMORY[:40] not in message.text


def test_a_digest_has_each_line_with_its_time_the_critical_first():
    """A digest of digests keeps the times that they have."""
    calm = Message("▲ box: x", "▲ one\n▲ two", START, "<1@box>")
    bad = told(alert("gpu_lost", "GPU-2", CRITICAL, text="gone"))
    first = render.digest_chat(BOX, [calm, bad], now=START + 60, message_id="<2@box>")
    hour = first.text[:5]
    assert first.subject == "◆ box: 2 messages held back"
    assert first.text.splitlines() == [f"{hour} ◆ gone", f"{hour} ▲ one", f"{hour} ▲ two"]
    late = render.digest_chat(BOX, [first, calm], now=START + 99, message_id="<3@box>", late=True)
    assert late.subject == "◆ box: 2 messages are late"
    assert late.text.splitlines()[0] == f"{hour} ◆ gone"


@given(
    st.lists(st.text(min_size=1, max_size=80), min_size=1, max_size=60),
    st.integers(60, 3000),
    st.integers(300, 2000),
)
def test_a_text_is_within_the_limit(lines, most, most_bytes):
    """By characters and by bytes; whole lines from the first on, and how many are missing."""
    text = "\n".join(" ".join(line.split()) or "x" for line in lines)
    message = Message("title", text, START, "<1@box>")
    shown = render.fitted(message, most, most_bytes)
    assert len(f"title\n{shown}") <= most
    assert len(f"title\n{shown}".encode(errors="replace")) <= most_bytes + 3
    if not shown.endswith("…"):
        kept = [line for line in shown.splitlines() if not line.startswith("and ")]
        assert text.startswith("\n".join(kept))


@pytest.mark.parametrize("most", [160, 4096])
def test_in_chinese(most):
    """A character takes three bytes there: a message is still within 2000 of them."""
    i18n.set_language("zh_CN")
    message = told(*(alert("fan", f"GPU-{n}", text="风扇停转了" * 8) for n in range(60)))
    assert message.subject == "▲ box: 60 条告警"
    shown = render.fitted(message, most)
    assert len(f"{message.subject}\n{shown}".encode()) <= 2000
    assert len(f"{message.subject}\n{shown}") <= most


def test_an_alert_of_the_lab_has_its_title():
    """The name of a rule is not for people."""
    message = told(alert("host_blind", text="gpu1 does not answer"))
    assert message.subject == "▲ box: Hosts do not answer"
