"""Thirty days of a workstation: what happens, what is told of it, and an oracle that keeps the books."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass

from gpuwatch_tray.model import UNKNOWN, MessageKind, Presence
from gpuwatch_tray.notify.outbox_worker import deliver_due
from gpuwatch_tray.notify.transport import FailureKind, Receipt, TransportError
from tests.engine.bench import Bench
from tests.engine.world import Moment, World

DAY, HOUR, POLL = 86400.0, 3600.0, 120.0
COOLDOWN, ESCALATE = 3600.0, 600.0
BYPASSES = {"severity-rise", "snooze-over"}
SETTLED = 300.0  # seconds after a fault of the driver in which other alerts may still be muted
SURE = ESCALATE + 180.0 + 3 * POLL  # seconds after which an undisturbed condition must have been mailed


@dataclass
class Network:
    """The fake way out: it takes mails while it works."""

    works: bool = True
    name: str = "test"

    def __post_init__(self):
        self.taken = []

    def send(self, message):
        if not self.works:
            raise TransportError(FailureKind.TRANSIENT, "no network", for_all=True)
        self.taken.append(message)
        return Receipt(self.name, "250")


class Books:
    """The oracle: it knows the world itself, and only hears of the evaluator what was queued and sent."""

    def __init__(self):
        self.clean = {}  # fingerprint -> since when its condition has held undisturbed
        self.queued = {}  # fingerprint -> when a mail about it was queued last, and why
        self.delivered = {}  # fingerprint -> when a mail about it was delivered last
        self.open = {}  # Message-ID -> (kind, fingerprints, reasons)
        self.told = set()
        self.acknowledged = set()
        self.lost, self.doubled, self.false = [], [], []
        self.checked = 0

    def conditions(self, world, clock):
        """The fingerprints whose condition holds for certain."""
        if not world.driver:
            return {"box/monitor_blind"}
        there = world.second == "there"
        seen = {pid: each for pid, each in world.born.items() if each[0] == 0 or there}
        found = {f"box/heat/GPU-000{n}" for n in (0, 1) if _hot(world.warmth[n]) and (n == 0 or there)}
        if not there:
            found.add("box/gpu_lost/GPU-0001")
        if len({gpu for gpu, _, _ in seen.values()}) > 1:
            found.add("box/gpu_limit")
        boot = f"5f0c7a1e-boot-{clock.boots}"
        return found | {
            f"box/max_etime/{boot}/{pid}/{mark}"
            for pid, (_, up, mark) in seen.items()
            if int(clock.up - up) > 3600
        }

    def look(self, holding, silenced, moment, calm):
        """One poll: how long has what held undisturbed, and should it have been mailed by now."""
        heard = {name for name in holding if not silenced(name) and name not in self.acknowledged}
        if not calm:
            heard &= {"box/monitor_blind"}
        self.clean = {name: self.clean.get(name, moment) for name in heard}
        for name, began in self.clean.items():
            for_ = moment.since(began)
            if for_ is not None and SURE <= for_ < SURE + POLL:
                self.checked += 1
                if not self._told_of(name, moment):
                    self.lost.append((name, began))

    def _told_of(self, name, now):
        """Whether a mail about it is on its way, or was delivered within the cooldown."""
        if any(name in names for kind, names, _ in self.open.values() if kind is not MessageKind.RESOLVED):
            return True
        last = self.delivered.get(name)
        since = None if last is None else now.since(last)
        # SURE: at the end of a cooldown the next mail is due at the next poll.
        return last is not None and (since is None or since <= COOLDOWN + SURE)

    def queue(self, mail, reasons, holding, dark):
        """A mail is queued: what it says fires must hold, or have held when last it was known."""
        self.open[mail.message.message_id] = (mail.message.kind, mail.fingerprints, reasons)
        for name in mail.fingerprints:
            if mail.message.kind is MessageKind.RESOLVED:
                if name not in self.told:
                    self.false.append((name, "resolved, and never told"))
                self.told.discard(name)
            elif mail.message.kind is MessageKind.ALERT and not (name in holding or dark(name)):
                self.false.append((name, "told, and not so"))

    def sent(self, message, moment):
        """A mail has left."""
        kind, names, reasons = self.open.pop(message.message_id, (None, (), {}))
        if kind is None:
            self.doubled.append((message.message_id, "sent twice"))
        if kind in {MessageKind.ALERT, MessageKind.DIGEST}:
            for name in names:
                last = self.delivered.get(name)
                since = None if last is None else moment.since(last)
                if since is not None and since < COOLDOWN - 0.001 and reasons.get(name) not in BYPASSES:
                    self.doubled.append((name, since, reasons.get(name)))
                self.delivered[name] = moment
                self.told.add(name)


def _hot(warmth):
    return warmth is not UNKNOWN and warmth >= 85


class Month:
    """The days, from a seed: a person with working hours, and every fault there is."""

    def __init__(self, folder, seed):
        self.chance = random.Random(seed)  # noqa: S311  # a story that is the same each time
        self.bench = Bench(folder, cooldown=COOLDOWN, escalate=ESCALATE, gap=3 * POLL)
        self.clock = self.bench.clock
        self.world, self.network, self.books = World(), Network(), Books()
        self.true = self.shift = 0.0
        self.counts = Counter()
        self.silences = []
        self.trouble = -DAY  # when nothing could be read last
        self.due = []  # (when, what) to happen, in true time
        self.kicked = True
        self.next_at = None
        self.shown = []
        self._watch_commits()

    def _watch_commits(self):
        store, commit = self.bench.store, self.bench.store.commit

        def watched(step):
            commit(step)
            self.steps.append(step)

        store.commit = watched
        self.steps = []

    def moment(self):
        return Moment(self.true, self.clock.boots, self.shift)

    def run(self, days=30):
        """Live through the days, and then a quiet one in which the network works."""
        for day in range(days):
            self._plan(day * DAY)
        while self.true < days * DAY:
            self._happen()
            self._poll()
            self._pass(POLL)
        self.due.clear()
        self.world, self.network.works, self.bench.screen = World(), True, True
        self.books.clean.clear()
        for _ in range(int(1.5 * DAY / POLL)):
            self._poll()
            self._pass(POLL)
        self.bench.close()
        return self

    def _pass(self, seconds):
        self.clock.advance(seconds)
        self.true += seconds

    # --- what happens -----------------------------------------------------------------------------------

    def _plan(self, start):
        """A day's events. Each fault plans its own end."""
        pick, length = self.chance.choice, self.chance.uniform

        def at():
            return start + length(8, 23) * HOUR

        gone = pick([Presence.AWAY, Presence.UNKNOWN])
        self.due.append((start + 9 * HOUR, ("person", Presence.PRESENT)))
        self.due.append((start + 18 * HOUR, ("person", gone)))
        self.due += [(at(), ("begin", n % 4 + 1, pick([0, 1]), length(600, 5 * HOUR))) for n in range(6)]
        for _ in range(4):
            self.due.append((at(), ("warm", pick([0, 1]), pick([82, 90, 97, UNKNOWN]), length(60, HOUR))))
        rarely = [
            ("second", pick(["lost", "anonymous", "vanished"]), length(300, 5 * HOUR)),
            ("driver", length(60, HOUR)),
            ("network", length(300, 30 * HOUR)),
            ("screen", length(300, 3 * HOUR)),
            ("reboot", length(30, 600)),
            ("restart",),
            ("jump", pick([-DAY, -HOUR, -5.0, 5.0, HOUR, DAY])),
            ("suspend", length(200, 3 * HOUR)),
            ("acknowledge",),
            ("snooze", length(600, 4 * HOUR)),
        ]
        self.due += [(at(), event) for event in rarely if self.chance.random() < 0.5]
        if self.chance.random() < 0.8:
            self.due.append((start + 23.5 * HOUR, ("suspend", 7.5 * HOUR)))
        self.due.sort(key=lambda each: each[0])

    def _later(self, seconds, *event):
        self.due.append((self.true + seconds, event))
        self.due.sort(key=lambda each: each[0])

    def _happen(self):
        while self.due and self.due[0][0] <= self.true:
            what, *values = self.due.pop(0)[1]
            self.counts[f"event {what}"] += 1
            getattr(self, f"_{what}")(*values)

    def _person(self, presence):
        self.bench.presence = presence

    def _begin(self, pid, gpu, seconds):
        self.world.begin(pid, gpu, self.clock.up)
        self._later(seconds, "end", pid, self.world.born[pid])

    def _end(self, pid, who):
        if self.world.born.get(pid) == who:
            del self.world.born[pid]

    def _warm(self, gpu, warmth, seconds=0.0):
        self.world.warmth[gpu] = warmth
        if seconds:
            self._later(seconds, "warm", gpu, 40)

    def _second(self, state, seconds=0.0):
        self.world.second = state
        if seconds:
            self._later(seconds, "second", "there")

    def _driver(self, seconds=0.0):
        self.world.driver = not seconds
        if seconds:
            self._later(seconds, "driver")

    def _network(self, seconds=0.0):
        self.network.works = not seconds
        if seconds:
            self._later(seconds, "network")

    def _screen(self, seconds=0.0):
        self.bench.screen = not seconds
        if seconds:
            self._later(seconds, "screen")

    def _reboot(self, seconds):
        self.clock.reboot(seconds)
        self.true += seconds
        self.world.born.clear()
        self._restart()

    def _restart(self):
        self.bench.restart()
        self._watch_commits()

    def _jump(self, seconds):
        self.clock.jump(seconds)
        self.shift += seconds

    def _suspend(self, seconds):
        self._pass(seconds)

    def _acknowledge(self):
        for name in self.shown:
            self.bench.attending.acknowledge(name)
            self.books.acknowledged.add(name)

    def _snooze(self, seconds):
        names = self.chance.choice([(), ("gpu_limit",), ("max_etime",), ("heat",)])
        self.bench.attending.snooze(seconds, *names)
        self.silences = [each for each in self.silences if each[0] != names]
        self.silences.append((names, self.moment(), seconds))

    def _silenced(self, name):
        """Whether a snooze may cover it: where nobody can know how long it lasts, it may."""
        for names, began, seconds in self.silences:
            since = self.moment().since(began)
            if not names or name.split("/")[1] in names:
                if since is None and self.true - began.true < seconds + 2 * DAY:
                    return True
                if since is not None and since < seconds:
                    return True
        return False

    # --- one poll ---------------------------------------------------------------------------------------

    def _poll(self):
        if not self.world.driver or self.world.second != "there":
            self.trouble = self.true
        self.steps.clear()
        outcome = self.bench.look(self.world.read(self.clock))
        self.shown = [alert.fingerprint for alert in outcome.status.alerts]
        self.counts["polls"] += 1
        holding = self.books.conditions(self.world, self.clock)
        for change in outcome.changes:
            self.counts[f"alerts {change.kind.value}"] += 1
            if change.kind.value in {"fired", "severity rose"}:
                self.books.acknowledged.discard(change.alert.fingerprint)
            if change.kind.value == "fired":
                self.books.told.discard(change.alert.fingerprint)
        self._enter(holding)
        self.counts["popups shown"] += sum(1 for _ in outcome.popups) if self.bench.screen else 0
        if self._mail_is_due():
            self._deliver()
        calm = self.true - self.trouble > SETTLED
        self.books.look(holding, self._silenced, self.moment(), calm)

    def _enter(self, holding):
        """What this poll committed goes into the books."""
        for step in self.steps:
            numbers = {alert.id: alert.fingerprint for alert in step.alerts}
            reasons = {}
            for line in step.transitions:
                if line.what == "email queued":
                    reasons[numbers[line.incident]] = line.why.partition(",")[0]
                    self.counts[f"mailed for {line.why}"] += 1
                elif line.what == "email waits":
                    self.counts[f"mail suppressed {line.why}"] += 1
                elif line.what == "popup waits":
                    self.counts[f"popup suppressed {line.why}"] += 1
            for mail in step.mails:
                self.kicked = True
                self.books.queue(mail, reasons, holding, self._dark)

    def _dark(self, name):
        _, rule, *subject = name.split("/", 2)
        return self.world.dark(rule, "".join(subject))

    def _mail_is_due(self):
        """As the outbox process decides."""
        if self.kicked or self.counts["polls"] % 10 == 0:
            self.next_at = self.bench.store.outbox_summary(self.clock.now).next_at
        self.kicked = False
        return self.next_at is not None and self.next_at <= self.clock.now

    def _deliver(self):
        before = len(self.network.taken)
        report = deliver_due(self.bench.store, lambda: self.network, self.clock, chance=lambda: 0.5)
        self.counts["deliveries failed"] += len(report.failures)
        for message in self.network.taken[before:]:
            self.counts[f"mails delivered {message.kind.value}"] += 1
            self.books.sent(message, self.moment())
        self.kicked = True

    def table(self):
        """The counts, and what matters of them at the end."""
        end = {
            "checked by the oracle": self.books.checked,
            "never left": len(self.books.open),
            "false": len(self.books.false),
            "lost": len(self.books.lost),
            "doubled": len(self.books.doubled),
        }
        rows = [*sorted(self.counts.items()), *end.items()]
        return "\n".join(f"{count:>7}  {name}" for name, count in rows)
