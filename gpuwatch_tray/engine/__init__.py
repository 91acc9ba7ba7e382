"""One evaluation: a reading is judged, the alerts take a step, and what is due is queued or handed out."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from gpuwatch_tray.engine.engine import Engine, mail_now, no_desktop
from gpuwatch_tray.engine.mail_builder import late_digest
from gpuwatch_tray.engine.rule_book import HostRules
from gpuwatch_tray.engine.types import Evaluation, EvaluationResult, Policy
from gpuwatch_tray.model import Snapshot
from gpuwatch_tray.rules import RuleHistory

if TYPE_CHECKING:
    from gpuwatch_tray.model import LabView
    from gpuwatch_tray.rules.lab_rules import LabHistory

HostEngine: TypeAlias = Engine[Snapshot, RuleHistory]
LabEngine: TypeAlias = "Engine[LabView, LabHistory]"  # loaded where there is a lab

__all__ = [
    "Engine",
    "Evaluation",
    "EvaluationResult",
    "HostEngine",
    "HostRules",
    "LabEngine",
    "Policy",
    "late_digest",
    "mail_now",
    "no_desktop",
]
