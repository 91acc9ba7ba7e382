"""Keeping a password or a token in the system's keyring: what `mail password` and `lab password` share."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from gpuwatch_tray.app.context import UsageError, WorkError
from gpuwatch_tray.i18n import _
from gpuwatch_tray.settings import Secret, SecretError, odd_characters

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from gpuwatch_tray.settings.system_keyring import KeyringEntry


def change_password(entry: KeyringEntry, parse: Callable[[str], Secret], *, delete: bool) -> None:
    """Ask for the password and store it, or delete it, and say so. Raises UsageError and WorkError."""
    account = entry.account
    try:
        if delete:
            gone, none = (
                _("The password for {account} was deleted."),
                _("There is no password for {account}."),
            )
            print((gone if entry.delete() else none).format(account=account))
            return
        name = entry.store(_ask_password(account, parse))
    except SecretError as error:
        raise WorkError(str(error)) from error
    print(_("The password for {account} is in the keyring ({name}).").format(account=account, name=name))


def _ask_password(account: str, parse: Callable[[str], Secret]) -> str:
    """Return the password that the person types twice, or the first line of a pipe."""
    import getpass

    if sys.stdin is None:  # closed, or a windowed start on Windows
        raise UsageError(_("cannot ask for the password here: run this in a terminal"))
    if not sys.stdin.isatty():
        text = sys.stdin.readline()
    else:
        text = getpass.getpass(_("Password for {account}: ").format(account=account))
        if getpass.getpass(_("Again: ")) != text:
            raise UsageError(_("the two passwords differ: nothing was stored"))
    try:
        secret = parse(text)
    except ValueError as error:
        raise UsageError(_("the password {why}").format(why=error)) from error
    if not secret.reveal():
        raise UsageError(_("the password is empty: nothing was stored"))
    if odd := odd_characters(secret):
        print(_("The password contains {what}: type it by hand instead of pasting it.").format(what=odd))
    return secret.reveal()


def add_delete(parser: argparse.ArgumentParser) -> None:
    """Add the option that deletes it."""
    parser.add_argument("--delete", action="store_true", help=_("delete it from the keyring"))
