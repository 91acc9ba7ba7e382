"""`alerts`, `status` and `quit` through the installed console script: on the store, and through a watcher."""

from __future__ import annotations

import json
import time

import pytest

from gpuwatch_tray.engine.audit import REASONS
from gpuwatch_tray.rules import RULES
from tests.driver.scenario import FakeGpu, Scenario
from tests.support.installed import busy
from tests.support.terminal import terminal
from tests.support.timing import PATIENCE, wait_until

pytestmark = pytest.mark.driver


@pytest.fixture
def fired(installed, server, two):
    """One alert has fired and been mailed by `check`."""
    installed.play(busy(*two))
    assert installed.run("check").returncode == 0
    assert len(server.messages) == 1
    return installed


def test_on_a_terminal_no_word_is_broken(fired):
    """Long lines go on below their beginning; in a pipe each of them stays one."""
    plain = fired.run("alerts").stdout
    assert max(map(len, plain.splitlines())) > 40
    with terminal([fired.script, "alerts"], fired.environment, 40, 60) as shown:
        assert shown.process.wait(60) == 0
        wait_until(lambda: " ".join(shown.lines()).split() == plain.split(), "the same words")


def record(installed):
    done = installed.run("alerts", "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_nothing_on_file(installed):
    """Where nothing has ever fired, it says so and ends with 0."""
    done = installed.run("alerts")
    assert (done.returncode, done.stdout) == (0, "no active alerts and no past ones\n")


def test_an_alert_with_its_history(fired):
    """The list has each active alert with its state, and every transition with its named reason."""
    (alert,) = record(fired)["active"]
    assert (alert["rule"], alert["severity"], alert["phase"]) == ("gpu_limit", "warning", "firing")
    assert alert["text"] == "2 GPUs in use; the limit is 1"
    assert [(each["what"], each["why"]) for each in alert["history"]] == [
        ("fired", "2 GPUs in use; the limit is 1"),
        ("email queued", "first, away"),
    ]
    told = fired.run("alerts", "list").stdout
    assert f"{alert['id']}  warning   gpu_limit: 2 GPUs in use; the limit is 1" in told
    assert "mail queued (it is new and no one is at the desk)" in told
    for internal in (*REASONS, "email waits"):
        assert f"({internal}" not in told


def test_an_acknowledged_alert_is_not_mailed_again(fired, server):
    """`alerts ack ID` on the store: past the cooldown nothing is sent, and the reason is on file."""
    (alert,) = record(fired)["active"]
    done = fired.run("alerts", "ack", str(alert["id"]))
    assert (done.returncode, done.stdout) == (0, f"acknowledged: {alert['id']}: {alert['text']}\n")
    fired.age_deliveries(3700)
    assert fired.run("check").returncode == 0
    assert len(server.messages) == 1
    (alert,) = record(fired)["active"]
    assert alert["acknowledged"] is True
    assert ("email waits", "acknowledged") in [(each["what"], each["why"]) for each in alert["history"]]
    told = fired.run("alerts").stdout
    assert "not mailed (you have seen it; you are notified again when it gets worse)" in told


@pytest.mark.parametrize("what", [[], ["gpu_limit"], ["1"]], ids=["everything", "rule", "alert"])
def test_a_snooze_silences_email_too(fired, server, what):
    """`alerts snooze [RULE|ID] 2h` holds the mail back; after `alerts resume` it goes by the cooldown."""
    done = fired.run("alerts", "snooze", *what, "2h")
    assert (done.returncode, done.stderr) == (0, "")
    assert "snoozed until" in done.stdout
    fired.age_deliveries(3700)
    assert fired.run("check").returncode == 0
    assert len(server.messages) == 1
    found = record(fired)
    assert found["active"][0]["snoozed_until"] == pytest.approx(time.time() + 7200, abs=60)
    assert len(found["snoozes"]) == 1
    assert fired.run("alerts", "resume").stdout == "all snoozes ended\n"
    assert fired.run("check").returncode == 0
    assert len(server.messages) == 2
    assert record(fired)["snoozes"] == []


def test_the_end_of_an_alert_is_mailed_where_its_beginning_was(fired, server):
    """The end of an alert is one mail, and it is then among those that are over, with its history."""
    fired.play(Scenario(gpus=[FakeGpu.numbered(0), FakeGpu.numbered(1)]))
    assert fired.run("check").returncode == 0
    assert fired.run("check").returncode == 0
    assert len(server.messages) == 2
    assert server.messages[1].message["Subject"].startswith("[GPU Watchdog] resolved: ada@")
    assert "- GPU_COUNT(2) > GPU_LIMIT(1) (after " in server.messages[1].text
    found = record(fired)
    assert (found["active"], [alert["phase"] for alert in found["past"]]) == ([], ["resolved"])
    assert "No active alerts." in fired.run("alerts").stdout


def test_no_end_is_mailed_where_the_settings_say_so(fired, server):
    """NOTIFY_RESOLVED=off mails no end."""
    fired.write("notify.env", "NOTIFY_RESOLVED=off\n")
    fired.play(Scenario(gpus=[FakeGpu.numbered(0)]))
    fired.run("check")
    assert len(server.messages) == 1


def test_email_when_never_binds_check_but_not_the_test_mail(installed, server, two):
    """With EMAIL_WHEN=never `check` mails nothing, `--test-mail` does, and `alerts` names the reason."""
    installed.write("notify.env", "EMAIL_WHEN=never\n")
    installed.play(busy(*two))
    assert installed.run("check").returncode == 0
    assert server.messages == ()
    (alert,) = record(installed)["active"]
    assert ("email waits", "never") in [(each["what"], each["why"]) for each in alert["history"]]
    assert installed.run("check", "--test-mail").returncode == 0
    assert len(server.messages) == 1


def test_explain_without_a_watcher(fired):
    """Each rule with value and threshold, each alert with what will be sent when and why, each reason."""
    done = fired.run("alerts", "explain")
    assert done.returncode == 0
    assert "no tray or watch is running" in done.stdout
    assert "gpu_limit: 2 GPUs in use\n  It fires when more than 1 GPU is in use." in done.stdout
    assert "max_etime: the longest runs for" in done.stdout
    again = "in 59 min if it still fires\n"
    assert f"not now: the cooldown is not over; {again}" in done.stdout
    once = "These rules need several readings; only the tray and `watch` check them:\n\n"
    assert f"{once}monitor_blind\n  It fires when " in done.stdout
    assert done.stdout.count("It fires when ") + done.stdout.count(": switched off by ") == len(RULES)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["ack", "77"], 1, "there is no active alert and no rule '77' (active: 1;"),
        (["snooze", "max_etim", "1h"], 1, "there is no active alert and no rule 'max_etim'"),
        (["snooze", "soon"], 2, "expected a duration such as 30m, 2h, 1d or tomorrow, got 'soon'"),
        (["snooze", "0h"], 2, "expected a duration of up to a year"),
        (["forget", "GPU-none"], 1, "unknown GPU 'GPU-none' (known: GPU-"),
    ],
)
def test_mistakes(fired, words, code, said):
    """What cannot be done is one clear line, with 1 for a state of things and 2 for wrong use."""
    done = fired.run("alerts", *words)
    assert (done.returncode, done.stdout) == (code, "")
    assert said in done.stderr


def test_a_vanished_gpu_is_lost_and_can_be_forgotten(installed, server, two):
    """A GPU missing from a later run is no recovery: check ends with 1 until `alerts forget UUID`."""
    installed.play(busy(*two))
    assert installed.run("check").returncode == 0
    one = busy(*two).gpus[:1]
    installed.play(Scenario(gpus=one))
    done = installed.run("check")
    assert done.returncode == 1
    uuid = busy(*two).gpus[1].uuid
    assert f"gpuwatch-tray alerts forget {uuid}" in done.stderr
    assert [alert["rule"] for alert in record(installed)["active"]] == ["gpu_limit"]
    assert len(server.messages) == 1
    assert installed.run("alerts", "forget", uuid).stdout == f"forgotten: {uuid}\n"
    done = installed.run("check")
    assert (done.returncode, done.stderr) == (0, "")
    assert record(installed)["active"] == []


def test_through_a_running_watcher(installed, server, two):
    """What is said while `watch` runs is shown by its `status` at once, and `quit` ends it."""
    installed.configure(POLL_SEC=30)
    installed.play(busy(*two))
    with installed.watching() as running:
        status = json.loads(installed.run("status", "--json").stdout)
        assert (status["state"], status["face"], status["pid"]) == ("warning", "watch", running.pid)
        (alert,) = status["alerts"]
        assert installed.run("alerts", "ack", str(alert["id"])).returncode == 0

        def acknowledged():
            return json.loads(installed.run("status", "--json").stdout)["alerts"][0]["acknowledged"]

        until = time.monotonic() + PATIENCE
        while not acknowledged():
            assert time.monotonic() < until
        explained = installed.run("alerts", "explain").stdout
        assert "you have seen it; you are notified again when it gets worse\n" in explained
        refused = installed.run("alerts", "ack", "99")
        assert (refused.returncode, refused.stdout) == (1, "")
        assert "there is no active alert and no rule '99'" in refused.stderr
        done = installed.run("quit")
        assert (done.returncode, done.stdout) == (0, f"ended: watch, PID {running.pid}\n")
        assert running.wait(60) == 0
    assert installed.run("status").returncode == 1
