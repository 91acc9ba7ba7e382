"""The README in Chinese says what the English one says, as far as a machine can tell."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ENGLISH, CHINESE = ((ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "README.zh-CN.md"))
HEADING = re.compile(r"^(#+) .*$", re.MULTILINE)
POINT = re.compile(r"^- ", re.MULTILINE)
FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
KEY = re.compile(r"\b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+\b")


def sections(text):
    """The level of each heading, and what stands below it, in their order."""
    plain = FENCE.sub(lambda block: block[0].replace("\n#", "\n%"), text)
    found = HEADING.split(plain)
    return list(zip(map(len, found[1::2]), found[2::2], strict=True))


def links(text):
    return {link.partition("#")[0] for link in re.findall(r"\]\(([^)]+)\)", text)} - {""}


def rows(text):
    return [line for line in FENCE.sub("", text).splitlines() if line.startswith("|")]


def codes(text):
    """What stands as code and is typed or set: commands, options, keys and files."""
    found = {code for code in re.findall(r"`([^`\n]+)`", FENCE.sub("", text)) if code.isascii()}
    return {code for code in found if " " in code or "-" in code or "." in code or "_" in code}


def typed(text):
    """The lines of the blocks of code, without their comments."""
    blocks = FENCE.findall(text)
    return [re.sub(r"\s+#.*", "", line) for block in blocks for line in block.splitlines()]


def slug(heading):
    """The anchor of a heading, as GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def test_they_have_the_same_sections():
    """As many headings, of the same levels, each with as many rows of tables and as many points below it."""
    both = [
        [(level, len(rows(below)), len(POINT.findall(below))) for level, below in sections(text)]
        for text in (ENGLISH, CHINESE)
    ]
    assert both[0] == both[1]


def test_their_tables_begin_alike():
    """Rules, commands and files: the first column has the same code, row by row."""
    for one, other in zip(rows(ENGLISH), rows(CHINESE), strict=True):
        first, second = (
            re.findall(r"`[^`]+`", row.replace("\\|", "/").split("|")[1]) for row in (one, other)
        )
        assert first == second


def test_they_name_the_same_commands_keys_and_files():
    """Nothing that can be typed, set or opened stands in one of them alone."""
    for found in (codes, links, lambda text: {*KEY.findall(text)}):
        assert found(ENGLISH) - {"README.zh-CN.md"} == found(CHINESE) - {"README.md"}
    assert typed(ENGLISH) == typed(CHINESE)


@pytest.mark.parametrize("text", [ENGLISH, CHINESE], ids=["en", "zh"])
def test_every_link_leads_somewhere(text):
    """Pictures and pages are in the repository, and what is linked within a page is a heading of it."""
    files = [link for link in links(text) if "://" not in link]
    assert [link for link in files if not (ROOT / link).exists()] == []
    headings = {slug(heading) for heading in re.findall(r"^#+ (.*)$", FENCE.sub("", text), re.MULTILINE)}
    assert {*re.findall(r"\]\(#([^)]+)\)", text)} <= headings


def test_they_lead_to_each_other():
    """Each names the other at its top."""
    assert "[简体中文](README.zh-CN.md)" in ENGLISH[:200]
    assert "[English](README.md)" in CHINESE[:200]
