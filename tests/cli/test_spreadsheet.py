"""CSV that neither breaks nor computes, whatever a process calls itself."""

from __future__ import annotations

import csv

import pytest

from gpuwatch_tray.cli.spreadsheet import write_csv


@pytest.mark.parametrize("name", ["=cmd|'/c calc'!A0", "+1", "-bash", "@SUM(1)", "\t=1"])
def test_no_name_is_a_formula(capsys, name):
    """A text that a spreadsheet would compute has an apostrophe before it; a number has none."""
    write_csv(["name", "value"], [{"name": name, "value": -1.5, "more": 1}])
    assert list(csv.reader(capsys.readouterr().out.splitlines())) == [["name", "value"], [f"'{name}", "-1.5"]]


@pytest.mark.parametrize("name", ['a,"b"', "a;b", "<script>", "two\nlines", "名"])
def test_a_name_comes_back_as_it_was(capsys, name):
    """Quotes, commas and ends of lines are quoted; what is unknown is empty."""
    write_csv(["name", "gpu"], [{"name": name, "gpu": None}])
    assert list(csv.reader(capsys.readouterr().out.splitlines(keepends=True)))[1:] == [[name, ""]]
