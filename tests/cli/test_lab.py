"""`lab`, and what the tray's loop makes of it, over real sshds: as a user runs it."""

from __future__ import annotations

import json
import time

import pytest

from tests.driver.scenario import FakeGpu, FakeProcess, Scenario
from tests.support.installed import MIB, Installed
from tests.support.mailserver import MailServer
from tests.support.ssh_machines import add_machine, watch_by_ssh
from tests.support.sshd import SshLab

PATIENCE = 120.0  # seconds


@pytest.fixture
def lab():
    with SshLab() as made:
        yield made


@pytest.fixture
def desk(tmp_path):
    return Installed(tmp_path)


def wait_for(desk, ask):
    """Ask until the answer is true, and have the lab looked at meanwhile; what it was."""
    end = time.monotonic() + PATIENCE
    while not (answer := ask()):
        assert time.monotonic() < end, answer
        desk.poll_lab()
        time.sleep(0.2)
    return answer


def test_the_machines_are_listed(desk, lab, two):
    """A row for each: what is free, what is one's own, and why nothing is known of the one that is off."""
    add_machine(lab, "gpu1", FakeGpu.numbered(0, FakeProcess(two[0], 2828 * MIB)), FakeGpu.numbered(1))
    add_machine(lab, "gpu2", FakeGpu.numbered(0))
    lab.add("gpu3", "")
    lab.stop("gpu3")
    watch_by_ssh(desk, lab)
    listed = desk.run("lab")
    assert listed.returncode == 0, listed.stderr
    rows = {line.split()[0]: line.split() for line in listed.stdout.splitlines() if line.startswith("gpu")}
    assert rows["gpu1"][1:5] == ["ok", "1", "2", "1"]
    assert rows["gpu2"][1:5] == ["ok", "1", "1", "0"]
    assert "?" in rows["gpu3"]
    assert listed.stdout.startswith("no_data") or "gpu3 does not answer" in listed.stdout
    answer = json.loads(desk.run("lab", "--json").stdout)
    hosts = {host["name"]: host for host in answer["hosts"]}
    assert (hosts["gpu1"]["free"], hosts["gpu1"]["mine"], hosts["gpu3"]["free"]) == (1, 1, None)
    assert hosts["gpu3"]["state"] == "down"
    assert answer["state"] == "no_data"
    explained = desk.run("alerts", "explain").stdout.partition("The lab:")[2]
    assert "nobody is told anything of it now" in explained
    assert "gpu_limit: gpu1: 1 GPU in use; gpu2: 0 GPUs in use; cannot be checked everywhere: " in explained


def test_without_a_lab_it_says_what_to_set(desk):
    """One line that names the keys, and exit code 1."""
    missing = desk.run("lab")
    assert missing.returncode == 1
    assert "LAB_HOSTS" in missing.stderr


def test_the_way_is_tested_host_by_host(desk, lab):
    """Each machine that answers, and each that does not with what to do; doctor has the same lines."""
    add_machine(lab, "gpu1", FakeGpu.numbered(0))
    lab.add("gpu2", None)
    watch_by_ssh(desk, lab)
    tested = desk.run("lab", "test")
    assert tested.returncode == 1
    assert "gpu1 answers: 1 of 1 GPUs free" in tested.stdout
    assert "install it" in tested.stdout
    assert "gpu1 answers" in desk.run("doctor").stdout


def test_watch_watches_the_lab(desk, lab, two):
    """Its alerts are in `alerts`, acknowledged by their number, and a host that falls silent is no calm."""
    busy = [FakeGpu.numbered(n, FakeProcess(pid, 2828 * MIB)) for n, pid in enumerate(two)]
    machine = add_machine(lab, "gpu1", *busy)
    add_machine(lab, "gpu2", FakeGpu.numbered(0))
    watch_by_ssh(desk, lab)

    def active():
        listed = json.loads(desk.run("alerts", "--json").stdout)["lab"]
        return {alert["rule"]: alert for alert in (listed or {"active": ()})["active"]}

    with desk.watching():
        alert = wait_for(desk, lambda: active().get("gpu_limit"))
        assert alert["text"].startswith("gpu1: ")
        explained = desk.run("alerts", "explain").stdout.partition("The lab:")[2]
        assert "host_blind: 0 of 2 hosts do not answer" in explained
        assert "gpu1: " in explained
        assert "lab: warning" in desk.run("status").stdout
        said = desk.run("alerts", "ack", f"L{alert['id']}")
        assert (said.returncode, "gpu1: " in said.stdout) == (0, True), said.stderr
        wait_for(desk, lambda: active()["gpu_limit"]["acknowledged"])
        lab.stop("gpu1")
        wait_for(desk, lambda: '"down"' in desk.run("lab", "--json").stdout)
        answer = json.loads(desk.run("lab", "--json").stdout)
        assert answer["hosts"][0]["free"] is None
        assert active()["gpu_limit"]["phase"] == "firing"  # what it was is not known to be over
        lab.start("gpu1")
        machine.play(Scenario(gpus=[FakeGpu.numbered(0), FakeGpu.numbered(1)]))
        wait_for(desk, lambda: "gpu_limit" not in active())


def test_free_gpus_and_an_end_are_told(desk, lab, two):
    """`when free --on` and `when ends HOST:PID`: listed, cancelled, and mailed once it has come about."""
    machine = add_machine(lab, "gpu1", FakeGpu.numbered(0, FakeProcess(two[0], 2828 * MIB)))
    watch_by_ssh(desk, lab)
    asked = desk.run("when", "free", "1", "--on", "gpu*", "--for", "1s")
    assert asked.returncode == 0, asked.stderr
    assert asked.stdout.startswith("L1: ")
    assert "nothing is watching now" in asked.stdout
    assert desk.run("when", "free", "3", "--on", "gpu*").stderr.count("none of gpu* has more than 1 GPU") == 1
    assert "no host is called" in desk.run("when", "free", "1", "--on", "other").stderr
    assert desk.run("when", "ends", f"gpu1:{two[1]}").returncode == 1
    assert desk.run("when", "ends", f"gpu1:{two[0]}").stdout.startswith("L2: ")
    assert desk.run("when", "free", "1", "--on", "gpu1").stdout.startswith("L3: ")
    assert "cancelled: L3" in desk.run("when", "cancel", "L3").stdout
    assert [line.split()[0] for line in desk.run("when", "list").stdout.splitlines()] == ["L1", "L2"]

    def mails():
        return [mail["subject"] for mail in json.loads(desk.run("mail", "queue", "--json").stdout)["lab"]]

    with desk.watching():
        wait_for(desk, lambda: "gpu1" in desk.run("lab").stdout)
        machine.play(Scenario(gpus=[FakeGpu.numbered(0)]))
        wait_for(desk, lambda: len(mails()) == 2)
    assert sorted(subject.split(": ")[0] for subject in mails()) == [
        "[GPU Watchdog] GPU free",
        "[GPU Watchdog] Process ended",
    ]
    assert "about the lab: 2 mails wait since" in " ".join(desk.run("doctor").stdout.split())
    assert "2 mails dropped" in desk.run("mail", "drop", "L1", "L2").stdout


def test_its_mails_leave_by_the_same_way(desk, lab, two):
    """The child that sends is started for the lab's outbox too."""
    busy = [FakeGpu.numbered(n, FakeProcess(pid, 2828 * MIB)) for n, pid in enumerate(two)]
    add_machine(lab, "gpu1", *busy)
    watch_by_ssh(desk, lab)
    with MailServer() as server:
        desk.mail_through(server)
        with desk.watching():
            (mail,) = wait_for(desk, lambda: [mail for mail in server.messages if "gpu1" in mail.text])
    assert "Host: lab" in mail.text
