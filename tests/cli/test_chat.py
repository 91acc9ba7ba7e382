"""`chat`, `outbox` and `check` of the installed program, with the services on loopback behind real TLS."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from gpuwatch_tray.model import Message
from gpuwatch_tray.store import OutboxMail, outbox_pipe
from tests.driver.scenario import FakeGpu, Scenario
from tests.support.chatserver import ADDRESSES, CANARY, ELSEWHERE
from tests.support.installed import busy
from tests.support.timing import wait_until

pytestmark = pytest.mark.driver


FEW = ("ntfy", "slack", "webhook")
CALM = Scenario(gpus=[FakeGpu.numbered(0), FakeGpu.numbered(1)])


@pytest.fixture(params=[FEW])
def told(request, installed, chats, two):
    """These services are set up, nobody is mailed, and an alert fires."""
    installed.configure(TO_EMAIL="")
    installed.chat_with(*(f"{name} {ADDRESSES[name]}" for name in request.param))
    installed.play(busy(*two))
    return chats


all_of_them = pytest.mark.parametrize("told", [tuple(ADDRESSES)], indirect=True, ids=["all"])


def everything_written(installed):
    """All that lies in the test's folder, but for the file of the addresses."""
    files = [path for path in installed.folder.rglob("*") if path.is_file() and path.name != "chats"]
    return b"\n".join(path.read_bytes() for path in files)


@all_of_them
def test_every_chat_gets_the_alert_once(installed, told):
    """`check`, as cron runs it, needs no mail address; a second one is within the cooldown of each chat."""
    assert installed.run("check").returncode == 0
    assert {name: len(taken) for name, taken in told.taken.items()} == dict.fromkeys(ADDRESSES, 1)
    again = installed.run("check")
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")
    assert sum(map(len, told.taken.values())) == len(ADDRESSES)
    assert installed.run("outbox").stdout == "nothing waits\n"


def test_the_end_goes_where_the_alert_has_been(installed, told):
    """Not to the chat that was down, which hears of neither once its message is dropped."""
    told.mood["slack"] = "broken"
    installed.run("check")
    (waiting,) = json.loads(installed.run("outbox", "--json").stdout)["messages"]
    assert (waiting["channel"], waiting["chat"], waiting["attempts"]) == ("chat", "slack", 1)
    assert installed.run("outbox", "drop", str(waiting["id"])).returncode == 0
    told.mood.clear()
    installed.play(CALM)
    for _ in range(3):
        installed.run("check")
    assert "over" in told.texts("ntfy")[-1]
    assert len(told.taken["ntfy"]) == 2
    assert told.taken["slack"] == []


def test_one_that_hangs_holds_up_no_other(installed, told, server):
    """Mail and the other chats have theirs while one service does not answer."""
    installed.configure()
    told.mood["slack"] = "hang"
    with installed.watching():
        wait_until(lambda: "slack" in told.asked, "a request")
        wait_until(
            lambda: len(server.messages) == 1 and told.taken["ntfy"] and told.taken["webhook"], "the others"
        )
        assert told.taken["slack"] == []


TELLING = (("status", "--json"), ("outbox",), ("outbox", "--json"))
# What these show is on file, where it is looked for with each mood of the services.
SHOWING = (
    ("status",),
    ("alerts",),
    ("alerts", "explain"),
    ("doctor",),
    ("doctor", "--json"),
    ("setup", "config", "--check"),
    ("report", "--out", "page.html"),
)


@all_of_them
@pytest.mark.parametrize(
    ("mood", "commands"),
    [
        ("", TELLING),
        ("refused", (*TELLING, *SHOWING)),
        ("broken", TELLING),
        ("redirect", TELLING),
        ("drop", TELLING),
    ],
)
def test_no_secret_is_shown_anywhere(installed, told, mood, commands):
    """Not by a command, in the log, the state, the page or the process list, whatever a service does."""
    told.mood |= dict.fromkeys(ADDRESSES, mood)
    with installed.watching("--verbose") as running:
        wait_until(lambda: set(told.asked) == set(ADDRESSES), "every service is asked")
        processes = subprocess.run(["ps", "axeww"], capture_output=True, check=True).stdout
        said = [installed.run(*words) for words in commands]
        assert running.poll() is None
    said.append(installed.run("chat", "test", "--verbose"))
    if mood == "refused":
        said.append(installed.run("doctor", "--report", str(installed.folder / "report.txt")))
        assert (installed.folder / "page.html").is_file()
    shown = "\n".join(each.stdout + each.stderr for each in said)
    assert "slack" in shown
    assert CANARY not in shown
    assert CANARY.encode() not in processes
    assert CANARY.encode() not in everything_written(installed)
    assert all(request.host != ELSEWHERE for request in told.strangers)


def test_a_trial_message(installed, told):
    """`chat test` sends one to each, or to the one that is named; what was refused ends it with 1."""
    assert (
        installed.run("chat", "test", "ntfy").stdout
        == "ok      ntfy: ntfy, p***.example.org has taken it (HTTP 200)\n"
    )
    assert sum(map(len, told.taken.values())) == 1
    told.mood["slack"] = "refused"
    done = installed.run("chat", "test")
    assert done.returncode == 1
    assert "failed  slack: Slack does not take it (HTTP 403)\n" in done.stdout
    assert done.stdout.count("ok  ") == len(FEW) - 1
    unknown = installed.run("chat", "test", "nobody")
    assert unknown.returncode == 2
    assert "there is no chat 'nobody'" in unknown.stderr


def test_a_wrong_token_is_named_with_the_command_that_tries_again(installed, told):
    """`outbox` has it from the first refusal on."""
    told.mood["slack"] = "refused"
    with installed.watching() as running:
        wait_until(lambda: "slack" in told.asked, "a request")
        wait_until(lambda: "Slack does not take it" in installed.run("outbox").stdout, "a refusal")
        running.terminate()
    rows = json.loads(installed.run("outbox", "--json").stdout)["messages"]
    # On a slow machine another alert may have come meanwhile, which waits behind the first.
    (refused,) = {(row["error"], row["failure"]) for row in rows if row["error"]}
    assert refused == ("Slack does not take it (HTTP 403) (`gpuwatch-tray chat test slack`)", "configuration")


def test_mail_queue_stays_as_it_is(installed, told):
    """It has the mails alone; a number of a chat's message is none of a mail."""
    told.mood["slack"] = "broken"
    assert installed.run("check").returncode == 1
    assert installed.run("mail", "queue").stdout == "no queued mails\n"
    (row,) = json.loads(installed.run("outbox", "--json").stdout)["messages"]
    assert installed.run("mail", "drop", str(row["id"])).returncode == 1
    told.mood.clear()
    assert installed.run("outbox", "retry", "all").stdout == "1 message is due now\n"
    assert len(told.taken["slack"]) == 1


def test_what_waits_is_named_by_status(installed, told):
    """In words and in JSON, beside the mails."""
    told.mood["slack"] = "broken"
    with installed.watching():
        wait_until(lambda: '"slack": 1' in installed.run("status", "--json").stdout, "it waits")
        shown = wait_until(
            lambda: (text := installed.run("status").stdout) * ("Chat slack" in text), "a note"
        )
    assert "1 message to chat slack waits to be sent" in shown
    assert "Chat slack: 1 message waits" in shown


@pytest.mark.parametrize("step", ["begins", "hang", "drip"])
def test_killed_at_any_step_nothing_is_lost(installed, told, step):
    """
    By kill -9 of the child as it begins, while the service has the request, or has taken it and answers.

    It is sent again under the same number, and at most once too often.
    """
    installed.chat_with(f"hook {ADDRESSES['webhook']}")
    told.mood["webhook"] = step
    command = [str(installed.script), "chat", "deliver", "hook"]
    check = subprocess.Popen(
        [str(installed.script), "check"], env=installed.environment, stderr=subprocess.DEVNULL
    )
    if step != "begins":
        wait_until(lambda: "webhook" in told.asked, "a request")
    (child,) = wait_until(lambda: children_of(check.pid), "the child")
    os.kill(child, signal.SIGKILL)
    check.wait(60)
    (row,) = json.loads(installed.run("outbox", "--json").stdout)["messages"]
    assert row["state"] == "queued"
    told.mood.clear()
    told.released.set()
    free_leases(installed)
    done = subprocess.run(command, env=installed.environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    numbers = {request.headers["webhook-id"] for request in told.taken["webhook"]}
    assert numbers == {row["message_id"].strip("<>").partition("@")[0]}
    assert len(told.taken["webhook"]) == (2 if step == "drip" else 1)
    assert installed.run("outbox").stdout == "nothing waits\n"


def test_what_another_process_remembers_is_sent_too(installed, told):
    """As on a full disk: the messages come by a pipe, and the answers go back by another."""
    message = Message("◆ box: lost", "◆ GPU 0 was lost", time.time(), "<7@box>")
    lines = outbox_pipe.encode_mails([OutboxMail(7, message), OutboxMail(8, message)])
    done = subprocess.run(
        [str(installed.script), "chat", "deliver", "ntfy", "--handed"],
        env=installed.environment,
        input=lines,
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(answer["mail"], answer["said"]) for answer in answers] == [
        (7, "ntfy, p***.example.org: HTTP 200"),
        (8, "ntfy, p***.example.org: HTTP 200"),
    ]
    assert len(told.taken["ntfy"]) == 2


def test_what_is_due_about_the_lab_is_sent_from_its_own_state(installed, told):
    """It touches none of this computer's messages; without a lab there is nothing to send."""
    assert installed.run("chat", "deliver", "ntfy", "--lab").returncode == 0
    installed.write("lab.env", "LAB_HOSTS=gpu1\n")
    told.mood["ntfy"] = "broken"
    installed.run("check")
    told.mood.clear()
    asked = len(told.asked)
    done = installed.run(
        "chat", "deliver", "ntfy", "--lab", GPUWATCH_LAB_CONFIG=str(installed.folder / "lab.env")
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert len(told.asked) == asked
    assert [path.name for path in installed.state.glob("state-*-lab.sqlite3")]


def test_the_outbox_of_the_lab_is_listed_sent_and_dropped(installed, told):
    """Two outboxes count alike: an L tells the lab's rows apart, and `all` are those of both."""
    told.mood["slack"] = "broken"
    installed.run("check")
    (state,) = installed.state.glob("state-*.sqlite3")
    shutil.copy(state, state.with_name(f"{state.stem}-lab.sqlite3"))
    nowhere = installed.run("outbox", "retry", "L1")
    assert (nowhere.returncode, "there is no lab" in nowhere.stderr) == (2, True)
    installed.write("lab.env", "LAB_HOSTS=gpu1\n")
    installed.environment["GPUWATCH_LAB_CONFIG"] = str(installed.folder / "lab.env")
    answer = json.loads(installed.run("outbox", "--json").stdout)
    (number,) = (row["id"] for row in answer["lab"])
    assert [row["id"] for row in answer["messages"]] == [number]
    assert [line.split()[0] for line in installed.run("outbox").stdout.splitlines()[::3]] == [
        f"{number}",
        f"L{number}",
    ]
    told.mood.clear()
    assert installed.run("outbox", "retry", f"L{number}").stdout == "1 message is due now\n"
    assert len(told.taken["slack"]) == 1
    answer = json.loads(installed.run("outbox", "--json").stdout)
    assert (len(answer["messages"]), answer["lab"]) == (1, [])
    assert installed.run("outbox", "drop", "all").stdout == "1 message dropped\n"
    assert installed.run("outbox").stdout == "nothing waits\n"


def test_without_apprise_it_says_how_to_get_it(installed, told, tmp_path):
    """The message waits, and `doctor` names the extra; a webhook needs no library."""
    hidden = tmp_path / "hidden" / "apprise"
    hidden.mkdir(parents=True)
    (hidden / "__init__.py").write_text("raise ImportError('not installed')\n")
    installed.environment["PYTHONPATH"] = str(hidden.parent)
    done = installed.run("chat", "test")
    assert done.returncode == 1
    assert "pip install 'gpuwatch-tray[chat]'" in done.stdout
    assert [name for name, taken in told.taken.items() if taken] == ["webhook"]


def children_of(pid):
    """The processes that this one has started."""
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in found]


def free_leases(installed):
    """As if the lease of what was being sent had run out."""
    import sqlite3
    from contextlib import closing

    (file,) = installed.state.glob("state-*.sqlite3")
    with closing(sqlite3.connect(file, timeout=10)) as database, database:
        database.execute("UPDATE outbox SET lease_until = 0, set_at = ?", (time.time() - 1,))
