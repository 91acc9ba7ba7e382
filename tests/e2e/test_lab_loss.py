"""The lab on a real desktop: a machine that ssh reaches does what the rules forbid, and it pops up."""

from __future__ import annotations

import json

import pytest

from tests.driver.scenario import FakeGpu, FakeProcess
from tests.support.installed import MIB
from tests.support.ssh_machines import add_machine, watch_by_ssh
from tests.support.sshd import SshLab
from tests.support.timing import wait_until

pytestmark = pytest.mark.desktop


def test_another_machine_pops_up_and_goes_silent(installed, desk, start, two):
    """The popup names the machine; once it does not answer, the lab is not known, and nothing is over."""
    with SshLab() as lab:
        busy = [FakeGpu.numbered(n, FakeProcess(pid, 2828 * MIB)) for n, pid in enumerate(two)]
        add_machine(lab, "gpu-a", *busy)
        installed.set_up(greeted=True, BLIND_SEC=3600)
        watch_by_ssh(installed, lab)
        desk.clear_popups()
        start()
        wait_until(lambda: any("gpu-a" in shown.body for shown in desk.notifications()), "the popup", 120)

        def status():
            return json.loads(installed.run("status", "--json").stdout)

        wait_until(lambda: status()["lab"]["state"] == "warning", "the lab's warning", 60)
        assert status()["state"] == "warning"
        lab.stop("gpu-a")
        wait_until(lambda: "gpu-a does not answer" in status()["lab"]["headline"], "the loss", 60)
        assert status()["state"] == "warning"  # what fired is not known to be over
        listed = json.loads(installed.run("lab", "--json").stdout)
        assert [(host["state"], host["free"]) for host in listed["hosts"]] == [("down", None)]
