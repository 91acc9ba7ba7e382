"""The README tells the truth where a machine can tell."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

from gpuwatch_tray.cli import build_parser
from gpuwatch_tray.cli.tree import iter_commands, visible_actions
from gpuwatch_tray.listing.records import listing_json

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_every_link_to_a_file_leads_somewhere():
    """Pictures and pages that the README names are in the repository."""
    links = [link.partition("#")[0] for link in re.findall(r"\]\(([^)]+)\)", README)]
    files = [link for link in links if link and "://" not in link]
    assert len(files) > 5
    assert [link for link in files if not (ROOT / link).exists()] == []


def test_the_json_schema_is_the_one_in_the_code():
    """The schema of ps --json stands in one wording, which a test of the listing holds to the output."""
    (block,) = re.findall(r"```\n(\{.*?\})\n```", inspect.getdoc(listing_json), re.DOTALL)
    assert block in README


def spelt():
    """What the command table writes in its first column: (the command's words, its options)."""
    table = README[README.index("## Commands") : README.index("## Settings")]
    for row in [line.split(" | ")[0] for line in table.splitlines() if line.startswith("| `")]:
        last = []
        for code in re.findall(r"`([^`]+)`", row):
            words = code.replace("\\|", " ").replace("[", " ").replace("]", " ").split()
            if words[0].startswith("--"):  # another option of the command before it
                words = [*last, *words]
            last = words = words[words[0] == "gpuwatch-tray" :]
            yield words, [word for word in words if word.startswith("--") and word != "--"]


def meant(words):
    """The parser that these words lead to."""
    at = PARSERS["gpuwatch-tray"]
    for word in words:
        at = PARSERS.get(f"{at.prog} {word}", at)
    return at


PARSERS = {each.prog: each for each in iter_commands(build_parser())}
SHARED = {option for action in visible_actions(build_parser()) for option in action.option_strings}


def test_the_command_table_is_what_help_says():
    """Each command and each option of --help is in the table, and the table has no other."""
    table = {}
    for words, options in spelt():
        each = meant(words)
        known = {option for action in visible_actions(each) for option in action.option_strings}
        assert not [option for option in options if option not in known], words
        first = [word for word in words if not word.startswith("-")][:1]
        assert not first or f"gpuwatch-tray {first[0]}" in PARSERS, words
        table.setdefault(each.prog, set()).update(options)
    below = {prog.rpartition(" ")[0] for prog in PARSERS}
    for prog, each in PARSERS.items():
        options = {option for action in visible_actions(each) for option in action.option_strings} - SHARED
        if prog in below and not options:
            continue  # a family, whose tasks stand in the table
        assert prog in table, f"{prog} is not in the README's command table"
        assert options <= table[prog], f"{prog}: {options - table[prog]} not in the README's command table"
    prose = README[README.index("## Commands") : README.index("## Settings")]
    assert not [option for option in SHARED - {"-h", "--help"} if option not in prose]
