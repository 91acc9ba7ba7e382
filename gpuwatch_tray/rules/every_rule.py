"""The names of all rules, those about this computer and those about a lab."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuwatch_tray.common.loading import LateModule
from gpuwatch_tray.i18n import _
from gpuwatch_tray.rules import RULES

if TYPE_CHECKING:
    from gpuwatch_tray.rules import lab_rules
else:
    lab_rules = LateModule("gpuwatch_tray.rules.lab_rules")


def is_rule(name: str) -> bool:
    """Tell whether there is a rule of this name."""
    return name in RULES or name in lab_rules.LAB_RULES


def rule_title(name: str) -> str:
    """Return the title of an alert of this rule, as people read it; of an older version's, its name."""
    if name in RULES:
        return _(RULES[name].title)
    return _(lab_rules.LAB_RULES[name].title) if name in lab_rules.LAB_RULES else name
