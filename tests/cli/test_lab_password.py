"""`lab password`, and the password in the keyring on its way to a server, as a user runs them."""

from __future__ import annotations

import base64
import json
import os
import pty
import subprocess

import pytest

from tests.lab.scripted import ScriptedServer, reply, vector
from tests.support.timing import wait_until

PASSWORD = "geheim und lang 4711"
PAIR = base64.b64encode(f"ada:{PASSWORD}".encode()).decode()


@pytest.fixture
def served():
    """A server that wants Ada's password, and has no hosts."""

    def answer(head):
        if f"authorization: basic {PAIR}".lower() not in head.lower():
            return [reply("", "401 Unauthorized")]
        return [vector(({}, "1")) if "vector%281%29" in head else vector()]

    with ScriptedServer(answer) as server:
        yield server


@pytest.fixture
def desk(installed, served):
    installed.write("lab.env", f"LAB_PROMETHEUS={served.url}\nLAB_AUTH=basic\nLAB_USER=ada\nLAB_POLL_SEC=5\n")
    return installed


def store(desk, text, *words):
    return subprocess.run(
        [str(desk.script), "lab", "password", *words],
        env=desk.environment,
        input=text,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def headline(desk):
    """What the running program says of the lab."""
    answer = json.loads(desk.run("status", "--json").stdout)
    return (answer["lab"] or {}).get("headline") or ""


def told(done):
    """What a command said, in one line."""
    return " ".join(f"{done.stdout} {done.stderr}".split())


def test_a_password_goes_into_the_keyring_and_the_lab_is_asked_with_it(desk, served, ring):
    """From a pipe, its blanks kept; commands and the running program log in; deleted, they say what to do."""
    without = desk.run("lab", "test")
    assert without.returncode == 1
    assert "there is no password for ada@localhost" in told(without)
    assert "`gpuwatch-tray lab password` stores it" in told(without)
    assert served.heads == []
    stored = store(desk, f"  {PASSWORD}\n")
    assert (stored.returncode, stored.stderr) == (0, "")
    account = f"ada@localhost:{served.port}"
    assert stored.stdout.splitlines() == [
        f"The password for {account} is in the keyring (a test's keyring).",
        "`gpuwatch-tray lab test` tries it.",
    ]
    assert ring.kept == {f"gpuwatch-tray lab/{account}": PASSWORD}
    tested = desk.run("lab", "test")
    assert "ok the password is in the keyring" in told(tested).replace("lab ", "")
    assert "is a Prometheus, and answers us" in told(tested)

    with desk.watching():
        wait_until(lambda: "has no target of the job" in headline(desk), "the running program has logged in")
    deleted = [store(desk, "", "--delete").stdout for _ in range(2)]
    assert deleted == [
        f"The password for {account} was deleted.\n",
        f"There is no password for {account}.\n",
    ]
    logs = "".join(path.read_text() for path in desk.state.glob("*.log*"))
    assert PASSWORD not in logs + told(tested) + told(stored)


def test_a_running_program_takes_a_password_at_once(desk, ring):
    """One that was refused asks again by itself within two minutes; a new password has it do so now."""
    desk.write("lab.env", (desk.folder / "lab.env").read_text().replace("SEC=5", "SEC=3600"))
    with desk.watching():
        wait_until(lambda: "there is no password for ada@" in headline(desk), "it has none", pause=0.2)
        wait_until(
            lambda: (store(desk, PASSWORD), "has no target of the job" in headline(desk))[1],
            "it has logged in",
            pause=1.0,
        )


def test_what_no_password_is_needed_for_is_said(desk, served, ring):
    """No Prometheus, no login, a file that goes before it: the key to change is named."""
    both = f"LAB_PROMETHEUS={served.url}\nLAB_AUTH=basic\nLAB_USER=ada\nLAB_PASS_FILE={ring.file}\n"
    desk.write("lab.env", both)
    assert "because LAB_PASS_FILE is set: remove LAB_PASS_FILE from lab.env" in told(store(desk, "x\n"))
    for text, words in (
        ("", "set LAB_PROMETHEUS in lab.env first"),
        (f"LAB_PROMETHEUS={served.url}\n", "LAB_AUTH=none sends no login"),
    ):
        desk.write("lab.env", text)
        refused = store(desk, "x\n")
        assert refused.returncode == 2
        assert words in told(refused)


def test_what_is_told_to_the_tray_is_shown_on_no_terminal(desk, ring):
    """A pipe gets it, as the tray has one; a terminal gets a line that says so."""
    ring.keep("gpuwatch-tray lab/ada@x", "hunter2")
    told = desk.run("lab", "password", "--tell", "ada@x")
    assert json.loads(told.stdout) == {"secret": "hunter2"}
    ours, theirs = pty.openpty()
    done = subprocess.run(
        [str(desk.script), "lab", "password", "--tell", "ada@x"],
        env=desk.environment,
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
        check=False,
        timeout=60,
    )
    os.close(theirs)
    shown = b""
    try:
        while chunk := os.read(ours, 1024):
            shown += chunk
    except OSError:  # the other side is closed
        os.close(ours)
    assert done.returncode == 2
    assert b"hunter2" not in shown
