"""Desktop Entry files: what we write, GLib and we read back as it was meant."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuwatch_tray.desktop import entries
from tests.support.timing import wait_until

ODD = '/home/ada/my "GPUs" $HOME `x` 100% \\ 显卡/gpuwatch-tray'
WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), min_size=1)


def test_a_plain_path_is_not_quoted():
    """What needs no quotes gets none, so that an entry looks as a person writes it."""
    assert entries.format_exec(["/home/ada/.local/bin/gpuwatch-tray"]) == (
        "/home/ada/.local/bin/gpuwatch-tray"
    )


def test_the_quoting_is_that_of_the_specification():
    """Quotes, backtick, dollar and backslash are escaped, a per cent sign is doubled, nothing else."""
    assert entries.format_exec(['/a "b" $c `d` 5% \\ 显']) == '"/a \\"b\\" \\$c \\`d\\` 5%% \\\\ 显"'
    # in the file, each backslash is escaped once more: four of them for one
    assert 'Exec="/a\\\\\\\\b c"' in entries.format_desktop_entry({"Exec": entries.format_exec(["/a\\b c"])})


@given(st.lists(WORDS, min_size=1, max_size=4))
def test_what_is_written_is_read_back(words):
    """Whatever the words are, the file keeps them."""
    text = entries.format_desktop_entry({"Type": "Application", "Exec": entries.format_exec(words)})
    assert entries.parse_exec(entries.parse_desktop_entry(text)["Exec"]) == words


@pytest.mark.parametrize("folder", ["plain", 'a "b" $HOME `c` \\ d', "显卡 ü"])
def test_glib_starts_the_very_program_with_its_very_arguments(tmp_path, folder):
    """`gio launch` finds a program in an odd folder and hands it an odd argument unchanged."""
    program, heard = tmp_path / folder / "gpuwatch-tray", tmp_path / "heard"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nprintf %s "$1" > {heard}.part\nmv {heard}.part {heard}\n')
    program.chmod(0o755)
    entry = tmp_path / "x.desktop"
    command = entries.format_exec([str(program), ODD])
    values = {"Type": "Application", "Name": "x", "Exec": command, "TryExec": str(program)}
    entry.write_text(entries.format_desktop_entry(values))
    subprocess.run(["gio", "launch", entry], check=True, timeout=60, env={"PATH": "/usr/bin:/bin"})
    wait_until(heard.exists, "the program to have run")
    assert heard.read_text() == ODD


def test_a_change_leaves_a_persons_own_lines():
    """Only the keys that are set change; a comment, other keys and other groups stay."""
    mine = "[Desktop Entry]\n# mine\nExec=/gone\nX-Delay=10\n\n[Desktop Action x]\nExec=/other\n"
    changed = entries.update_desktop_entry(mine, {"Exec": "/new", "TryExec": "/new"})
    assert changed == (
        "[Desktop Entry]\nTryExec=/new\n# mine\nExec=/new\nX-Delay=10\n\n[Desktop Action x]\nExec=/other\n"
    )
    assert entries.parse_desktop_entry(changed) == {"Exec": "/new", "TryExec": "/new", "X-Delay": "10"}
