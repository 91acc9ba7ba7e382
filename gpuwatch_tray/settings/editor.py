"""Values put into a settings file by a program: every other line stays as the person wrote it."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

from gpuwatch_tray.common.private import replace_private
from gpuwatch_tray.i18n import _
from gpuwatch_tray.settings.shell import parse_script

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from gpuwatch_tray.settings.shell import Assignment


class EditError(Exception):
    """The file was not changed; the text says why in one line."""


def with_values(text: str, values: Mapping[str, str]) -> str:
    """
    Return `text` with these values: in place of the last assignment, else below a commented one, else last.

    An empty value takes every assignment of its key out.
    Raises EditError where a line cannot be read as data: a value put below it might not count.
    """
    for key, value in values.items():
        script = parse_script(text)
        if script.errors:
            error = script.errors[0]
            raise EditError(_("line {line}: {text}").format(line=error.line, text=error.text))
        assigned = [one for command in script.commands for one in command.assignments]
        given = [one for one in assigned if one.name == key]
        if not value:
            for one in reversed(given):
                text = text[: one.start] + _nothing(text, one) + text[one.end :]
            continue
        line = f"{key}={shlex.quote(value)}"
        commented = [
            found.end()
            for found in re.finditer(rf"^#[ \t]*{key}=.*$", text, re.MULTILINE)
            if not any(one.start < found.start() < one.end for one in assigned)  # a value over several lines
        ]
        if given:
            text = text[: given[-1].start] + line + text[given[-1].end :]
        elif commented:
            text = f"{text[: commented[0]]}\n{line}{text[commented[0] :]}"
        else:
            text = text + ("" if not text or text.endswith("\n") else "\n") + line + "\n"
    return text


def _nothing(text: str, given: Assignment) -> str:
    """Return what stands for a key that is not set: a comment, or no value where others share its line."""
    before = text[text.rfind("\n", 0, given.start) + 1 : given.start]
    behind = text[given.end :].partition("\n")[0].strip()
    alone = not before.strip() and (not behind or behind.startswith("#"))
    return f"{'#' if alone else ''}{given.name}="


def change_file(path: Path, values: Mapping[str, str]) -> None:
    """Put these values into the file, which is replaced as a whole; raises EditError."""
    path = path.resolve()  # a link, as dotfiles often are, stays one
    try:
        changed = with_values(path.read_text("utf-8"), values)
        replace_private(path, changed)
    except EditError as error:
        raise EditError(f"{path}: {error}") from None
    except UnicodeDecodeError:
        raise EditError(_("{file} is not UTF-8: save it as UTF-8").format(file=path)) from None
    except OSError as error:
        text = _("{file} cannot be written: {why}").format(file=path, why=error.strerror or error)
        raise EditError(text) from error
