"""Machines of a lab by ssh on which this very program is installed, with GPUs of the made-up driver."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.driver.scenario import Scenario
from tests.support.installed import Installed

if TYPE_CHECKING:
    from tests.driver.scenario import FakeGpu
    from tests.support.sshd import SshLab


def add_machine(lab: SshLab, name: str, *gpus: FakeGpu) -> Installed:
    """Start a machine with these GPUs; what its driver answers is changed by `play` of what is returned."""
    home = lab.folder / f"{name}-home"
    home.mkdir()
    installed = Installed(home)
    installed.play(Scenario(gpus=list(gpus)))
    lines = [f"export {key}='{value}'" for key, value in installed.environment.items() if key != "PATH"]
    lab.add(name, "\n".join(["#!/bin/sh", *lines, f'exec {installed.script} "$@"\n']))
    return installed


def watch_by_ssh(desk: Installed, lab: SshLab, **keys: object) -> None:
    """Write the desk's lab.env: all machines of the lab, by ssh."""
    lines = {"LAB_HOSTS": f'"{" ".join(lab.names)}"', "LAB_SSH": f'"{" ".join(lab.ssh)}"', "LAB_POLL_SEC": 5}
    desk.write("lab.env", "".join(f"{key}={value}\n" for key, value in (lines | keys).items()))
