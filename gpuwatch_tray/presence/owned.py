"""The life of a service on the bus."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Coroutine

    from gpuwatch_tray.bus import Connection

POLL_INTERVAL = 60.0  # seconds between two questions: a signal may be missed, a service may be busy


class FollowNameOwner:
    """
    A task `follow(owner)` on the bus's loop for each owner of the bus name `name`, while it has that owner.

    The owner is a unique name: asking it never starts an absent service. Each change first calls `on_change`
    on the loop's thread.
    """

    def __init__(
        self,
        bus: Connection,
        name: str,
        follow: Callable[[str], Coroutine[Any, Any, None]],
        on_change: Callable[[], None],
    ) -> None:
        self.owner = ""
        self._bus = bus
        self._follow = follow
        self._on_change = on_change
        self._task: asyncio.Task[None] | None = None
        self._closed = False
        bus.follow_owner(name, self._changed)

    def close(self) -> None:
        """Stop following; from any thread, also when the loop does not run."""
        self._closed = True
        self._bus.post(self._end)

    def _changed(self, owner: str) -> None:
        self._end()
        self.owner = owner
        self._on_change()
        if owner and not self._closed:
            self._task = self._bus.spawn(self._follow(owner))

    def _end(self) -> None:
        if self._task is not None:
            self._task.cancel()
            self._task = None
