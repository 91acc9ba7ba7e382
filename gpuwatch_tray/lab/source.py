"""A source of the lab, and which of them the settings ask for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from msgspec.structs import replace

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from gpuwatch_tray.model import LabView, RoomWanted, Snapshot
    from gpuwatch_tray.settings import LabSettings


class LabSource(Protocol):
    """A source of lab views, read by one thread at a time; what is wrong is a view with a problem."""

    @property
    def name(self) -> str:
        """The source's name, as people read it."""

    def read(self, wanted: Sequence[RoomWanted] = (), /) -> LabView:
        """
        Read the present state of all hosts. Never raises, and is bounded in time.

        Of hosts without details it says how many free GPUs have the memory that is `wanted`.
        """

    def detail(self, host: str) -> Snapshot:
        """Return one host GPU by GPU, at most 15 s old; may be called beside `read`."""

    def retry(self) -> None:
        """Have the next read ask too what is left alone for a while; a person wants to know now."""

    def close(self) -> None:
        """End a read under way and let go of what is held; there will be no further read."""


def open_lab(settings: LabSettings, user: str, silences: Path) -> LabSource:
    """
    Open the source that the settings name: a Prometheus, else the hosts by ssh.

    `user` is this account's name, `silences` the file of the silences that were made here.
    """
    # Late imports: who asks by ssh needs no HTTP library.
    if settings.prometheus:
        from gpuwatch_tray.lab.login import LabSecret
        from gpuwatch_tray.lab.prometheus import PrometheusLab
        from gpuwatch_tray.lab.silences_made import SilencesMade

        known = replace(settings, me=settings.me or user)
        return PrometheusLab(known, LabSecret(settings), SilencesMade(silences))
    from gpuwatch_tray.lab.ssh_hosts import SshHosts

    return SshHosts(settings, user)
