"""No output shows a secret of a command line: menu, popups, mails, chats, log, `alerts`, `status`, `when`."""

from __future__ import annotations

import json
import logging
import shutil
from contextlib import closing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from gpuwatch_tray.alerts import ChatRoute
from gpuwatch_tray.app.control import alerts_json
from gpuwatch_tray.app.status_json import ResponderInfo, build_status, status_lines
from gpuwatch_tray.cli.alerts import alert_lines
from gpuwatch_tray.common import redact
from gpuwatch_tray.common.proclist import all_text, listing_json, own_text
from gpuwatch_tray.engine import Engine, HostRules, mail_now
from gpuwatch_tray.engine.operations import AlertOperations, Reminders, shown_command
from gpuwatch_tray.model import Gpu, Limits, Presence, PresenceResult, Problem
from gpuwatch_tray.notify import render
from gpuwatch_tray.store import Store
from gpuwatch_tray.tray import menu
from tests.common.test_redact import CANARY, FORMS
from tests.engine.bench import HEAD, POLICY
from tests.support.fakes import Clock, process, snapshot
from tests.support.folders import memory_folder

LIMITS = Limits(gpu_limit=1, max_etime=3600)
LEAK = "canary"


def labels(rows):
    for row in rows:
        yield row.label
        yield from labels(row.children)


class Outputs:
    """A run of the whole house over readings, and everything that anybody gets to see of it."""

    def __init__(self, folder) -> None:
        self.clock = Clock()
        self.store = Store(folder, "box", self.clock.uptime)
        self.seen = []
        self.presence = Presence.AWAY
        self.chat = ChatRoute("phone")
        policy = replace(
            POLICY, limits=LIMITS, resolved_popup=True, routing=replace(POLICY.routing, chats=(self.chat,))
        )
        self.judge = Engine(
            HostRules(), self.store, policy, HEAD, self.clock.instant, self.sighting, lambda *_: False
        )

    def sighting(self):
        return PresenceResult(self.presence, "test")

    def show(self, *words):
        self.seen += map(str, words)

    def look(self, reading, seconds=5.0):
        self.clock.advance(seconds)
        outcome = self.judge.evaluate(reading)
        popups = [popup for popup, _ in (*outcome.popups, *outcome.reminder_popups)]
        self.show(*(each.title for each in popups), *(each.body for each in popups), *outcome.gaps)
        for name, members in outcome.popups:
            del name
            self.judge.record_popup(members)
        for _, numbers in outcome.reminder_popups:
            if numbers:
                self.judge.record_reminder_popup(numbers)
        for channel in ("email", self.chat.channel.value):
            for row in self.store.lease_due(self.clock.now, 60, channel=channel):
                self.show(row.message.subject, row.message.text)
                self.store.mark_sent(row.id, self.clock.now, "250")
        status = outcome.status
        self.show(*menu.tooltip(status), *labels(menu.build_menu(status)))
        answer = build_status(status, ResponderInfo("tray", "box", "nvml"))
        self.show(json.dumps(answer), *status_lines(answer, self.clock.now))
        self.show(*self.judge.explain(reading))
        record = alerts_json(self.store, self.clock.instant())
        self.show(json.dumps(record), *alert_lines(record))

    def run(self, processes):
        """They work for too long on too many GPUs, are waited for, are asked about, and end."""
        person, waiting = (
            AlertOperations(self.store, self.clock.instant),
            Reminders(self.store, self.clock.instant),
        )
        busy = replace(snapshot(*processes), source="nvml", boot_id=self.clock.uptime()[1])
        for pid in {each.pid for each in processes}:
            self.show(waiting.add_process_ends(pid, busy))
        self.show(*waiting.lines())
        self.look(busy)
        self.presence = Presence.PRESENT
        self.look(busy, 4000)
        active = [str(each.id) for each in self.store.saved_state().alerts]
        assert active or any(each.mine is not True for each in processes)
        if active:
            self.show(person.acknowledge(*active), person.snooze(600.0, *active))
        self.look(busy)
        self.look(replace(busy, problem=Problem("driver not loaded")))
        self.look(replace(busy, processes=()), 700)
        self.look(replace(busy, processes=()))
        _, _, message = mail_now(busy, replace(POLICY, limits=LIMITS), HEAD, self.clock.instant())
        self.show(message.text)


def secret_lines(argv, *, mine):
    """
    Two processes that show the words as their command, and as the title that they gave themselves.

    A title is one text, in which nobody can tell where a secret with blanks in it ends.
    """
    title = " ".join(argv)
    title = "python" if LEAK in redact.text(title) else title
    facts = {"command": tuple(argv), "user": "ada", "mine": mine, "cwd": "/home/ada/run"}
    return (
        process(1, 0, 9000.0, **facts, name=title),
        process(2, 1, 9000.0, **facts | {"command": (title,)}, name="python"),
    )


def everything_seen(processes, caplog=None):
    folder = memory_folder()
    outputs = Outputs(folder)
    try:
        with closing(outputs.store):
            outputs.run(processes)
        if caplog is not None:
            outputs.show(caplog.text)
        return outputs.seen
    finally:
        shutil.rmtree(folder)


def leaks(seen):
    return [text for text in seen if LEAK in text]


@pytest.mark.parametrize("mine", [True, False, None], ids=["mine", "another's", "unknown"])
def test_no_output_shows_a_secret(mine, caplog):
    """From the first popup to the last line of the log, no form of a secret in a command line is seen."""
    caplog.set_level(logging.DEBUG, "gpuwatch_tray")
    for form in FORMS:
        argv = ["python", "train.py", *(part.format(CANARY, CANARY) for part in form), "--epochs", "3"]
        assert leaks(everything_seen(secret_lines(argv, mine=mine), caplog)) == []


def test_the_faces_do_show_commands():
    """The test above can fail: what is no secret is seen in each kind of output."""
    seen = everything_seen(secret_lines(["python", "train.py", "--run", LEAK], mine=True))
    shown = leaks(seen)
    assert any("Raw output:" in text for text in shown)  # the mail
    assert any(text.startswith("Command: ") for text in shown)  # the menu
    assert any(text.startswith("PID 1 (") and "has ended" in text for text in shown)  # a popup
    assert any("you will be notified when" in text for text in shown)  # `when`


@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from(["--password", "--token", "--api-key", "--hf-token"]),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    st.sampled_from([True, False, None]),
    st.booleans(),
)
def test_no_output_shows_a_named_secret_whatever_its_letters(name, tail, mine, glued):
    """A secret with blanks, quotes and controls in it stays one argument, and hidden, in every output."""
    secret = f"{CANARY}{tail}"
    words = [f"{name}={secret}"] if glued else [name, secret]
    facts = {"command": ("python", *words), "mine": mine}
    assert leaks(everything_seen((process(1, 0, 9000.0, **facts), process(2, 1, 9000.0, **facts)))) == []


@pytest.mark.parametrize("form", FORMS, ids=" ".join)
def test_a_command_of_when_run_is_redacted(form):
    """What `when run` says of its command is redacted argument by argument."""
    argv = ["python", "train.py", *(part.format(CANARY, CANARY) for part in form)]
    assert LEAK not in shown_command(argv)


@pytest.mark.parametrize("form", FORMS, ids=" ".join)
def test_another_persons_list_shows_no_secret(form):
    """`ps --all` and its JSON never have other people's arguments."""
    argv = ["python", *(part.format(CANARY, CANARY) for part in form)]
    facts = secret_lines(argv, mine=False)
    others = [replace(each, mine=mine) for each in facts for mine in (False, None)]
    reading = snapshot(*others, gpus=(Gpu(0, "GPU-0"),))
    shown = all_text(others) + json.dumps(listing_json(reading, others, with_users=True))
    assert LEAK not in shown
    assert LEAK not in own_text(others, redacted=True)
    head = render.MailIdentity("box", "ada", "/etc/gpu-watch.env")
    mail = render.alert_mail(head, [], others, [], now=0.0, message_id="<1@box>")
    assert LEAK not in mail.text
