"""One evaluation: a snapshot is judged, the alerts take a step, and what is due is queued or handed out."""

from __future__ import annotations

from gpuwatch_tray.engine.engine import Engine, mail_now, no_desktop
from gpuwatch_tray.engine.mail_builder import late_digest
from gpuwatch_tray.engine.types import Evaluation, EvaluationResult, Policy

__all__ = ["Engine", "Evaluation", "EvaluationResult", "Policy", "late_digest", "mail_now", "no_desktop"]
