"""
A life that is ended by SIGKILL at the n-th step, and its heirs; run as a program of its own, which forks.

A step is each statement, and each renaming and removal of a file and each mail, before and after. Prints,
for each n, what left: a list of [kind, Message-ID].
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sqlite3
import sys
import time
from contextlib import closing
from pathlib import Path

from gpuwatch_tray.engine import Engine, HostRules, late_digest, no_desktop
from gpuwatch_tray.model import Instant
from gpuwatch_tray.notify.outbox_worker import LEASE, deliver_due
from gpuwatch_tray.notify.transport import FailureKind, Receipt, TransportError
from gpuwatch_tray.store import Store, state_file
from tests.store.commits import BUSY, CALM, HEAD, POLICY, mail, step
from tests.store.faults import fault
from tests.store.test_damage import overwritten
from tests.store.test_migration import DATA, VERSION_1
from tests.support.fakes import START

LATER = LEASE + 20.0  # the leases of the dead are over, the cooldown is not
MOST = 2000  # steps of one life
OVER_THE_CAP = 3  # the number of that mail
RANDOM = 25  # deaths at any moment, between two steps too


class Death:
    """Counts the steps of this process, and ends it at the one that is asked for."""

    at = 0
    steps = 0

    @classmethod
    def step(cls) -> None:
        cls.steps += 1
        if cls.steps == cls.at:
            os.kill(os.getpid(), signal.SIGKILL)


class Way:
    """Refuses every mail for good as long as `refuses` says so."""

    refuses = False


class Disk:
    """Full as long as `full` says so."""

    full = False


class Connection(sqlite3.Connection):
    def execute(self, sql, *parameters):
        Death.step()
        if Disk.full and sql.startswith(("COMMIT", "CREATE")) and self.on_disk:
            raise fault(sqlite3.SQLITE_FULL)
        return super().execute(sql, *parameters)

    def executemany(self, *statement):
        Death.step()
        return super().executemany(*statement)

    on_disk = False


def opened(path):
    made = sqlite3.connect(
        path, timeout=5.0, isolation_level=None, check_same_thread=False, factory=Connection
    )
    made.on_disk = True
    return made


def counted(method):
    """Wrap the method with a step before and one after."""

    def call(*arguments, **more):
        Death.step()
        done = method(*arguments, **more)
        Death.step()
        return done

    return call


class Recorder:
    """A transport that keeps what it was given in a file, as a server would."""

    name = "file"

    def __init__(self, folder: Path) -> None:
        self.path = folder / "sent"

    def send(self, message):
        Death.step()
        if Way.refuses:
            raise TransportError(FailureKind.RECIPIENT, "550 no such user")
        with self.path.open("a") as sent:
            sent.write(json.dumps([message.kind.value, message.message_id]) + "\n")
        Death.step()
        return Receipt("file", "250 taken")


def life(folder: Path, now: float, reading) -> None:
    """One evaluation and its delivery, as `check` does them."""

    def instant() -> Instant:
        return Instant(now, now - START + 500.0, "boot")

    with closing(Store(folder, "box", lambda: (now - START + 500.0, "boot"), keeper=True)) as store:
        Engine(HostRules(), store, POLICY, HEAD, instant, no_desktop).evaluate(reading)
        gather = late_digest(HEAD)
        deliver_due(store, lambda: Recorder(folder), lambda: now, chance=lambda: 0.0, gather=gather)
        Disk.full = False


def nothing(_folder: Path) -> None:
    """Leave the folder empty: the very first start."""


def told(folder: Path) -> None:
    """Write a state in which the alert was mailed a while ago."""
    life(folder, START - 600, BUSY)
    (folder / "sent").unlink()


def damaged(folder: Path) -> None:
    """Write a state with a waiting mail, and overwrite a page of another table."""
    with closing(Store(folder, "box")) as store:
        store.commit(step(mail(1, ["box/other"])))
    overwritten(folder / "state-box.sqlite3", "transitions")


def version_1(folder: Path) -> None:
    """Write a file of version 1 with a waiting mail."""
    with closing(sqlite3.connect(folder / "state-box.sqlite3")) as database:
        database.executescript(VERSION_1 + DATA + "PRAGMA user_version = 1;")


def backlog(folder: Path) -> None:
    """Nothing could be sent for hours: two mails wait, and one is held over the cap."""
    with closing(Store(folder, "box")) as store:
        for number in (1, 2, 3):
            old = mail(number, ["box/other"], created=START - 7200, held=number == OVER_THE_CAP)
            store.commit(step(old))


def refused(_folder: Path) -> None:
    """Leave the folder empty; the server will refuse the recipient."""


# name -> how it was before, what is read, and whether the disk is full until the end
PLANS = {
    "fires": (nothing, BUSY, False),
    "ends": (told, CALM, False),
    "damaged": (damaged, BUSY, False),
    "version-1": (version_1, BUSY, False),
    "full": (nothing, BUSY, True),
    "backlog": (backlog, CALM, False),
    "refused": (refused, BUSY, False),
}


def child(work, *arguments) -> int:
    """Run `work` in a process of its own; its process id."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        work(*arguments)
        code = 0
    finally:
        os._exit(code)


def ended(pid: int) -> int:
    """Return the exit code; -9 for a killed process."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def doomed(folder: Path, reading, full: bool, refuses: bool, at: int) -> None:
    """Run a life that dies at step `at`."""
    Death.at, Disk.full, Way.refuses = at, full, refuses
    life(folder, START, reading)


def heirs(folder: Path, reading, refuses: bool) -> None:
    """Two that come after; before the second, somebody mends the address and asks for what was given up."""
    Way.refuses = refuses
    life(folder, START + LATER, reading)
    Way.refuses = False
    if refuses:
        with closing(Store(folder, "box")) as store:
            assert [row.state for row in store.unsent_mails()] == ["dead"]
            store.resend_mails([row.id for row in store.unsent_mails()], START + LATER + 1)
    life(folder, START + 2 * LATER, reading)


def once(folder: Path, prepare, reading, full, *, at: int = 0, after: float | None = None):
    """One death: how it ended, and what left in all."""
    folder.mkdir()
    ended(child(prepare, folder))
    refuses = prepare is refused
    pid = child(doomed, folder, reading, full, refuses, at)
    if after is not None:
        time.sleep(after)
        os.kill(pid, signal.SIGKILL)
    code = ended(pid)
    heir = ended(child(heirs, folder, reading, refuses))
    path = folder / "sent"
    lines = path.read_text().splitlines() if path.exists() else []
    shutil.rmtree(folder)
    return code, {"at": at or after, "heir": heir, "sent": [json.loads(line) for line in lines]}


def main(plan: str, folder: Path) -> None:
    """Die at every step, then at any moment."""
    state_file.open_connection = opened
    for name in ("rename", "unlink"):
        setattr(Path, name, counted(getattr(Path, name)))
    found = []
    for at in range(1, MOST):
        code, result = once(folder / str(at), *PLANS[plan], at=at)
        found.append(result)
        if code != -signal.SIGKILL:
            break
    begin = time.monotonic()
    once(folder / "measure", *PLANS[plan])
    whole = time.monotonic() - begin
    chance = random.Random(plan)  # noqa: S311  # the same each time
    for turn in range(RANDOM):
        _, result = once(folder / f"random-{turn}", *PLANS[plan], after=chance.uniform(0, whole / 2))
        found.append(result)
    json.dump({"code": code, "results": found}, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
