"""
Desktop Entry files (Desktop Entry Specification 1.5): written, read, and updated in place. Pure.

A command line (`Exec`) is quoted by rules of its own, not the shell's, beneath the escapes of all values.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

GROUP = "[Desktop Entry]"
# "The Exec key": a word with one of these stands in double quotes, with some escaped; `%` is doubled.
_RESERVED = re.compile(r"[\s\"'\\><~|&;$*?#()`]")
_IN_QUOTES = re.compile(r"([\"`$\\])")
# GLib looks for the program before it reads `%%` as `%`, and starts nothing (g_desktop_app_info_load).
_ENV = ["/usr/bin/env"]
_WORD = re.compile(r'"((?:[^"\\]|\\.)*)"|([^\s"]+)', re.DOTALL)
_ESCAPES = {"\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}
_ESCAPED = {"s": " ", "n": "\n", "t": "\t", "r": "\r", "\\": "\\"}


def format_desktop_entry(values: Mapping[str, str]) -> str:
    """Return the text of an entry with these keys in order; the values are unescaped."""
    return "\n".join([GROUP, *(f"{key}={_escape(value)}" for key, value in values.items()), ""])


def format_exec(words: Sequence[str]) -> str:
    """Return the value of `Exec` that starts this program with these arguments."""
    return " ".join(map(_quote, words))


def program_keys(words: Sequence[str]) -> dict[str, str]:
    """Return `Exec`, and `TryExec`, by which desktops hide an entry whose program is gone."""
    line = format_exec([*(_ENV if "%" in words[0] else ()), *words])
    return {"Exec": line, "TryExec": words[0]}


def parse_exec(command: str) -> list[str]:
    """Return the program and its arguments; field codes such as `%u`, of which ours has none, stay."""
    words = [
        re.sub(r"\\(.)", r"\1", match[1], flags=re.DOTALL) if match[2] is None else match[2]
        for match in _WORD.finditer(command)
    ]
    words = [word.replace("%%", "%") for word in words]
    return words[len(_ENV) :] if words[: len(_ENV)] == _ENV else words


def parse_desktop_entry(text: str) -> dict[str, str]:
    """Return the main group's keys, unescaped; the last of equal keys counts, as for GLib."""
    return {key: _unescape(value) for key, value in _main_group(text)}


def update_desktop_entry(text: str, values: Mapping[str, str]) -> str:
    """Return the entry with these keys set, and every other line unchanged."""
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
