"""The pages of --help: 80 columns, a command's own options first, the list of commands in sections."""

from __future__ import annotations

import shutil

import pytest

from gpuwatch_tray import i18n
from gpuwatch_tray.cli.docs import iter_commands, visible_actions
from gpuwatch_tray.cli.help import COMMON, terminal_width
from gpuwatch_tray.cli.parser import build_parser
from gpuwatch_tray.common.text import display_width

PROGS = [each.prog for each in iter_commands(build_parser())]
COLUMNS = 80


@pytest.fixture(params=i18n.LANGUAGES)
def commands(request, monkeypatch):
    """Each command's parser by its words, in one of the languages, on a terminal of 80 columns."""
    monkeypatch.setenv("COLUMNS", str(COLUMNS))
    i18n.set_language(request.param)
    yield {each.prog: each for each in iter_commands(build_parser())}
    i18n.set_language(i18n.ENGLISH)
    build_parser()  # argparse speaks English again


def title(text):
    return i18n._(text) + ":\n"


@pytest.mark.parametrize("prog", PROGS)
def test_every_page_fits_the_terminal(commands, prog):
    """No line of --help, and none of the usage that wrong use prints, is wider than the terminal."""
    page = commands[prog].format_help() + commands[prog].format_usage()
    assert [line for line in page.splitlines() if display_width(line) > COLUMNS] == []


@pytest.mark.parametrize("prog", PROGS)
def test_a_commands_own_options_come_first(commands, prog):
    """What all commands have is last, in no usage line, and a line each but for the first page."""
    page = commands[prog].format_help()
    usage, *sections = page.split("\n\n")
    (common,) = [place for place, text in enumerate(sections) if text.startswith(title("common options"))]
    for action in visible_actions(commands[prog]):
        option = next(iter(action.option_strings), action.dest)
        at = [place for place, text in enumerate(sections[1:], 1) if f"  {option}" in f" {text}"]
        if action.dest in COMMON:
            assert at[-1] == common
            assert f"[{option}" not in usage
        elif action.option_strings:
            assert 0 < at[0] < common
    short = sections[common].split("\n")[1:]
    assert len(short) <= (5 if prog != PROGS[0] else 99)


def test_the_first_page_has_each_command_in_one_section():
    """What a newcomer needs is on top: four commands; no command is left out or listed twice."""
    top = build_parser()
    sections = list(top.sections.values())
    named = [name for section in sections for name in section]
    direct = [prog.removeprefix("gpuwatch-tray ") for prog in PROGS if len(prog.split()) == 2]
    assert sorted(named) == sorted(direct)
    assert len(sections[0]) == 4
    page = top.format_help()
    places = [page.index(f"\n  {name} ") for name in named]
    assert places == sorted(places)
    assert page.index(title(next(iter(top.sections)))) < places[0]


@pytest.mark.parametrize("columns", ["100", "0", "", "x", "-3", "²"])
def test_the_width_is_what_shutil_says(monkeypatch, columns):
    """By COLUMNS, else the terminal's own, which a test has none of."""
    monkeypatch.setenv("COLUMNS", columns)
    assert terminal_width() == shutil.get_terminal_size().columns
