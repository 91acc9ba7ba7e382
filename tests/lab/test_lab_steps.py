"""The way to a lab step by step: each thing that is missing is named where it is, with how to correct it."""

from __future__ import annotations

from msgspec.structs import replace

from gpuwatch_tray.lab.lab_steps import prometheus_steps
from gpuwatch_tray.lab.login import LabSecret
from gpuwatch_tray.settings import LabLogin, LabSettings
from tests.lab.rig import read_until, states
from tests.lab.scripted import GivenSecret, ScriptedServer, reply
from tests.support.prometheus import Alertmanager, Prometheus


def steps(rig, **settings):
    """The steps as lines: a sign, the text, and the mend."""
    signs = {True: "+", False: "-", None: "?"}
    asked = replace(rig.settings, **settings)
    return [
        f"{signs[step.ok]} {step.text}" + (f" ({step.mend})" if step.mend else "")
        for step in prometheus_steps(asked, GivenSecret("geheim"), pause=lambda _seconds: None)
    ]


def test_all_is_well_where_it_is(rig):
    """Each step of a lab that works is a plus; one of them says what the alerts are."""
    name, manager = (server.url.removeprefix("http://") for server in (rig.prometheus, rig.manager))
    lines = steps(rig)
    assert lines[:2] == [f"+ {name} is a Prometheus, and answers us", "+ 8 targets have the job gpuwatch"]
    assert lines[2].startswith("+ it asks them every 1 s, the last time ")
    assert lines[3:] == [
        "+ their GPUs are told by gpuwatch-tray",
        "+ 8 of 8 hosts are read",
        f"+ {manager} is an Alertmanager, and has 2 alerts",
        "+ alerts reach it: it has what fires in Prometheus",
        "+ alerts can be silenced for everyone, as LAB_SILENCE is on",
    ]


def test_servers_that_were_exchanged_are_named(rig):
    """Each is recognised as the other."""
    lines = steps(rig, prometheus=(rig.manager.url,), alertmanager=(rig.prometheus.url,))
    assert len(lines) == 2
    for line, words in zip(
        lines, ("is an Alertmanager, not a Prometheus", "is a Prometheus, not an Alert"), strict=True
    ):
        assert line.startswith("- ")
        assert words in line
        assert "exchange LAB_PROMETHEUS and LAB_ALERTMANAGER" in line


def test_another_job_is_named(rig):
    """Where the job has no target, the jobs that have GPUs are told."""
    (line,) = [line for line in steps(rig, job="gpu") if "no target" in line]
    assert line == "- no target has the job gpu (these jobs have GPUs: gpuwatch; set LAB_JOB to one)"


def test_a_prometheus_without_gpus_is_told_what_it_needs(rig):
    """Neither a target nor another job: the command that prints the configuration."""
    with Prometheus() as empty:
        lines = steps(rig, prometheus=(empty.url,), alertmanager=())
    assert "no target has the job gpuwatch (`gpuwatch-tray setup prometheus`" in lines[-1]


def test_an_alertmanager_that_is_not_fed_is_a_minus(rig):
    """Two looks are enough; the mend names where to look."""
    with Alertmanager() as idle:
        line = steps(rig, alertmanager=(idle.url,))[-2]
    assert line.startswith(
        "- alerts do not reach it: 2 alerts that fire in Prometheus are missing there (see `alerting:`"
    )


def test_a_page_in_between_and_a_login_are_told_apart(rig):
    """A proxy's page, a redirect and a login that is asked for: each by its own words, no password in any."""
    for answer, words in (
        (reply("<html>proxy</html>"), "answers with a page and not with JSON"),
        (reply("", "302 Found", Location="https://login.example"), "leads to another address"),
        (reply("", "401 Unauthorized"), "does not take our login (see LAB_AUTH"),
    ):
        with ScriptedServer(lambda _head, answer=answer: [answer]) as server:
            lines = steps(rig, prometheus=(server.url,), alertmanager=(), login=LabLogin.BASIC, user="ada")
        place, line = lines
        assert place == "+ the password is in the keyring"
        assert line.startswith("- ")
        assert words in line
        assert "geheim" not in place + line


def test_without_the_password_no_server_is_asked(rig):
    """A file that is not there is all that is told: each server would only refuse."""
    gone = rig.folder / "nowhere"
    secret = LabSecret(LabSettings(password_file=gone))
    asked = replace(rig.settings, login=LabLogin.BASIC, user="ada", password_file=gone)
    (step,) = prometheus_steps(asked, secret)
    assert (step.ok, str(gone) in step.text) == (False, True)


def test_hosts_that_are_not_read_and_clocks_are_worth_a_look(rig):
    """They are named; a lab with some hosts down works."""
    lab = rig.desk()
    rig.fleet["h4"].down, rig.fleet["h7"].skew = True, 90.0
    read_until(lab, lambda view: view.notes and states(view)["h4"] == "down", "both are told")
    lines = steps(rig)
    assert "? 7 of 8 hosts are read; not: h4" in lines
    assert "? the clocks are off on h7 (see NTP there)" in lines
    rig.fleet["h4"].down, rig.fleet["h7"].skew = False, 0.0


def test_a_job_of_other_targets_tells_of_no_gpus(rig):
    """Targets that answer without our metrics are told apart from none."""
    for host in rig.fleet:
        host.other = "node_load1 1\n"
    lab = rig.desk()
    read_until(lab, lambda view: set(states(view).values()) == {"unknown"}, "no host tells of GPUs")
    lines = steps(rig)
    for host in rig.fleet:
        host.other = ""
    assert any(
        line.startswith("- none of them tells of GPUs, by the metrics of gpuwatch-tray, dcgm")
        for line in lines
    )
    assert any(line.startswith("- 0 of 8 hosts are read; not: h1, h2, h3, h4, h5, …") for line in lines)
