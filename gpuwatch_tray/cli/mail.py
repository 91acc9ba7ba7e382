"""`mail`: the outbox and its ways out."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from gpuwatch_tray.cli.numbers import port
from gpuwatch_tray.language import _

if TYPE_CHECKING:
    from gpuwatch_tray.cli.branch import Branch
    from gpuwatch_tray.context import RunContext


def add(commands: Branch) -> None:
    """Add them."""
    _mail, tasks = commands.family(
        "mail", _("what waits to be sent, and the ways out"), "mail queue", "mail login", "mail test"
    )
    queue = tasks.command("queue", _queue, _("each mail that has not left, and why"), "mail queue --json")
    queue.add_argument("--json", action="store_true", help=_("as JSON"))
    for name, run, summary in (
        ("retry", _retry, _("have mails sent now, those that were given up too")),
        ("drop", _drop, _("never send these mails")),
    ):
        task = tasks.command(name, run, summary, f"mail {name} 7", f"mail {name} all")
        task.add_argument("ids", nargs="+", metavar="ID", help=_("its number in `mail queue`, or `all`"))
    deliver = tasks.command(
        "deliver", _deliver, _("send what waits in the outbox and is due"), "mail deliver --verbose"
    )
    deliver.add_argument("--handed", action="store_true", help=argparse.SUPPRESS)  # by the courier
    login = tasks.command(
        "login", _login, _("sign in to Gmail"), "mail login", "mail login --status", aliases=["auth"]
    )
    what = login.add_mutually_exclusive_group()
    what.add_argument("--status", action="store_true", help=_("how the sign-in stands, without the network"))
    what.add_argument("--revoke", action="store_true", help=_("withdraw it at Google, and delete token.json"))
    what.add_argument(
        "--port", type=port, default=None, help=_("where to wait for the browser (default 8765)")
    )
    password = tasks.command(
        "password", _password, _("keep the mail server's password in the system's keyring"), "mail password"
    )
    password.add_argument("--delete", action="store_true", help=_("take it out again"))
    tasks.command("test", _test, _("try the way of the mail, and send nothing"), "mail test")


def _deliver(setup: RunContext, asked: argparse.Namespace) -> int:
    from gpuwatch_tray.commands import mail

    return mail.deliver(setup, handed=asked.handed)


def _queue(setup: RunContext, asked: argparse.Namespace) -> int:
    from gpuwatch_tray.commands import queue

    return queue.show(setup, as_json=asked.json)


def _retry(setup: RunContext, asked: argparse.Namespace) -> int:
    from gpuwatch_tray.commands import queue

    return queue.retry(setup, asked.ids)


def _drop(setup: RunContext, asked: argparse.Namespace) -> int:
    from gpuwatch_tray.commands import queue

    return queue.drop(setup, asked.ids)


def _login(setup: RunContext, asked: argparse.Namespace) -> int:
    from gpuwatch_tray.commands import signin

    if asked.status:
        return signin.status(setup)
    return signin.revoke(setup) if asked.revoke else signin.login(setup, port=asked.port)


def _password(setup: RunContext, asked: argparse.Namespace) -> int:
    from gpuwatch_tray.commands import password

    return password.delete(setup) if asked.delete else password.store(setup)


def _test(setup: RunContext, _asked: argparse.Namespace) -> int:
    from gpuwatch_tray.commands import mailtest

    return mailtest.run(setup)
