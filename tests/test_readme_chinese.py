"""The pages in Chinese say what the English ones say, as far as a machine can tell."""

from __future__ import annotations

import re

import pytest

from tests.support.documentation import CHINESE, CODE, FENCE, KEY, LINK, pages, prose, read, translated, twin

HEADING = re.compile(r"^(#+) .*$", re.MULTILINE)
POINT = re.compile(r"^(?:- |\d+\. )", re.MULTILINE)

both = pytest.mark.parametrize("page", translated())


def sections(text):
    """The level of each heading, and what stands below it, in their order."""
    plain = FENCE.sub(lambda block: block[0].replace("\n#", "\n%"), text)
    found = HEADING.split(plain)
    return list(zip(map(len, found[1::2]), found[2::2], strict=True))


def targets(text):
    """The pages and places that are linked, whichever language they are in."""
    plain = {link.partition("#")[0] for link in LINK.findall(text)} - {""}
    return {link.replace(CHINESE, ".md") for link in plain}


def rows(text):
    return [line for line in prose(text).splitlines() if line.startswith("|")]


def codes(text):
    """What stands as code and is typed or set: commands, options, keys and files."""
    found = {code for code in CODE.findall(prose(text)) if code.isascii()}
    return {code for code in found if " " in code or "-" in code or "." in code or "_" in code}


def typed(text):
    """The lines of the blocks of code, without their comments."""
    return [re.sub(r"\s+#.*", "", line) for block in FENCE.findall(text) for line in block.splitlines()]


def test_every_page_for_users_is_there_in_chinese():
    """Each has its twin, and no Chinese page stands alone."""
    assert {twin(page) for page in translated()} == {page for page in pages() if page.endswith(CHINESE)}


@both
def test_they_have_the_same_sections(page):
    """As many headings, of the same levels, each with as many rows of tables and as many points below it."""
    english, chinese = (
        [(level, len(rows(below)), len(POINT.findall(below))) for level, below in sections(read(name))]
        for name in (page, twin(page))
    )
    assert english == chinese


@both
def test_their_tables_begin_alike(page):
    """Rules, commands and files: the first column has the same code, row by row."""
    for one, other in zip(rows(read(page)), rows(read(twin(page))), strict=True):
        first, second = (CODE.findall(row.replace("\\|", "/").split("|")[1]) for row in (one, other))
        assert first == second


@both
def test_they_name_the_same_commands_keys_and_files(page):
    """Nothing that can be typed, set or opened stands in one of them alone."""
    english, chinese = read(page), read(twin(page))
    for found in (codes, targets, lambda text: {*KEY.findall(text)}):
        assert found(english) == found(chinese)
    assert typed(english) == typed(chinese)


@both
def test_they_lead_to_each_other(page):
    """Each names the other at its top."""
    assert f"[简体中文]({twin(page).rpartition('/')[2]})" in read(page)[:250]
    assert f"[English]({page.rpartition('/')[2]})" in read(twin(page))[:250]


@both
def test_a_chinese_page_leads_to_chinese_pages(page):
    """Nobody who reads Chinese is led to an English page that has a twin, save by the line at the top."""
    text = read(twin(page)).split("\n\n", 2)[2]
    names = {name.rpartition("/")[2] for name in translated()}
    found = {link.partition("#")[0] for link in LINK.findall(text) if "vendor" not in link}
    assert not [link for link in found if link.rpartition("/")[2] in names and "secret" not in link]
