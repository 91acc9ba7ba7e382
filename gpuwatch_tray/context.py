"""The context of a run: the settings, the source that was chosen, and the errors of commands."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from gpuwatch_tray import redact
from gpuwatch_tray.alerts import RoutingPolicy
from gpuwatch_tray.evaluator import Policy
from gpuwatch_tray.messages import MailIdentity
from gpuwatch_tray.model import EmailWhen
from gpuwatch_tray.settings import ResolvedChannel

if TYPE_CHECKING:
    from gpuwatch_tray.settings import ConfigProblem, Settings


STALE_POLLS = 3
STALE_AT_LEAST = 5.0  # seconds: on a busy machine a short interval is missed
PROGRAM_DELAY = 20.0  # seconds beyond the interval: MYGPU's program may ask another machine


class SourceKind(Enum):
    """Where the numbers come from (`--source`, `--demo`, MYGPU)."""

    NVML = "nvml"
    COMMAND = "command"
    AUTO = "auto"
    DEMO = "demo"


class UsageError(Exception):
    """Wrong use or configuration: the command ends with exit code 2. One line for each problem."""


class WorkError(Exception):
    """The work failed: the command ends with exit code 1."""


@dataclass(frozen=True, slots=True)
class RunContext:
    """What every command runs with; a `trial` (--demo, --source auto) leaves nothing behind for later."""

    settings: Settings
    problems: tuple[ConfigProblem, ...]
    source: SourceKind
    host: str
    user: str
    trial: bool = False

    @property
    def simulated(self) -> bool:
        """Whether this is a demo: labelled, with a temporary state, and without mail."""
        return self.source is SourceKind.DEMO

    @property
    def state_name(self) -> str:
        """
        The state's name: the host's, with a suffix for each program in MYGPU.

        Home folders may be shared over NFS, but two machines share no alert, no cooldown and no lock.
        """
        if self.source is not SourceKind.COMMAND:
            return self.host
        digest = hashlib.sha256(self.settings.mygpu.encode(errors="surrogateescape")).hexdigest()
        return f"{self.host}-{digest[:8]}"

    @property
    def mail_identity(self) -> MailIdentity:
        """The host and user that the mails name as their sender."""
        return MailIdentity(
            self.host, self.user, redact.visible(str(self.settings.config)), self.settings.threading
        )

    @property
    def policy(self) -> Policy:
        """The policy of evaluations, as the settings have it."""
        settings = self.settings
        return Policy(
            settings.limits,
            RoutingPolicy(
                settings.cooldown,
                mails=bool(settings.to_email) and not self.simulated,
                email_when=settings.email_when,
                escalate=settings.escalate,
            ),
            resolved_mail=ResolvedChannel.EMAIL in settings.tell_resolved
            and settings.email_when is not EmailWhen.NEVER,
            resolved_popup=ResolvedChannel.POPUP in settings.tell_resolved,
            gap=self.stale_after,
        )

    @property
    def stale_after(self) -> float:
        """Seconds after which a reading says nothing about the present."""
        delay = PROGRAM_DELAY if self.source is SourceKind.COMMAND else 0.0
        return max(STALE_POLLS * self.settings.poll, STALE_AT_LEAST) + delay

    def require_valid_settings(self) -> None:
        """Raise UsageError with every problem of the settings, if there is one."""
        if self.problems:
            raise UsageError("\n".join(str(problem) for problem in self.problems))
