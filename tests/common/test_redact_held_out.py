"""Redaction over lines that were written before its rules were looked at, and the rule that hides each."""

from __future__ import annotations

import contextlib
import re
import shlex
from pathlib import Path
from unittest import mock

import pytest

from gpuwatch_tray.common import redact, secret_shapes
from gpuwatch_tray.common.secret_names import Secrecy
from gpuwatch_tray.common.secret_programs import ProgramLine

DATA = Path(__file__).parent / "data"
NEVER = re.compile(r"(?!)()")
CALLS = ("_CALL", "_HERE", "_SENT", "_PIPED", "_SAID", "_OF_NPM", "_SLASH_P")
# What has to be replaced by what for a rule to be off.
RULES = {
    "a name": [(redact, "secrecy", lambda _name: Secrecy.NONE)],
    "a shape": [(redact, "hide_shapes", lambda s: s)],
    "a program's option": [
        (ProgramLine, "option", lambda _line, _word: Secrecy.NONE),
        (ProgramLine, "glued", lambda _line, _word: ""),
        (ProgramLine, "is_in_place", lambda _line, _word: False),
        (ProgramLine, "takes_login", lambda _line, _word: False),
    ],
    "a login": [
        (secret_shapes, "_LOGIN_OPTION", NEVER),
        (secret_shapes, "_OPEN_LOGIN", NEVER),
        (redact, "_LOGIN_ARGUMENT", NEVER),
        (redact, "_LOGIN_PAIR", NEVER),
    ],
    "a call or a pipe": [(secret_shapes, name, NEVER) for name in CALLS],
    "a login's word": [(redact, "looks_like_password", lambda _word: False)],
}
MOST = 0.05  # of the lines may be missed, or touched


def rows(name):
    """Read the lines of a held-out table as (rules, line)."""
    found = []
    for section in (DATA / name).read_text(encoding="utf-8").split("\n## ")[1:]:
        heading, *lines = section.split("\n")
        found += [(heading.partition(": ")[2], line) for line in lines if line]
    return found


SECRET = rows("held_out_secret_lines.txt")
HARMLESS = rows("held_out_harmless_lines.txt")
KNOWN = "touched all the same"


def words(line):
    """Return the arguments of a line; of free text, the text."""
    kind, _, rest = line.partition("TEXT|")
    return [rest] if rest and not kind else shlex.split(line)


def shown(line):
    """Redact a line as a program's arguments or as free text."""
    if line.startswith("TEXT|"):
        return [redact.text(words(line)[0])]
    return list(redact.arguments(words(line)))


def shows_secret(line):
    """Tell whether any of the marked secrets of a line is still in it."""
    marked = " ".join(words(line))
    out = " ".join(shown(re.sub("[«»]", "", line)))
    return any(secret in out for secret in re.findall("«(.*?)»", marked))


@contextlib.contextmanager
def only(rules):
    """Switch off all rules but these."""
    with contextlib.ExitStack() as off:
        for rule, replaced in RULES.items():
            if rule not in rules.split(", "):
                for of, name, by in replaced:
                    off.enter_context(mock.patch.object(of, name, by))
        yield


@pytest.mark.parametrize(("rules", "line"), [row for row in SECRET if row[0] != "none"])
def test_the_rule_of_a_line_hides_its_secret(rules, line):
    """Each line loses its secret, by the rules that its heading names and without all others."""
    assert not shows_secret(line)
    with only(rules):
        assert not shows_secret(line)


@pytest.mark.parametrize("line", [line for rules, line in SECRET if rules == "none"])
def test_a_line_that_no_rule_hides_is_still_one(line):
    """The lines of "none" are shown: one that a rule has learned to hide belongs under that rule."""
    assert shows_secret(line)


@pytest.mark.parametrize("line", [line for rule, line in HARMLESS if rule != KNOWN])
def test_a_harmless_line_is_not_touched(line):
    """Nothing is hidden in a line without a secret."""
    assert shown(line) == words(line)


@pytest.mark.parametrize("line", [line for rule, line in HARMLESS if rule == KNOWN])
def test_a_line_that_is_touched_all_the_same_still_is(line):
    """The known ones are touched: one that no longer is belongs to the others."""
    assert shown(line) != words(line)


def test_few_lines_are_missed_or_touched():
    """Under 5 % of the lines with a secret show it, and under 5 % of the others lose anything."""
    assert sum(rules == "none" for rules, _ in SECRET) < MOST * len(SECRET)
    assert sum(rule == KNOWN for rule, _ in HARMLESS) < MOST * len(HARMLESS)
