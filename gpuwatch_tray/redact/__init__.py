"""
Redaction of command lines argument by argument, and what may be shown of a process.

It works before arguments are joined: joined text no longer tells where a secret with blanks in it ends. In
doubt it hides: a hidden file name costs a look, a shown token costs an account.
"""

from __future__ import annotations

import ntpath
import re
from typing import TYPE_CHECKING

from gpuwatch_tray.model import GpuProcess, Missing
from gpuwatch_tray.redact.names import names_secret
from gpuwatch_tray.redact.scan import harmless, looks_like_flag, scan
from gpuwatch_tray.redact.shapes import REDACTED
from gpuwatch_tray.redact.visible import one_line, visible

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "REDACTED",
    "arguments",
    "command",
    "lines",
    "one_line",
    "process_name",
    "program",
    "text",
    "visible",
]

NA = "NA"

# `--token=x`, `HF_TOKEN=x`, `+wandb.api_key=x`, `/password:x`, `X-Api-Key: x`: all that follows is the value.
_NAMED_VALUE = re.compile(
    r"(?P<head>(?:--?|/|\+{1,2})?(?P<name>[A-Za-z_][\w.-]*)[=:]\s*)(?P<value>.+)", re.DOTALL
)
_FLAG_NAME = re.compile(r"(?:--?|/|\+{1,2})(?P<name>[A-Za-z_][\w.-]*)")
_HEADER_NAME = re.compile(r"(?P<name>[A-Za-z_][\w.-]*)[=:]")
_SCHEME = re.compile(r"(?i)bearer|basic|token")
_SCRIPT_FLAG_NAME = re.compile(r"-[a-z]*c|/[ck]|-command", re.IGNORECASE)
_LOGIN_ARGUMENT = re.compile(r"(?P<user>[^\s:/@]+):(?P<password>.+)", re.DOTALL)
_USER_FLAGS = frozenset({"-u", "-U", "--user", "--proxy-user", "--creds"})
# Programs that take a password in a short option of their own; the first group glues it on (`-psecret`).
_GLUED_OPTIONS = {
    **dict.fromkeys(("mysql", "mysqldump", "mysqladmin", "mariadb", "mariadb-dump", "mariadb-admin"), "-p"),
    **dict.fromkeys(("sshpass", "7z", "7za", "7zr", "rar", "unrar"), "-p"),
    **dict.fromkeys(("zip", "unzip", "sqlcmd", "bcp"), "-P"),
    **dict.fromkeys(("redis-cli",), "-a"),
}


def program(name: str) -> str:
    """Return the file name of the program `name`, without folders (either system's) and arguments."""
    return ntpath.basename(name.strip().rstrip("/\\"))


def process_name(name: str) -> str:
    """
    Redact the name of a process, which can be a title that holds its whole command.

    Redact it before the folders are cut off, too: without its beginning a login in a URL is not recognised.
    """
    return one_line(scan(program(scan(name))))


def arguments(argv: Sequence[str]) -> tuple[str, ...]:
    """Replace everything that may be a secret by `***`; as many arguments come back as were given."""
    shown: list[str] = []
    glued: set[str] = set()
    value_next = False
    before = ""
    for argument in argv:
        if value_next and not looks_like_flag(argument):
            # `-H Authorization: Bearer x` without quotes: the scheme is not yet the secret.
            value_next = _SCHEME.fullmatch(argument) is not None
            shown.append(argument if value_next or harmless(argument) else REDACTED)
        else:
            shown.append(_redact_argument(argument, before, glued))
            value_next = _announces_secret(argument, glued)
        option = _GLUED_OPTIONS.get(program(argument).lower().removesuffix(".exe"))
        if option:
            glued.add(option)
        before = argument
    return tuple(shown)


def text(s: str) -> str:
    """Redact free text, such as an error line, and write it on one line."""
    return visible(scan(s))


def lines(s: str) -> tuple[str, ...]:
    """Redact free text and split it into lines; a secret may run over several lines."""
    return tuple(map(visible, scan(s).split("\n")))


def command(process: GpuProcess) -> str:
    """
    Write what mail, menu, popup and log may show of a process's command line, on one line.

    Of one's own, the redacted arguments; of anybody else's or an unknown owner's, the program's name only;
    `NA` where neither is known.
    """
    if process.mine and not isinstance(process.command, Missing) and process.command:
        return one_line(" ".join(arguments(process.command))) or NA
    if not isinstance(process.name, Missing):
        name = process.name
    elif not isinstance(process.command, Missing) and process.command:
        name = process.command[0].split(" ", 1)[0]
    else:
        return NA
    return process_name(name) or NA


def _redact_argument(argument: str, before: str, glued: set[str]) -> str:
    """Redact one argument, by the one before it and the glued password options seen so far."""
    if argument[:2] in glued and len(argument) > len("-p") and not argument.startswith("--"):
        return argument[:2] + REDACTED
    if (
        before in _USER_FLAGS
        and (login := _LOGIN_ARGUMENT.fullmatch(argument))
        and not login["password"].isdecimal()
    ):
        return f"{login['user']}:{REDACTED}"
    named = _NAMED_VALUE.fullmatch(argument)
    is_script = _SCRIPT_FLAG_NAME.fullmatch(before) is not None
    if named and not is_script and names_secret(named["name"]) and not harmless(named["value"]):
        return named["head"] + REDACTED
    return scan(argument)


def _announces_secret(argument: str, glued: set[str]) -> bool:
    """Tell whether the argument after this one is a secret."""
    if argument == "-p" or argument in glued or _SCHEME.fullmatch(argument):
        return True
    named = _FLAG_NAME.fullmatch(argument) or _HEADER_NAME.fullmatch(argument)
    return named is not None and names_secret(named["name"])
