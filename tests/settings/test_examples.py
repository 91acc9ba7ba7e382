"""The examples: a copy left as it is does no harm, and all keys are explained in them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gpuwatch_tray.model.schema import SETTINGS
from tests.settings.checkout import LAB, NOTIFY, SMTP, WATCH

CONFIG = Path(__file__).parents[2] / "config"
NAMES = (WATCH, NOTIFY, SMTP, LAB)


def example(name: str) -> str:
    """Return the text of an example."""
    return (CONFIG / f"{name}.example").read_text("utf-8")


def test_an_untouched_copy_sets_nothing(house):
    """The examples as they are mean the defaults, without a problem or a warning."""
    nothing = house.meaning()
    for name in NAMES:
        house.write(name, example(name)).chmod(0o644)
    assert house.meaning() == nothing


def test_what_is_commented_out_is_the_default(house):
    """With `#NAME=...` uncommented, the examples still mean the defaults, save the path of a certificate."""
    nothing = house.meaning()
    for name in NAMES:
        text = re.sub(r"(?m)^#(?=[^ \n])", "", example(name))
        house.write(name, re.sub(r"(?m)^SMTP_CA_FILE=.*", "", text))
    assert house.meaning() == nothing


def test_every_key_stands_in_the_example_of_its_file(house):
    """Each key of the table is in exactly one example, the one that the table says."""
    found = {name: re.findall(r"(?m)^#?([A-Z_]+)=", example(name)) for name in NAMES}
    assert sorted(key for keys in found.values() for key in keys) == sorted(SETTINGS)
    assert {key: name for name, keys in found.items() for key in keys} == {
        key.key: key.file for key in SETTINGS.values()
    }


@pytest.mark.parametrize(
    "key",
    [
        "TO_EMAIL",
        "GMAIL_API_CREDENTIALS",
        "GMAIL_API_TOKEN",
        "FROM_EMAIL",
        "SMTP_HOST",
        "SMTP_USER",
        "SMTP_PASS",
    ],
)
def test_the_placeholders_are_the_ones_that_count_as_not_set(key):
    """What the examples put in place of one's own values is what the table takes for untouched."""
    found = re.search(rf"(?m)^{key}=[\"'](.*)[\"']$", "".join(map(example, NAMES)))
    assert SETTINGS[key].is_placeholder(found[1])
