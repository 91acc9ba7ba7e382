"""The catalogue of each language: whole, in step with the code, faithful to what is never translated."""

from __future__ import annotations

import ast
import re
from string import Formatter

import pytest

from gpuwatch_tray import i18n
from tests.support import catalogue

NAMES = re.compile(r"`[^`]+`|\b[A-Z]{2,}(?:_[A-Z]+)+\b|--[a-z-]+|\b[\w.-]+\.(?:env|json)\b")
# Where a text goes to the person's eyes: the place of it among the arguments, and its keyword.
SINKS = {
    "MenuRow": (1, "label"),
    "action_row": (1, "label"),
    "text_row": (1, "label"),
    "text_rows": (1, "words"),
    "submenu": (1, "label"),
    "Popup": (1, "title"),
    "Notice": (0, "title"),
    "Problem": (0, "text"),
    "UsageError": (0, ""),
    "WorkError": (0, ""),
    "StoreError": (0, ""),
    "ReminderError": (0, ""),
    "NoSuchAlertError": (0, ""),
    "ConfigProblem": (3, "text"),
    "AbsentSource": (1, "why"),
    "TransportError": (1, "text"),
    "ControlError": (0, ""),
    "Refused": (0, ""),
    "DBusCallError": (0, ""),
    "BusUnavailableError": (0, ""),
    "OpeningError": (0, ""),
    "ClipboardError": (0, ""),
    "print": (0, ""),
    "ok": (1, "text"),
    "warning": (1, "text"),
    "problem": (1, "text"),
    "leave_open": (0, "line"),
    "never": (0, "line"),
    "measured": (1, "text"),
    "found": (3, "text"),
    "verdict": (0, "threshold"),
}
WORDS = re.compile(r"(?<![-\w])(?!gpuwatch-tray|chmod)[a-z]{3,}")

of_each_language = pytest.mark.parametrize("name", catalogue.TRANSLATED)


@pytest.fixture(scope="module")
def texts():
    return catalogue.texts()


def forms(message):
    return message.string if isinstance(message.string, tuple | list) else (message.string,)


def fields(text):
    """What is put into a text, with its conversion and format."""
    return {(name, spec, how) for _, name, spec, how in Formatter().parse(text) if name is not None}


@of_each_language
def test_every_text_is_translated_and_nothing_else_is(name, texts):
    """The catalogue has each text of the code, in every plural form, none of them in doubt or left over."""
    found = catalogue.read(name)
    assert {
        message.id if isinstance(message.id, str) else tuple(message.id) for message in found if message.id
    } == {*texts}, "run `make messages` and translate what is empty"
    assert not found.obsolete
    for message in filter(lambda each: each.id, found):
        assert not message.fuzzy, message.id
        assert len(forms(message)) == (found.num_plurals if message.pluralizable else 1), message.id
        assert all(form.strip() for form in forms(message)), message.id


@of_each_language
def test_a_translation_takes_the_same_values(name):
    """The names in braces are those of the text, with the same formats: nothing fails where it is shown."""
    for message in filter(lambda each: each.id, catalogue.read(name)):
        wanted = set().union(*map(fields, message.id if message.pluralizable else [message.id]))
        for form in forms(message):
            assert fields(form) == wanted, message.id


@of_each_language
def test_a_translation_keeps_what_is_typed(name):
    """Commands, keys, options and files stand in it letter by letter, and line ends are kept."""
    for message in filter(lambda each: each.id, catalogue.read(name)):
        text = message.id[-1] if message.pluralizable else message.id
        for form in forms(message):
            assert set(NAMES.findall(text)) == set(NAMES.findall(form)), text
            assert text.count("\n") == form.count("\n"), text


@of_each_language
def test_the_files_are_what_make_messages_writes(name):
    """The translator's file is as the program writes it, and gettext's file has the very same texts."""
    updated = catalogue.updated(catalogue.read(name))
    assert catalogue.po(name).read_bytes() == catalogue.as_po(updated)
    assert catalogue.po(name).with_suffix(".mo").read_bytes() == catalogue.as_mo(updated)


@of_each_language
def test_gettext_reads_it(name):
    """The language is spoken once it is chosen, plural and all."""
    i18n.set_language(name)
    assert i18n._("Quit") != "Quit"
    assert i18n.ngettext("{count} process", "{count} processes", 2).format(count=2).startswith("2")
    assert i18n._("") == ""


def test_what_people_read_goes_through_the_catalogue():
    """No row, popup, notice, problem or complaint is a bare literal, put together or not."""
    assert [*bare_texts()] == []


def bare_texts():
    for file in sorted(catalogue.PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and (sink := SINKS.get(called(node))):
                place, keyword = sink
                given = [each.value for each in node.keywords if each.arg == keyword]
                for value in [*node.args[place : place + 1], *given]:
                    if said := bare(value):
                        yield f"{file.name}:{value.lineno}: {said}"


def called(call):
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def bare(node):
    """The words that stand in it untranslated; none where it is a call, a name or the like."""
    match node:
        case ast.Constant(value=str(text)):
            return text if WORDS.search(text) else ""
        case ast.JoinedStr(values=parts):
            return next(filter(None, map(bare, parts)), "")
        case ast.IfExp(body=one, orelse=other) | ast.BinOp(left=one, right=other):
            return bare(one) or bare(other)
        case ast.BoolOp(values=parts):
            return next(filter(None, map(bare, parts)), "")
    return ""
