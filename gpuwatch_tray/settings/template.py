"""The files of settings, generated from the table: every key with its meaning and its default."""

from __future__ import annotations

import os
import re
from textwrap import wrap
from typing import TYPE_CHECKING

from msgspec import Struct

from gpuwatch_tray.model.schema import LAB, NOTIFY, SETTINGS, SMTP, WATCH_FILE
from gpuwatch_tray.settings import paths

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from gpuwatch_tray.model.schema import Setting


PRIVATE = 0o600  # one of them holds a password
_WIDTH = 115  # characters of a line
# What an example says about copying it, and what each file says of itself.
_COPYING = {
    WATCH_FILE: "Copy this file to gpu-watch.env (in this folder, or in the user's configuration folder) and"
    " edit the copy;\n`gpuwatch-tray setup config` does so.",
    NOTIFY: "Copy this file to notify.env and edit the copy; `gpuwatch-tray setup config` does so.",
    SMTP: "Copy this file to smtp.env, edit the copy, and keep it to yourself: chmod 600 smtp.env\n"
    "`gpuwatch-tray setup config` does so.",
    LAB: "Copy this file to lab.env and edit the copy; `gpuwatch-tray setup config` does so.",
}
_ABOUT = {
    WATCH_FILE: "What to watch for.\n\n"
    "The format is the part of Bash that is data: NAME=value without blanks around the =, quotes round"
    " a value with blanks, # before a comment, and $NAME for what a line above or the environment says."
    " Nothing is executed.\n"
    "A key without a value, and a key that is not there, has its default. Keys written #NAME=... below"
    " show theirs.\n"
    "A rule is switched off by `off` in place of its number (or of its `on`).\n"
    "A running tray reads the file again when it changes; `gpuwatch-tray setup config --check` finds"
    " mistakes.",
    NOTIFY: "How the mail leaves, and when. The format is that of gpu-watch.env.",
    SMTP: "A mail server to send by. The format is that of gpu-watch.env. A FROM_EMAIL written here goes"
    " before the one of notify.env. The password makes this file yours alone: mode 600.",
    LAB: "Other machines, all in one icon. The format is that of gpu-watch.env. Without a key here there is"
    " only this computer.",
}


class SettingsFile(Struct, frozen=True):
    """One of the files: where it is, or would be written; `named` is the variable that says so."""

    path: Path
    exists: bool
    named: str = ""


def files(
    environ: Mapping[str, str], folders: paths.SettingsFolders | None = None
) -> tuple[SettingsFile, ...]:
    """Find each of the files, or its place: what its variable names, else the user's folder."""
    folders = folders or paths.settings_folders()
    located = []
    for name, variable in paths.FILES:
        path, there = (file := paths.find(name, variable, environ, folders)).path, file.found
        named = variable if environ.get(variable) else ""
        if named:
            there = os.path.lexists(path)
        located.append(SettingsFile(path if named or there else folders.config / name, there, named))
    return tuple(located)


def write_missing(
    environ: Mapping[str, str], folders: paths.SettingsFolders | None = None
) -> tuple[Path, ...]:
    """Write those of the files that are missing, for their owner alone; raises OSError."""
    folders = folders or paths.settings_folders()
    missing = [
        (name, file)
        for (name, _), file in zip(paths.FILES, files(environ, folders), strict=True)
        if not file.exists
    ]
    for name, file in missing:
        if not file.path.is_absolute():
            raise OSError(f"{file.path}: this account has no home folder: name the file by a variable")
        file.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        _write(file.path, new_file(name))
    return tuple(file.path for _, file in missing)


def new_file(name: str) -> str:
    """Generate a new file of this name, from the table of settings."""
    lines = _comment(_ABOUT[name])
    for setting in SETTINGS.values():
        if setting.file == name:
            lines += _block(setting)
    return "\n".join(lines) + "\n"


def example(name: str) -> str:
    """Generate config/NAME.example, which says how to copy it."""
    return "\n".join([*_comment(_COPYING[name]), "#", new_file(name)])


def _block(setting: Setting) -> list[str]:
    comment = setting.about if setting.comment is None else setting.comment
    lines = [""] if comment else []
    if setting.heading:
        lines += [f"# {setting.heading}", "#"]
    sample = setting.sample or (f'"{setting.placeholder}"' if setting.placeholder else setting.default)
    if not setting.sample and "\n" in sample:
        sample = f'"{sample}"'
    line = f"{setting.key}={sample}"
    return [*lines, *_comment(comment), line if setting.active else "#" + line.replace("\n", "\n#")]


def _comment(text: str) -> list[str]:
    """Return the lines of a comment; a paragraph that begins with a term and two blanks hangs."""
    lines = []
    for paragraph in text.splitlines():
        term = re.match(r"\S+ {2,}", paragraph)
        indent = " " * len(term[0]) if term else ""
        lines += wrap(paragraph, _WIDTH - 2, subsequent_indent=indent, break_on_hyphens=False) or [""]
    return [f"# {line}".rstrip() for line in lines]


def _write(path: Path, content: str) -> None:
    """Write a new file, whole or not at all."""
    handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, PRIVATE)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(content)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
