"""`lab`, and silences for everyone, over a real Prometheus and Alertmanager: as a user runs them."""

from __future__ import annotations

import json

import pytest

from tests.support.installed import Installed
from tests.support.timing import wait_until


@pytest.fixture
def rig(lab_rig):
    lab_rig.settled()
    return lab_rig


@pytest.fixture
def desk(tmp_path, rig):
    made = Installed(tmp_path)
    made.write(
        "lab.env",
        f"LAB_PROMETHEUS={rig.prometheus.url}\nLAB_ALERTMANAGER={rig.manager.url}\n"
        "LAB_ALERTS=all\nLAB_SILENCE=on\nLAB_POLL_SEC=5\n",
    )
    return made


def silences(rig):
    """The Alertmanager's silences that last."""
    return [
        one for one in json.loads(rig.manager.get("/api/v2/silences")) if one["status"]["state"] == "active"
    ]


def lost(desk):
    """The alert of the Alertmanager, as it stands among those here."""
    listed = json.loads(desk.run("alerts", "--json").stdout)["lab"]
    return next((one for one in listed["active"] if one["rule"] == "remote"), None)


def test_the_hosts_and_the_alertmanagers_alerts_are_listed(desk):
    """A row a host with its GPUs, one's own by the account's name, and the alert with its text."""
    listed = desk.run("lab")
    assert listed.returncode == 0, listed.stderr
    rows = {words[0]: words for words in map(str.split, listed.stdout.splitlines()) if words[:1]}
    assert [rows[name][1:5] for name in ("h1", "h2", "h3")] == [
        ["ok", "2", "4", "2"],
        ["ok", "3", "3/4", "?"],
        ["ok", "4", "4", "0"],
    ]
    assert "a GPU of h2:9836 is lost, token=***" in listed.stdout
    lines = desk.run("alerts", "explain").stdout.partition("The lab:")[2].splitlines()
    assert "gpu_lost: h2: 3 of 4 GPUs answer" in lines
    assert "temperature: nothing found" in lines
    assert [line for line in lines if "fires when ." in line] == []


def test_lab_test_goes_step_by_step(desk, rig):
    """Each step that works is ok, and exit code 0; with another job it says what to set, and 1."""
    tested = desk.run("lab", "test")
    assert tested.returncode == 0, tested.stdout
    for words in (
        "is a Prometheus, and answers us",
        "8 targets have the job",
        "alerts reach it",
        "8 of 8 hosts are read",
    ):
        assert words in tested.stdout
    other = desk.folder / "lab.env"
    other.write_text(other.read_text() + "LAB_JOB=gpu\n")
    tested = desk.run("lab", "test")
    assert tested.returncode == 1
    assert "set LAB_JOB to one" in " ".join(tested.stdout.split())


def test_free_gpus_with_memory_and_an_end_are_waited_for(desk, rig):
    """`when free 4 --memory --on` and `when ends HOST:PID` over a Prometheus: asked for, listed, and told."""
    asked = desk.run("when", "free", "4", "--on", "h*", "--memory", "60G", "--for", "1s")
    assert asked.stdout.startswith("L1: you will be notified when 4 GPUs are free on one of h*"), asked.stderr
    ends = desk.run("when", "ends", "h1:1")
    assert ends.stdout.startswith("L2: you will be notified when PID 1 (python) on h1 ends"), ends.stderr
    assert "process 7 is not on a GPU of h1" in desk.run("when", "ends", "h1:7").stderr

    def mails():
        return [mail["subject"] for mail in json.loads(desk.run("mail", "queue", "--json").stdout)["lab"]]

    with desk.watching():

        def free():
            desk.poll_lab()
            return [one for one in mails() if "free" in one]

        told = wait_until(free, "they are free", pause=0.3)
    assert [subject.split(": ")[0] for subject in told] == ["[GPU Watchdog] 4 GPUs free"]
    assert [line.split()[0] for line in desk.run("when", "list").stdout.splitlines()] == ["L2"]


def test_an_alert_is_silenced_for_everyone_and_that_is_ended(desk, rig):
    """By its number, once, with author and comment; it stays an alert; what is no such alert is refused."""
    with desk.watching():
        alert = wait_until(lambda: lost(desk), "the lost GPU is an alert here", pause=0.3)
        number = f"L{alert['id']}"
        said = desk.run("alerts", "snooze", number, "2h", "--everyone", "--comment", "in repair")
        assert said.returncode == 0, said.stderr
        assert said.stdout.startswith("silenced for everyone until ")
        (there,) = silences(rig)
        assert (there["createdBy"].partition("@")[0], there["comment"]) == ("ada", "in repair")
        assert desk.run("alerts", "snooze", number, "1h", "--everyone").returncode == 0
        assert len(silences(rig)) == 1
        desk.poll_lab()
        wait_until(lambda: "silenced by ada@" in desk.run("lab").stdout, "the next poll shows it", pause=0.3)
        assert lost(desk) is not None
    refused = desk.run("alerts", "snooze", "L999", "2h", "--everyone")
    assert (refused.returncode, "it has: L" in refused.stderr) == (1, True)
    for words in (("2h", "--everyone"), (number, "2h", "--comment", "x")):
        refused = desk.run("alerts", "snooze", *words)
        assert (refused.returncode, "--everyone" in refused.stderr) == (2, True)
    ended = desk.run("alerts", "resume", "--everyone")
    assert ended.stdout.startswith("1 silence for everyone ended")
    assert silences(rig) == []
    assert "no silence for everyone" in desk.run("alerts", "resume", "--everyone").stdout


def test_a_second_program_takes_the_lab_over_from_one_that_was_killed(desk, rig, monkeypatch):
    """It says who watches the lab, and goes on with its alerts under their numbers; none is mailed again."""
    elsewhere = {"MYGPU": "true"}  # the state of another source, and the same lab

    def watched():
        return " ".join(desk.run("status", **elsewhere).stdout.split())

    def mails():
        return [mail["message_id"] for mail in json.loads(desk.run("mail", "queue", "--json").stdout)["lab"]]

    with desk.watching() as first:
        # The lost GPU by the Alertmanager and the limit, then the lost GPU by the host's own count.
        told = wait_until(lambda: len(found := mails()) == 2 and found, "all is mailed", pause=0.3)
        alert = lost(desk)
        monkeypatch.setattr(desk, "environment", desk.environment | elsewhere)
        with desk.watching():
            said = f"another process watches the lab, and tells of it: watch, PID {first.pid}"
            wait_until(lambda: said in watched(), "who has it is told", pause=0.3)
            first.kill()
            wait_until(lambda: "lab: critical" in watched(), "it goes on", pause=0.3)
            after = lost(desk)
            assert (after["id"], after["since"]) == (alert["id"], alert["since"])
            assert mails() == told


def test_silences_are_off_unless_asked_for(desk, rig):
    """Without LAB_SILENCE nothing is written, and the key is named."""
    file = desk.folder / "lab.env"
    file.write_text(file.read_text().replace("LAB_SILENCE=on\n", ""))
    with desk.watching():
        alert = wait_until(lambda: lost(desk), "the lost GPU is an alert here", pause=0.3)
        refused = desk.run("alerts", "snooze", f"L{alert['id']}", "2h", "--everyone")
    assert (refused.returncode, "LAB_SILENCE=on" in refused.stderr) == (1, True)
    assert silences(rig) == []
