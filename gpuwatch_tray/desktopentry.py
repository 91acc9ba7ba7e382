"""
The Desktop Entry files of Linux's desktops: written, read, and mended in place. Pure.

Desktop Entry Specification 1.5. A value's backslashes are escaped first of all, and a command line (`Exec`)
has a quoting of its own beneath that, which is not the shell's: words in double quotes, in which `"`,
backtick, `$` and the backslash are escaped, and `%%` for a per cent sign.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

GROUP = "[Desktop Entry]"
# "The Exec key": a word with one of these must be quoted.
_RESERVED = re.compile(r"[\s\"'\\><~|&;$*?#()`]")
_IN_QUOTES = re.compile(r"([\"`$\\])")
# GLib looks for the program before it reads `%%` as `%`, and then starts nothing (g_desktop_app_info_load).
_ENV = ["/usr/bin/env"]
_WORD = re.compile(r'"((?:[^"\\]|\\.)*)"|([^\s"]+)', re.DOTALL)
_ESCAPES = {"\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}
_ESCAPED = {"s": " ", "n": "\n", "t": "\t", "r": "\r", "\\": "\\"}


def format_desktop_entry(values: Mapping[str, str]) -> str:
    """The text of an entry with these keys, in their order; the values as they are meant."""
    return "\n".join([GROUP, *(f"{key}={_escape(value)}" for key, value in values.items()), ""])


def format_exec(words: Sequence[str]) -> str:
    """The value of `Exec` that starts this program with these arguments."""
    return " ".join(map(_quote, words))


def program_keys(words: Sequence[str]) -> dict[str, str]:
    """The keys that start this program: `Exec`, and `TryExec`, without which a desktop shows a dead entry."""
    line = format_exec([*(_ENV if "%" in words[0] else ()), *words])
    return {"Exec": line, "TryExec": words[0]}


def parse_exec(command: str) -> list[str]:
    """The program and its arguments; field codes such as `%u`, of which ours have none, stay as they are."""
    words = [
        re.sub(r"\\(.)", r"\1", match[1], flags=re.DOTALL) if match[2] is None else match[2]
        for match in _WORD.finditer(command)
    ]
    words = [word.replace("%%", "%") for word in words]
    return words[len(_ENV) :] if words[: len(_ENV)] == _ENV else words


def parse_desktop_entry(text: str) -> dict[str, str]:
    """The keys of the main group as they are meant; of two equal ones the last counts, as for GLib."""
    return {key: _unescape(value) for key, value in _main_group(text)}


def update_desktop_entry(text: str, values: Mapping[str, str]) -> str:
    """The entry with these keys set anew and every other line, a person's own among them, as it was."""
    lines, left, inside = [], dict(values), False
    for line in text.split("\n"):
        if line.startswith("["):
            inside = line.strip() == GROUP
        key = line.partition("=")[0].strip()
        if not inside or key not in values:
            lines.append(line)
        elif key in left:
            lines.append(f"{key}={_escape(left.pop(key))}")
    place = next((at for at, line in enumerate(lines) if line.strip() == GROUP), len(lines) - 1) + 1
    lines[place:place] = [f"{key}={_escape(value)}" for key, value in left.items()]
    return "\n".join(lines)


def _main_group(text: str) -> list[tuple[str, str]]:
    words, inside = [], False
    for line in text.split("\n"):
        if line.startswith("["):
            inside = line.strip() == GROUP
        elif inside and "=" in line and not line.startswith("#"):
            key, _, value = line.partition("=")
            words.append((key.strip(), value.strip()))
    return words


def _quote(word: str) -> str:
    word = word.replace("%", "%%")
    if word and not _RESERVED.search(word):
        return word
    return '"' + _IN_QUOTES.sub(r"\\\1", word) + '"'


def _escape(value: str) -> str:
    return "".join(_ESCAPES.get(letter, letter) for letter in value)


def _unescape(value: str) -> str:
    return re.sub(r"\\(.)", lambda match: _ESCAPED.get(match[1], match[0]), value)
