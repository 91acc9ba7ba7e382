"""The README tells the truth where a machine can tell."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

from gpuwatch_tray import listing
from gpuwatch_tray.cli import parser

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
    (block,) = re.findall(r"```\n(\{.*?\})\n```", inspect.getdoc(listing.as_json), re.DOTALL)
    assert block in README


def test_every_command_of_the_command_line_is_in_the_table():
    """The commands that --help names are those of the README."""
    subparsers = parser()._subparsers._group_actions[0].choices
    table = README[README.index("## Commands") : README.index("## Settings")]
    assert [name for name in subparsers if f"gpuwatch-tray {name}" not in table] == []
