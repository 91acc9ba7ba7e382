"""Which of many hosts of the lab a list of the menu shows."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gpuwatch_tray.model import HostView


MAX_HOSTS = 12  # in a list


class ShownHosts:
    """
    The hosts that each list shows of many: the largest.

    Whoever is shown stays while it is in the list, unless one that is not shown is twice as large: with
    hundreds of hosts the rows would change at every poll.
    """

    def __init__(self) -> None:
        self._shown: dict[str, frozenset[str]] = {}  # by the list's key

    def choose(
        self, of: str, hosts: Sequence[HostView], size: Callable[[HostView], float]
    ) -> Sequence[HostView]:
        """Return at most MAX_HOSTS of the hosts, in the order given."""
        if len(hosts) <= MAX_HOSTS:
            self._shown.pop(of, None)
            return hosts
        former = self._shown.get(of, frozenset())
        by_size = sorted(hosts, key=size, reverse=True)
        chosen = [host for host in by_size if host.name in former]
        others = [host for host in by_size if host.name not in former]
        while len(chosen) < MAX_HOSTS:
            chosen.append(others.pop(0))
        chosen.sort(key=size, reverse=True)
        while others and size(others[0]) > 2 * size(chosen[-1]):
            chosen[-1] = others.pop(0)
            chosen.sort(key=size, reverse=True)
        names = self._shown[of] = frozenset(host.name for host in chosen)
        return [host for host in hosts if host.name in names]
