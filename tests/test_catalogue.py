"""The catalogue of each language: whole, in step with the code, faithful to what is never translated."""

from __future__ import annotations

import ast
import builtins
import re
from functools import cache
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
    "ReminderNotice": (0, "title"),
    "Problem": (0, "text"),
    "UsageError": (0, ""),
    "WorkError": (0, ""),
    "StoreError": (0, ""),
    "ReminderError": (0, ""),
    "NoSuchAlertError": (0, ""),
    "NoSuchMailError": (0, ""),
    "AutostartError": (0, ""),
    "DesktopFilesError": (0, ""),
    "LockError": (0, ""),
    "NoDesktopError": (0, ""),
    "ReportPageError": (0, ""),
    "StartError": (0, "message"),
    "XServerError": (0, ""),
    "ConfigProblem": (3, "text"),
    "AbsentSource": (1, "why"),
    "TransportError": (1, "text"),
    "ControlError": (0, ""),
    "RequestRefusedError": (0, ""),
    "NotRunningError": (0, ""),
    "DBusCallError": (0, "text"),
    "BusUnavailableError": (0, ""),
    "OpeningError": (0, ""),
    "ClipboardError": (0, ""),
    "print": (0, ""),
    "ok": (1, "text"),
    "warning": (1, "text"),
    "problem": (1, "text"),
    "leave_open": (0, "line"),
    "cannot_fire": (0, "line"),
    "measure": (1, "text"),
    "fire": (3, "text"),
    "builder.build": (0, "threshold"),
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


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("_('one')", ["one"]),
        ("i18n._('one ' 'text')", ["one text"]),
        ('f\'{_("one")} {N_("two")}\'', ["one", "two"]),
        ("ngettext('{n} day', '{n} days', n).format(n=n)", [("{n} day", "{n} days")]),
        ("_(text) + print('no')", []),
    ],
)
def test_a_text_is_found_wherever_it_stands(code, found):
    """Within an f-string too, with each Python that the program runs on."""
    assert [*catalogue.marked(code)] == found


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


def test_every_place_of_a_text_is_one_of_the_package():
    """Each name in SINKS is defined there, and takes the text at that place: a new name is noticed."""
    places = {name: [*places_of_texts(name)] for name in SINKS if not hasattr(builtins, name)}
    assert [name for name, found in places.items() if SINKS[name] not in found] == []


@cache
def nodes():
    """Return every part of the package's code, with its file."""
    files = sorted(catalogue.PACKAGE.rglob("*.py"))
    return [(file, node) for file in files for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))]


def places_of_texts(name):
    """Yield the place and the name of each parameter of what is called so."""
    for _file, node in nodes():
        if getattr(node, "name", "") != name.rpartition(".")[2]:
            continue
        body = node.body if isinstance(node, ast.ClassDef) else []
        inits = [one for one in body if getattr(one, "name", "") == "__init__"]
        match node:
            case ast.ClassDef(bases=[base, *_]) if not inits and ast.unparse(base) != "Struct":
                yield 0, ""  # an exception with a text alone
            case ast.ClassDef() if not inits:
                yield from enumerate(one.target.id for one in body if isinstance(one, ast.AnnAssign))
            case ast.ClassDef() | ast.FunctionDef():
                arguments = (*inits, node)[0].args.args
                yield from enumerate(one.arg for one in arguments if one.arg != "self")


def bare_texts():
    for file, node in nodes():
        if isinstance(node, ast.Call) and (sink := SINKS.get(called(node))):
            place, keyword = sink
            given = [each.value for each in node.keywords if each.arg == keyword]
            for value in [*node.args[place : place + 1], *given]:
                if text := bare(value):
                    yield f"{file.name}:{value.lineno}: {text}"


def called(call):
    """Return the name that is called, with its object's where SINKS has it so."""
    match call.func:
        case ast.Attribute(value=ast.Name(id=holder), attr=name) if f"{holder}.{name}" in SINKS:
            return f"{holder}.{name}"
        case ast.Attribute(attr=name) | ast.Name(id=name):
            return name
    return ""


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


def test_no_text_stands_inside_a_formatted_string():
    """Before Python 3.12 the extraction reads no call inside an f-string: such a text is in no catalogue."""
    hidden = [
        f"{file.name}:{call.lineno}: {call.args[0].value}"
        for file in catalogue.PACKAGE.rglob("*.py")
        for string in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(string, ast.JoinedStr)
        for call in ast.walk(string)
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in {"_", "N_"}
        if isinstance(call.args[0], ast.Constant)
    ]
    assert hidden == []
