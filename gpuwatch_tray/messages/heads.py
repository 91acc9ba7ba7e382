"""The sender's identity, the titles of alerts, and times as text: what mails and popups share."""

from __future__ import annotations

from dataclasses import dataclass

from gpuwatch_tray.language import N_, _

MAX_ETIME = "max_etime"
TITLES = {
    "gpu_limit": N_("More GPUs in use than the limit"),
    "max_etime": N_("A process runs longer than the limit"),
    "gpu_lost": N_("A GPU is lost"),
    "monitor_blind": N_("The GPUs cannot be read"),
    "driver_mismatch": N_("Reboot needed: the NVIDIA driver was replaced"),
    "temperature": N_("A GPU is hot"),
    "temperature_critical": N_("A GPU is dangerously hot"),
    "thermal_throttle": N_("A GPU is slowed down by heat"),
    "hw_slowdown": N_("A GPU is slowed down by its hardware"),
    "power_cap": N_("A GPU is kept down by its power limit"),
    "fan": N_("A fan stands still"),
    "xid_fatal": N_("A GPU has failed"),
    "xid_app": N_("The driver reported an error"),
    "ecc": N_("Memory errors on a GPU"),
    "row_remap": N_("Worn memory on a GPU"),
    "pcie_width": N_("A GPU uses too few PCIe lanes"),
    "hung": N_("A process seems to hang"),
    "idle_holding": N_("GPU memory is held idle"),
    "memory_full": N_("GPU memory is nearly full"),
    "intruder": N_("Somebody else is on your GPU"),
}


@dataclass(frozen=True, slots=True)
class MailIdentity:
    """
    The sender of a mail: the machine's short name, the user, and the path of the settings.

    With `threading` (MAIL_THREADING) all mails about an incident have the subject of the first.
    """

    host: str
    user: str
    config: str
    threading: bool = False


def rule_title(rule: str) -> str:
    """Return the title of an alert of this rule."""
    return _(TITLES[rule]) if rule in TITLES else rule
