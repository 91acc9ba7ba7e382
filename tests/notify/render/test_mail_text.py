"""The mail and the popup, word for word."""

from __future__ import annotations

import time

import pytest
from msgspec.structs import replace

from gpuwatch_tray.model import Alert, Button, MessageKind, ReminderNotice, Severity
from gpuwatch_tray.notify import render
from gpuwatch_tray.notify.render import MailIdentity, alert_mail
from gpuwatch_tray.notify.render.popups import TITLE_COLUMNS
from gpuwatch_tray.rules import RULES
from tests.support import fakes, mail_parts
from tests.support.fakes import START, process

HEAD = MailIdentity("box", "ada", "/etc/gpu-watch.env")
COUNT = Alert("box/gpu_limit", "gpu_limit", "", Severity.WARNING, "GPU_COUNT(3) > GPU_LIMIT(2)", START, 3)


def over(pid, seconds):
    line = f"GPU=0  MEM=2828MiB  PID={pid}  ETIME=09:00:00"
    reason = f"MAX_ETIME({seconds}s) > LIMIT(21600s) :: {line}"
    return Alert(f"box/max_etime/{pid}", "max_etime", str(pid), Severity.WARNING, reason, START, seconds)


@pytest.fixture(autouse=True)
def utc(monkeypatch):
    """Set the time zone to UTC, as times are printed as local time."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def mail(alerts, processes=(), gaps=(), kind=MessageKind.ALERT):
    return alert_mail(HEAD, alerts, processes, gaps, now=START, message_id="<1@box>", kind=kind)


def test_the_mail_is_the_bash_tools_to_the_letter():
    """Subject and body are what gpu_watch.sh wrote for the same facts."""
    row = process(2943615, 0, 32400.0)
    message = mail([COUNT, over(2943615, 32400)], [row])
    assert message.subject == "[GPU Watchdog] ada@box  2026-01-07 15:27:48"
    assert message.text == (
        "Time: 2026-01-07 15:27:48\n"
        "Host: box\n"
        "User: ada\n"
        "\n"
        "Config: /etc/gpu-watch.env\n"
        "Triggered:\n"
        "- GPU_COUNT(3) > GPU_LIMIT(2)\n"
        "- MAX_ETIME(32400s) > LIMIT(21600s) :: GPU=0  MEM=2828MiB  PID=2943615  ETIME=09:00:00\n"
        "\n"
        "Raw output:\n"
        "GPU=0  MEM=2828MiB  PID=2943615  ETIME=09:00:00\n"
        "  CWD: /home/ada/run\n"
        "  CMD: python train.py\n"
    )


def test_a_test_mail_says_so_when_nothing_fires():
    """Without a reason, a test mail carries the Bash tool's line for it, and for an empty list its line."""
    text = mail([], kind=MessageKind.TEST).text
    assert "Triggered:\n- TEST_MAIL: force send (no threshold triggered)\n" in text
    assert text.endswith("Raw output:\n<no gpu processes detected>\n")


def test_the_longest_process_leads_and_the_others_follow_in_their_own_section():
    """Under "Triggered:" stands the longest process, the first of equals; the others come after it."""
    text = mail([over(1, 30000), over(2, 40000), over(3, 40000)]).text
    first, _, rest = text.partition("\n\nAlso over MAX_ETIME:\n")
    assert "PID=2 " in first
    assert "PID=1 " not in first
    assert ["PID=1 " in line or "PID=3 " in line for line in rest.splitlines()[:2]] == [True, True]


def test_a_gap_is_named():
    """What could not be read stands in the mail: the list may not be all there is."""
    assert (
        "\n\nNot readable:\n- GPU 1 cannot be read: lost\n\nRaw output:"
        in mail([COUNT], gaps=["GPU 1 cannot be read: lost"]).text
    )


def test_no_secret_of_a_command_line_reaches_the_mail():
    """Command lines are redacted in the mail."""
    row = process(command=("python", "train.py", "--api-key", "sk-canary0123456789"))
    assert "canary" not in mail([COUNT], [row]).text


def test_dry_run_prints_what_the_bash_tool_printed():
    """The frame of --dry-run is the Bash tool's."""
    lines = render.dry_run(mail([COUNT])).splitlines()
    assert lines[0] == "=== DRY RUN (not sending) ==="
    assert lines[1].startswith("[GPU Watchdog] ada@box  ")
    assert lines[2] == "-----------------------------"
    assert lines[3].startswith("Time: ")


def test_a_popup_tells_the_worst_and_counts_the_others():
    """Three processes over the limit in one poll are one popup, the longest in full."""
    popup = render.popup("k", [over(1, 30000), over(2, 40000), over(3, 35000)], "box", simulated=False)
    assert popup.title == "A process has run for too long"
    assert "PID=2 " in popup.body.splitlines()[0]
    assert popup.body.endswith("\nand 2 more\non box")


def test_a_popup_says_when_an_alert_comes_and_goes():
    """A flapping alert's popup says why nothing more will be heard for a while."""
    popup = render.popup("k", [replace(COUNT, raises=4)], "box", simulated=False)
    assert popup.body.endswith("no more notifications until it stays away for a while\non box")
    assert "comes and goes" not in render.popup("k", [replace(COUNT, raises=3)], "box", simulated=False).body


def test_a_popup_offers_what_can_be_done():
    """Acknowledge, snooze and show stand on a popup about an alert, and nothing that ends a process."""
    popup = render.popup("k", [COUNT], "box", simulated=False)
    assert popup.buttons == (Button.ACKNOWLEDGE, Button.SNOOZE, Button.SHOW)


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_has_a_title(rule):
    """No popup is titled with the name of a rule, and xfce4-notifyd cuts none."""
    popup = render.popup("k", [fakes.alert(rule)], "box", simulated=False)
    assert popup.title != rule
    assert len(popup.title) <= TITLE_COLUMNS


def test_the_mail_of_an_end_is_the_bash_tools_frame():
    """Subject and body of "resolved" follow the alert's mail, and say how long it was."""
    message = render.resolved_mail(HEAD, [COUNT], now=START + 3700, message_id="<1@box>")
    assert message.subject == "[GPU Watchdog] resolved: ada@box  2026-01-07 16:29:28"
    assert message.kind is MessageKind.RESOLVED
    assert message.text == (
        "Time: 2026-01-07 16:29:28\n"
        "Host: box\n"
        "User: ada\n"
        "\n"
        "Config: /etc/gpu-watch.env\n"
        "Resolved:\n"
        "- GPU_COUNT(3) > GPU_LIMIT(2) (after 1 h 1 min)\n"
    )


def test_a_clock_that_was_set_back_gives_no_negative_time():
    """An end before the beginning is told without a length."""
    message = render.resolved_mail(HEAD, [COUNT], now=START - 60, message_id="<1@box>")
    assert "- GPU_COUNT(3) > GPU_LIMIT(2)\n" in message.text


def test_a_digest_tells_what_was_held_back():
    """The digest names each mail that was held with its reasons, and brings the last one whole."""
    held = [mail([COUNT]), mail([over(1, 30000)])]
    message = render.digest(HEAD, held, now=START, message_id="<1@box>")
    assert message.kind is MessageKind.DIGEST
    assert message.subject == "[GPU Watchdog] digest of 2 mails: ada@box  2026-01-07 15:27:48"
    assert message.text.startswith("2 mails were held back, because so many had gone out already.\n\nada@box")
    assert message.text.count("- GPU_COUNT(3) > GPU_LIMIT(2)\n") == 1
    assert message.text.endswith(f"The last of them:\n\n{held[-1].text}")


def test_a_digest_keeps_what_a_command_printed_last():
    """Its last lines say why it failed, and no other mail will."""
    notice = ReminderNotice(
        "train.py has ended", "it ended with exit code 1", START, (), ("- epoch 7", "out of memory")
    )
    held = [render.notice_mail(HEAD, notice, now=START, message_id="<1@box>"), mail([COUNT])]
    one = render.digest(HEAD, held, now=START, message_id="<2@box>")
    again = render.digest(HEAD, [one, mail([COUNT])], now=START, message_id="<3@box>")
    for message in (one, again):
        assert "- it ended with exit code 1\n\nLast lines:\n  - epoch 7\n  out of memory\n\n" in message.text


@pytest.mark.parametrize(
    ("count", "firing", "title", "still"),
    [
        (1, 1, "An alert while you were away", "1 still firing"),
        (2, 0, "2 alerts while you were away", "All over now"),
        (7, 3, "7 alerts while you were away", "3 still firing"),
    ],
)
def test_the_summary_for_somebody_who_comes_back(count, firing, title, still):
    """One popup counts what fired and what still does, and names the first five."""
    popup = render.away_popup([over(n, 30000 + n) for n in range(count)], firing, "box", simulated=False)
    first, *lines, last = popup.body.splitlines()
    assert (popup.title, first, last) == (title, still, "on box")
    assert len(lines) == min(count, 6)
    assert ("and 2 more" in popup.body) is (count == 7)


def test_what_is_over_is_said_in_one_quiet_popup():
    """The popup of an end is informational and offers nothing."""
    popup = render.resolved_popup([COUNT], "box", simulated=True)
    assert (popup.title, popup.severity, popup.buttons) == ("An alert is over", Severity.INFO, ())


def test_the_popup_of_a_run_is_short():
    """Cause, what to do, exit code and where to read the rest, in few lines, for one run and for several."""
    body = render.notice_popup("k", mail_parts.failed_run(), "box", simulated=False).body.splitlines()
    assert body[0].startswith("base: it asked for 2.0 GiB")
    assert body[2:] == [
        "exit code 1 after 2 h 1 min",
        "peak GPU memory: 5.0 GiB",
        "all of it: gpuwatch-tray runs show 12",
        "on box",
    ]
    body = render.notice_popup("k", mail_parts.RUNS, "box", simulated=False).body.splitlines()
    assert (len(body), body[0]) == (6, "base: 5 more runs ended, 4 failed")
    assert body[3].startswith("about the first that failed: wait until it ends")


def test_simulated_gpus_are_called_so_in_the_body_and_the_sentence_comes_first():
    """Title and first line are those of real GPUs; nobody takes the whole for real."""
    notice = ReminderNotice("GPU free", "GPU 0 is free", START, (), ("epoch 7",))
    for simulated, where in ((False, "on box"), (True, "SIMULATED GPUs on box")):
        popups = [
            render.popup("k", [COUNT], "box", simulated=simulated),
            render.resolved_popup([COUNT], "box", simulated=simulated),
            render.away_popup([COUNT], 1, "box", simulated=simulated),
        ]
        assert [popup.body.splitlines()[-1] for popup in popups] == [where] * 3
        told = render.notice_popup("k", notice, "box", simulated=simulated)
        assert (told.title, told.body) == ("GPU free", f"GPU 0 is free\n{where}\nepoch 7")


def test_no_secret_reaches_a_popup():
    """Whatever an alert says is redacted before it is popped up."""
    secret = replace(COUNT, reason="train.py --api-key sk-canary0123456789")
    popups = [
        render.popup("k", [secret], "box", simulated=False),
        render.resolved_popup([secret], "box", simulated=False),
        render.away_popup([secret], 1, "box", simulated=False),
    ]
    assert not [popup for popup in popups if "canary" in popup.title + popup.body]


def test_a_mail_about_the_lab_says_who_watches_it_and_has_no_process_list():
    """A lab's processes are in no mail: to say that they could not be read would be wrong."""
    identity = replace(HEAD, host="lab", watched_from="desk")
    lost = fakes.alert("host_blind", text="gpu1 does not answer", reason="HOST_BLIND(gpu1): down")
    mail = render.alert_mail(identity, [lost], (), ["gpu1 does not answer"], now=1.0, message_id="<1@x>")
    assert "Host: lab, watched from desk\n" in mail.text
    assert "- gpu1 does not answer\n" in mail.text
    assert not any(words in mail.text for words in ("Raw output", "HOST_BLIND", "process list"))
    assert "the lab, watched from ada@desk" in mail.details.html
    over = render.resolved_mail(identity, [lost], now=1.0, message_id="<2@x>")
    assert "- gpu1 does not answer\n" in over.text
    assert "in the lab" in render.popup("k", [lost], identity.popup_host, simulated=False).body
