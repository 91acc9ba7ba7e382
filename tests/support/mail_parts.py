"""A mail of each state, and one with text from strangers, for the tests of mails."""

from __future__ import annotations

from msgspec.structs import replace

from gpuwatch_tray.alerts.reminder_types import CommandEnds, RunReport
from gpuwatch_tray.alerts.reminders import command_notice
from gpuwatch_tray.alerts.run_groups import join_notices
from gpuwatch_tray.model import MessageKind, ReminderNotice, Severity
from gpuwatch_tray.notify import render
from gpuwatch_tray.notify.render import MailIdentity
from tests.support.fakes import MIB, START, alert, process

HEAD = MailIdentity("lab1", "ada", "/home/ada/.config/gpuwatch-tray/gpu-watch.env")
CANARY = "hf_canary0123456789abcdefghijkl"
ID = "<1.gpuwatch-tray@lab1>"
HOT = alert(
    "temperature_critical",
    "GPU-0000",
    Severity.CRITICAL,
    id=7,
    since=START - 420,
    reason="TEMPERATURE(93) of GPU 0",
    text="GPU 0 (NVIDIA RTX A6000): 93 °C, and it slows itself down at 96 °C",
)
COUNT = alert(
    id=8, since=START - 60, reason="GPU_COUNT(3) > GPU_LIMIT(2)", text="3 GPUs in use; the limit is 2"
)
RUNNING = (
    process(
        2943615, 0, 12360, memory=21828 * MIB, command=("python", "train.py", "--token", CANARY, "--lr=3e-4")
    ),
    process(31337, 1, 95, mine=False, command=("python", "theirs.py", CANARY), cwd="/home/bob/run"),
    process(4242, 2, 7),
)
HOSTILE = (
    "<script>alert(1)</script>",
    "'\"><img src=x onerror=alert(1)>",
    "\u202egpj.exe\u2066\u200f",
    "]]>--><!--/picture--><style>*{display:none}</style>",
    "name\r\nBcc: victim@example.org\x1b[2J\x00\u2028",
    "\udcff\udcfe" + "x" * 4096,
    "&lt;b&gt; &#x202e;",
)


def firing(*alerts, **facts):
    told = alerts or (HOT, COUNT)
    return render.alert_mail(HEAD, told, RUNNING, (), now=START, message_id=ID, **facts)


def threaded(one):
    """Return the alert as one that was mailed an hour ago."""
    return replace(one, thread=("<root@lab1>", START - 3600))


def states():
    """Return a mail of each state, by its name."""
    first = firing(COUNT)
    return {
        "firing": firing(),
        "reminder": firing(threaded(COUNT), is_repeat=True),
        "resolved": render.resolved_mail(HEAD, [threaded(HOT), COUNT], now=START, message_id=ID),
        "digest": render.digest(HEAD, [first, firing(), first], now=START, message_id=ID, late=True),
        "notice": render.notice_mail(HEAD, NOTICE, now=START, message_id=ID),
        "test": render.alert_mail(
            HEAD, (), RUNNING[:1], ("GPU 1 cannot be read",), now=START, message_id=ID, kind=MessageKind.TEST
        ),
    }


NOTICE = ReminderNotice(
    "python train.py has ended",
    "python train.py ended with exit code 1 after 3 h 26 min",
    START,
    ("peak GPU memory: 21828 MiB",),
    ("epoch 7, loss 0.31", "Traceback (most recent call last):", "RuntimeError: CUDA out of memory"),
    Severity.WARNING,
)


OUT_OF_MEMORY = (
    "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of"
    " 23.65 GiB of which 512.00 MiB is free."
)


def failed_run(seconds=0.0):
    """Return the notice of a run that asked for more memory of its GPU than a neighbour had left."""
    report = RunReport(
        12,
        "it asked for 2.0 GiB of the memory of GPU 0, where 512 MiB were free: bob's process 31337 (python)"
        " has held 18.0 GiB since 03:12",
        "wait until it ends (`gpuwatch-tray when free 1 -- COMMAND`), or choose a smaller batch",
        (
            "on GPU 0",
            "peak memory of its largest process: 6.1 GiB",
            OUT_OF_MEMORY,
            "its log: gpuwatch-tray runs log 12",
        ),
        ("GPU-0000",),
        OUT_OF_MEMORY,
    )
    command = CommandEnds(9, "start-9", "base", peak=5 * 1024 * MIB)
    return command_notice(command, 1, 7260.0, NOTICE.output, START + seconds, report)


RUNS = join_notices(
    "base",
    [
        replace(NOTICE, text="base: done after 2 h", severity=Severity.INFO),
        *[failed_run(seconds) for seconds in (0, 60, 70)],
        replace(NOTICE, text="base: the driver reported Xid 79 of GPU 3 at 03:12: it fell off the bus"),
    ],
    more=True,
)


def of_runs():
    """Return the mails about one run and about several, by name."""
    notices = {"run": failed_run(), "runs": RUNS}
    return {
        name: render.notice_mail(HEAD, notice, now=START, message_id=ID) for name, notice in notices.items()
    }


def hostile(text):
    """Return a mail with a stranger's `text` wherever one can get in."""
    mine = process(1, 0, command=("python", text, f"--name={text}"), cwd=f"/tmp/{text}", name=text)
    theirs = process(2, 1, mine=False, command=(text, CANARY), name=text, user=text, cwd=text)
    one = alert("intruder", f"GPU-0000/{text}", text=f"{text} is on GPU 0", reason=f"INTRUDER {text}")
    return render.alert_mail(HEAD, (one,), (mine, theirs), (text,), now=START, message_id=ID)
