"""The table of settings: what is generated from it is up to date, and it fits what it describes."""

from __future__ import annotations

from operator import attrgetter

import pytest

from gpuwatch_tray.model import FaultLimits, HeatLimits, Limits, UseLimits
from gpuwatch_tray.model.schema import LAB, NOTIFY, SETTINGS, SMTP, SWITCHES, WATCH_FILE, ValueType
from gpuwatch_tray.rules import RULES, keys
from gpuwatch_tray.settings.template import example
from gpuwatch_tray.settings.validators import parse
from tests.settings.generated import ROOT, rules_table, settings_table


@pytest.mark.parametrize("name", [WATCH_FILE, NOTIFY, SMTP, LAB])
def test_the_examples_are_generated_from_the_table(name):
    """config/*.example is what `python -m tests.settings.generated` writes, byte for byte."""
    assert (ROOT / "config" / f"{name}.example").read_bytes() == example(name).encode()


def test_the_pages_have_the_generated_tables():
    """docs/settings.md and docs/rules.md have what `python -m tests.settings.generated` writes."""
    assert (ROOT / "docs" / "settings.md").read_text("utf-8").endswith(settings_table())
    assert rules_table() in (ROOT / "docs" / "rules.md").read_text("utf-8")


def test_every_row_is_found_by_its_key():
    """A row is named after its key, and no key stands twice."""
    from gpuwatch_tray.model import schema

    assert {name: row for name, row in vars(schema).items() if isinstance(row, schema.Setting)} == SETTINGS


def test_every_rule_is_switched_by_one_setting():
    """No rule is without a switch, no setting names a rule that is not there."""
    assert set(SWITCHES) == set(RULES)
    assert {rule for row in SETTINGS.values() for rule in row.tunes} <= set(RULES)
    assert keys("hung") == ("HUNG_MIN", "IDLE_PCT")


def test_every_threshold_is_kept_by_one_setting(house):
    """Each threshold has one row, and the default of the row in base units is that of the threshold."""
    groups = {"heat": HeatLimits, "faults": FaultLimits, "use": UseLimits}
    expected = {f"limits.{name}" for name in Limits.__struct_fields__ if name not in groups} - {"limits.poll"}
    expected |= {
        f"limits.{name}.{field}" for name, group in groups.items() for field in group.__struct_fields__
    }
    field_path = {row.field_path: row for row in SETTINGS.values() if row.field_path}
    assert expected == {name for name in field_path if name.startswith("limits.")}
    settings = house.settings()
    for name, row in field_path.items():
        assert attrgetter(name)(settings) == parse(row, row.default.strip())


@pytest.mark.parametrize("setting", [row for row in SETTINGS.values() if row.type is ValueType.CHOICE])
def test_every_choice_of_the_table_is_taken(setting):
    """What the table names as a choice is one."""
    assert [parse(setting, choice).value for choice in setting.choices] == list(setting.choices)
