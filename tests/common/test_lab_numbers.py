"""The numbers that people give for what is about the lab."""

from __future__ import annotations

import pytest

from gpuwatch_tray.common.lab_numbers import lab_number, with_lab_numbers


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("L7", "7"),
        ("l12", "12"),
        ("7", None),
        ("L", None),
        ("", None),
        ("LL7", None),
        ("Lx", None),
        ("L²", None),
    ],
)
def test_a_number_of_the_lab_has_an_l_before_it(name, number):
    """In either case; whatever else begins with that letter is none."""
    assert lab_number(name) == number


def test_rows_of_the_lab_bear_the_number_that_is_given_for_them():
    """What is shown can be typed, and the rows themselves stay as they were."""
    rows = [{"id": 7, "text": "a"}]
    (shown,) = with_lab_numbers(rows)
    assert shown == {"id": "L7", "text": "a"}
    assert lab_number(shown["id"]) == str(rows[0]["id"])
