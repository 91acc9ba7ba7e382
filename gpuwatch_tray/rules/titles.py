"""The title of each rule, as people read it in mails, popups and on the details page."""

from __future__ import annotations

from gpuwatch_tray.i18n import N_, _

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


def rule_title(rule: str) -> str:
    """Return the title of an alert of this rule."""
    return _(TITLES[rule]) if rule in TITLES else rule
