"""How wide a text stands: two columns for a Chinese character, on a terminal and in a menu."""

from __future__ import annotations

import pytest

from gpuwatch_tray.common.text import (
    align_columns,
    clip_utf16,
    cut_to_width,
    display_width,
    pad_to_width,
    strip_escapes,
    wrap_hanging,
    wrap_to_width,
)
from gpuwatch_tray.tray.backends import nodes
from gpuwatch_tray.tray.menu import labels

SENTENCE = "正在使用 3 个 GPU，上限为 2"


@pytest.mark.parametrize(
    ("said", "wide"), [("", 0), ("GPU 0", 5), ("退出", 4), ("71 °C", 5), (SENTENCE, 27), ("e\u0301", 1)]
)
def test_a_wide_character_takes_two_columns(said, wide):
    """Chinese characters and full-width punctuation count double, an accent over a letter not at all."""
    assert display_width(said) == wide


@pytest.mark.parametrize("most", range(30))
def test_a_text_is_cut_between_characters(most):
    """What is left is a beginning that fits, and one character more would not."""
    left = cut_to_width(SENTENCE, most)
    assert SENTENCE.startswith(left)
    assert display_width(left) <= most
    assert left == SENTENCE or display_width(SENTENCE[: len(left) + 1]) > most


def test_padding_fills_up_to_the_column():
    """Words of both kinds end at the same column; one that is too long stays whole."""
    assert {display_width(pad_to_width(word, 8)) for word in ("warning", "警告")} == {8}
    assert pad_to_width("严重程度升高", 8) == "严重程度升高"


def test_a_row_of_the_menu_is_clipped_by_its_width():
    """A Chinese row is no wider than a Latin one, and ends with the sign that it goes on."""
    for line in (labels.clip("告警" * 100, 100), labels.clip("alert " * 100, 100)):
        assert 98 <= display_width(line) <= 100
        assert line.endswith("…")


def test_a_wrapped_text_fits_into_the_menu():
    """A Chinese text without a blank breaks where the line is full; nothing of it is lost."""
    said = "无法读取 GPU：" + "驱动没有应答，" * 20
    lines = labels.wrap(said)
    assert len(lines) > 1
    assert all(display_width(line) <= labels.WRAP + 2 for line in lines)
    assert "".join(line.strip() for line in lines).replace(" ", "") == said.replace(" ", "")


def test_a_row_that_has_ended_grows_no_wider():
    """The mark before it takes its room from the end: an open menu does not grow."""
    entry = nodes.MenuEntry("key", "PID 2943615 · alice · 2.8 GiB · 3 小时 24 分钟 · python", gone="已结束")
    assert display_width(nodes.ended_label(entry)) <= display_width(entry.label)
    assert nodes.ended_label(entry).startswith("已结束: PID 2943615")


def test_windows_texts_are_cut_by_utf16_units():
    """A Chinese character is one unit, and an emoji beside it is never halved."""
    assert clip_utf16("警" * 70, 63) == "警" * 63
    assert clip_utf16("警" * 62 + "😀", 63) == "警" * 62


def test_a_table_is_aligned_by_what_is_seen():
    """Names are flush left, numbers flush right, in Chinese too; no line ends in blanks."""
    rows = [["用户", "GPU-HOURS"], ["alice", "2.50"], ["bo", ""]]
    assert align_columns(rows, 1) == ["用户   GPU-HOURS", "alice       2.50", "bo"]
    assert align_columns(rows[2:], 2, least=4) == ["bo"]
    assert align_columns([["a", "b"]], 2, least=4) == ["a     b"]


@pytest.mark.parametrize("columns", [10, 20, 37, 80])
@pytest.mark.parametrize(
    "text",
    [
        "check that everything works here, with a fix for what does not",
        "检查此处的一切是否正常，并给出修复办法，如有必要，再试一次。",
        "启动 gpuwatch-tray，在 tmux 中运行 `watch`：不需要桌面。",
        "",
        "one",
    ],
)
def test_a_wrapped_text_fits_and_loses_nothing(text, columns):
    """Each line fits, no word is broken, no line begins with a closing mark, and nothing is lost."""
    lines = wrap_to_width(text, columns)
    assert "".join("".join(lines).split()) == "".join(text.split())
    words = [word for word in text.split() if word.isascii()]
    assert all(any(word in line for line in lines) for word in words)
    for line in lines:
        assert display_width(line) <= columns or " " not in line
        assert line[0] not in "，。：、"


@pytest.mark.parametrize(
    ("line", "lines"),
    [
        ("  It fires when a GPU is hot.", ["  It fires when a", "    GPU is hot."]),
        ("one two", ["one two"]),
        ("/a/path/that/is/longer/than/the/line", ["/a/path/that/is/longer/than/the/line"]),
        ("  内存温度过高，请检查风扇。", ["  内存温度过高，请", "    检查风扇。"]),
        ("", [""]),
    ],
)
def test_what_is_broken_off_stands_further_in(line, lines):
    """The line keeps its own indent, and the rest of it is told from a new line."""
    assert wrap_hanging(line, 19, 2) == lines


def test_escape_sequences_are_removed():
    """Colours, movements of the cursor and titles go, the text between them stays."""
    shown = "\x1b[31mred\x1b[0m \x1b[2K\x1b]0;title\x07plain\x1b]8;;x\x1b\\link"
    assert strip_escapes(shown) == "red plainlink"
    assert strip_escapes("a\x1b[") == "a\x1b["
