"""What is written from --help: the man page, and the completion of three shells, each tried in its shell."""

from __future__ import annotations

import subprocess

import pytest

from gpuwatch_tray.cli.docs import completion_script, invocation, iter_commands, man_page, visible_actions
from gpuwatch_tray.cli.help import COMMON
from gpuwatch_tray.cli.parser import build_parser, parse_words
from tests.support.installed import SCRIPT

COMMANDS = list(iter_commands(build_parser()))
ENVIRONMENT = {"PATH": f"{SCRIPT.parent}:/usr/bin:/bin", "LC_ALL": "C.UTF-8", "MANWIDTH": "300"}


def answer(*command, folder, check=True):
    """What a program prints, errors included, in an empty home."""
    done = subprocess.run(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
        timeout=60,
        check=check,
        cwd=folder,
        env=ENVIRONMENT | {"HOME": str(folder)},
    )
    return done.stdout


@pytest.mark.parametrize("each", COMMANDS, ids=lambda each: each.prog)
def test_every_command_has_help_and_an_example_that_it_takes(each):
    """--help of each says what it does and shows an example, which is a use of that very command."""
    assert each.description
    examples = [line.strip() for line in each.epilog.splitlines() if line.startswith("  ")]
    assert examples
    for example in examples:
        words = example.partition(">")[0].split()
        assert words[0] == "gpuwatch-tray"
        parse_words(words[1:])
        assert example.startswith(each.prog)
    assert "Exit codes: 0 done" in each.format_help()
    assert not [action.dest for action in visible_actions(each) if action.option_strings and not action.help]


def test_the_man_page_says_what_help_says(tmp_path):
    """Man has no complaint, and each command, option and help text is on the page, what is common once."""
    page = tmp_path / "gpuwatch-tray.1"
    page.write_text(man_page(build_parser()))
    assert answer("man", "--warnings", "-Tutf8", "-Z", "-l", page, folder=tmp_path).count("warning") == 0
    text = " ".join(answer("man", "-P", "cat", "-l", page, folder=tmp_path).split())
    for each in COMMANDS:
        for action in visible_actions(each):
            assert invocation(action) in text
            if each is COMMANDS[0] or action.dest not in COMMON:
                assert " ".join((action.help or "").split()) in text
        assert each.prog in text


@pytest.mark.parametrize("shell", ["bash", "fish", "zsh"])
def test_a_shell_completes_commands_and_options(tmp_path, shell):
    """The shell itself, given the script, offers the tasks of a command and the options of another."""
    script = tmp_path / "script"
    script.write_text(completion_script(build_parser(), shell))
    asked = {"setup ": {"config", "autostart", "desktop"}, "check --": {"--dry-run", "--test-mail"}}
    for line, offered in asked.items():
        told = ASK[shell](script, line, tmp_path)
        assert offered <= {word.strip() for word in told.split()}, told


def bash(script, line, folder):
    """By the function that bash calls when the tabulator is pressed."""
    words = ["gpuwatch-tray", *line.split(" ")]
    quoted = " ".join(f"'{word}'" for word in words)
    call = f"_shtab_gpuwatch_tray gpuwatch-tray '{words[-1]}' '{words[-2]}'"
    code = (
        f"source {script}; COMP_WORDS=({quoted}); COMP_CWORD={len(words) - 1}; {call}; echo ${{COMPREPLY[@]}}"
    )
    return answer("bash", "--norc", "-c", code, folder=folder)


def fish(script, line, folder):
    """By fish's own way to ask."""
    code = f"source {script}; complete -C 'gpuwatch-tray {line}'"
    return answer("fish", "--no-config", "-c", code, folder=folder)


def zsh(script, line, folder):
    """Zsh has no way to ask without a terminal: the script is read, and its words are looked at."""
    answer("zsh", "-n", script, folder=folder)
    return script.read_text().replace(":", " ").replace('"', " ").replace("[", " ")


ASK = {"bash": bash, "fish": fish, "zsh": zsh}
