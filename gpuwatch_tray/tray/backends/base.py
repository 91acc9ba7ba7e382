"""What a backend draws, and the interface that each backend has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gpuwatch_tray import drawing
    from gpuwatch_tray.tray.menu import MenuRow


class TrayView(Struct, frozen=True):
    """
    One state of the icon, the tooltip and the menu; `details` are the tooltip's lines below its title.

    `rows` may be built when they are looked at. Views of an equal `outline` differ in numbers below the
    headline only; None: that is not known.
    """

    look: drawing.IconLook
    title: str
    rows: Sequence[MenuRow]
    details: tuple[str, ...] = ()
    outline: object = None


class Backend(Protocol):
    """The interface of the backends, each of which draws a tray icon on one kind of desktop."""

    def run(self, ready: Callable[[], None]) -> None:
        """Draw on this thread, the main one, until `stop`; call `ready` once the icon takes clicks."""

    def stop(self) -> None:
        """Make `run` return; from any thread, also before `run`."""

    def post(self, job: Callable[[], None]) -> None:
        """Schedule `job` on the drawing thread; from any thread, also before `run`."""

    def present(self, view: TrayView) -> None:
        """Draw `view`; on the drawing thread."""
