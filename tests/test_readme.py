"""The README and docs/ tell the truth where a machine can tell."""

from __future__ import annotations

import re

import pytest

from gpuwatch_tray.cli.docs import iter_commands, visible_actions
from gpuwatch_tray.cli.parser import build_parser
from gpuwatch_tray.rules import RULES
from tests.support.documentation import (
    CODE,
    DEVELOPERS,
    FENCE,
    KEY,
    ROOT,
    anchors,
    keys,
    links,
    pages,
    prose,
    read,
)

COMMANDS = ["docs/commands.md", "docs/commands.zh-CN.md"]
README_LINES = 200  # more than that nobody reads on arrival
# A file with its ending, or a folder with its slash, in the repository or in the package.
PATH = re.compile(r"(?<![\w/.~$-])((?:[a-z_]+/)+(?:[a-z_0-9-]+\.(?:py|md|po|js|css|html|png))?)(?![\w/*-])")
# Upper-case names that are no key of the settings: variables of the environment, and what the mail says.
NO_KEYS = {"GPUWATCH_CONFIG", "GPUWATCH_NOTIFY_CONFIG", "GPUWATCH_SMTP_CONFIG", "GPUWATCH_CACHE"} | {
    "GPUWATCH_LAB_CONFIG",
    "PYSTRAY_BACKEND",
    "API_KEY",
    "CUDA_VISIBLE_DEVICES",
    "GPU_COUNT",
    "LC_MESSAGES",
}


@pytest.mark.parametrize("page", pages())
def test_every_link_leads_somewhere(page):
    """Pictures and pages that a page names are in the repository, and so is the heading that it leads to."""
    for link in links(read(page)):
        name, _hash, anchor = link.partition("#")
        target = (ROOT / page).parent / name if name else ROOT / page
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target.read_text(encoding="utf-8")), link


def test_every_page_can_be_reached_from_the_readme():
    """Link by link, from the README in English, to each page of both languages."""
    reached, new = set(), {ROOT / "README.md"}
    while new:
        reached |= new
        named = {
            (page.parent / link.partition("#")[0]).resolve()
            for page in new
            for link in links(page.read_text(encoding="utf-8"))
            if link.partition("#")[0].endswith(".md")
        }
        new = named - reached
    assert {(ROOT / page).resolve() for page in pages()} <= reached


@pytest.mark.parametrize("page", ["README.md", "README.zh-CN.md", *DEVELOPERS])
def test_every_path_that_is_named_exists(page):
    """Who looks for a file where a page says so finds it, in the repository or in the package."""
    named = set(PATH.findall(read(page)))
    assert named
    assert [path for path in sorted(named) if not exists(path)] == []


def exists(path):
    return (ROOT / path).exists() or (ROOT / "gpuwatch_tray" / path).exists()


@pytest.mark.parametrize("page", ["README.md", "README.zh-CN.md"])
def test_the_map_has_every_room(page):
    """The README's map names each folder of the package that holds code, and no other, in one table."""
    rows = re.findall(r"^\| `([a-z]+)/` \|", read(page), re.MULTILINE)
    package = ROOT / "gpuwatch_tray"
    assert sorted(rows) == sorted({path.relative_to(package).parts[0] for path in package.glob("*/**/*.py")})


@pytest.mark.parametrize("page", ["README.md", "README.zh-CN.md"])
def test_the_readme_is_short(page):
    """Whoever arrives can read it in one go."""
    assert len(read(page).splitlines()) <= README_LINES


def test_the_json_schema_has_one_wording():
    """The schema of ps --json is the same on both pages; a test of the listing holds it to the output."""
    (block,) = re.findall(r"```\n(\{.*?\})\n```", read("docs/json.md"), re.DOTALL)
    assert block in read("docs/json.zh-CN.md")


@pytest.mark.parametrize("page", ["docs/rules.md", "docs/rules.zh-CN.md"])
def test_the_table_of_rules_has_every_rule(page):
    """Each rule has a row, by which it is known in `alerts`, and each row a key that sets it."""
    rows = [line.split(" | ") for line in read(page).splitlines() if line.startswith("| `")]
    assert sorted(name for row in rows for name in CODE.findall(row[0])) == sorted(RULES)
    assert [row[0] for row in rows if not set(CODE.findall(row[-1])) & keys()] == []


@pytest.mark.parametrize("page", pages())
def test_every_key_that_is_named_is_one(page):
    """What a page calls a setting can be set."""
    named = {key for code in CODE.findall(prose(read(page))) for key in KEY.findall(code)}
    assert named - NO_KEYS <= keys()


@pytest.mark.parametrize("page", ["docs/settings.md", "docs/settings.zh-CN.md"])
def test_the_page_of_settings_has_every_key(page):
    """Whatever can be set is there to be looked up."""
    assert keys() <= {key for code in CODE.findall(read(page)) for key in re.findall(r"[A-Z_]+", code)}


def test_the_exit_codes_are_those_of_help():
    """Each code that --help names is explained, by the same words."""
    (line,) = [line for line in build_parser().format_help().splitlines() if line.startswith("Exit codes: ")]
    for one in line.removeprefix("Exit codes: ").removesuffix(".").split("; "):
        code, _blank, meaning = one.partition(" ")
        assert f"- **{code}**: {meaning}" in read("docs/commands.md")
        for page in ("README.md", "README.zh-CN.md", "docs/commands.zh-CN.md"):
            assert f"**{code}**" in read(page)


def words_of(code, last=()):
    """The command's words and options that a code spells, after those before it in the same place."""
    words = code.replace("\\|", " ").replace("[", " ").replace("]", " ").replace("(", " ").split()
    return [*last, *words] if words[0].startswith("--") else words


def spelt(page):
    """What the table of commands writes in its first column: (the command's words, its options)."""
    for row in [line.split(" | ")[0] for line in read(page).splitlines() if line.startswith("| `")]:
        last = []
        for code in CODE.findall(row):
            words = words_of(code, last)
            last = words = words[words[0] == "gpuwatch-tray" :]
            yield words, [word for word in words if word.startswith("--") and word != "--"]


def meant(words):
    """The parser that these words lead to."""
    at = PARSERS["gpuwatch-tray"]
    for word in words:
        at = PARSERS.get(f"{at.prog} {word}", at)
    return at


def options_of(command):
    return {option for action in visible_actions(command) for option in action.option_strings}


PARSERS = {command.prog: command for command in iter_commands(build_parser())}
SHARED = options_of(build_parser())


@pytest.mark.parametrize("page", COMMANDS)
def test_the_command_table_is_what_help_says(page):
    """Each command and each option of --help is in the table, and the table has no other."""
    table = {}
    for words, options in spelt(page):
        command = meant(words)
        assert not [option for option in options if option not in options_of(command)], words
        first = [word for word in words if not word.startswith("-")][:1]
        assert not first or f"gpuwatch-tray {first[0]}" in PARSERS, words
        table.setdefault(command.prog, set()).update(options)
    below = {prog.rpartition(" ")[0] for prog in PARSERS}
    for prog, command in PARSERS.items():
        options = options_of(command) - SHARED
        if prog in below and not options:
            continue  # a family, whose tasks stand in the table
        assert prog in table, f"{prog} is not in the table of commands"
        assert options <= table[prog], f"{prog}: {options - table[prog]} not in the table of commands"
    assert not [option for option in SHARED - {"-h", "--help"} if option not in read(page)]


@pytest.mark.parametrize("page", pages())
def test_every_command_that_is_named_exists(page):
    """Whoever types what a page says is understood: the command, its task and its options."""
    text = read(page)
    typed = [line for block in FENCE.findall(text) for line in block.splitlines()]
    for code in (*CODE.findall(prose(text)), *typed):
        for spelling in re.findall(r"(?:^|[/ ])(gpuwatch-tray(?: [^|>&;#…]+)?)", code.replace("\\|", " ")):
            words = words_of(spelling.split(" -- ")[0])[1:]
            command = meant(words)
            known = options_of(command) | SHARED
            assert not [word for word in words if word.startswith("--") and word not in known], code
            if any(
                prog.startswith(f"{command.prog} ") for prog in PARSERS
            ):  # it takes a task, and no other word
                plain = [word for word, before in zip(words, ["", *words], strict=False) if "-" not in before]
                tasks = [word for word in plain if re.fullmatch(r"[a-z]+", word)]
                assert f"gpuwatch-tray {' '.join(tasks)}".strip() == command.prog, code


@pytest.mark.parametrize("page", ["README.md", "README.zh-CN.md"])
def test_the_readme_names_every_command(page):
    """Its table has a row for each command, with the names of its tasks."""
    rows = [line for line in read(page).splitlines() if line.startswith("| `gpuwatch-tray")]
    for prog in PARSERS:
        _name, *words = prog.split()
        if words:
            (row,) = [row for row in rows if f"`gpuwatch-tray {words[0]}`" in row]
            named = {word for code in CODE.findall(row) for word in code.split()}
            assert set(words) <= named, prog
