"""What is written from the command line's own help: the man page and the shells' completion."""

from __future__ import annotations

from gpuwatch_tray.cli import manual
from gpuwatch_tray.cli.parser import parser
from gpuwatch_tray.desktopfiles import GeneratedDocs

SHELLS = ("bash", "zsh", "fish")


def completion(shell: str) -> str:
    """The script by which one of `SHELLS` completes our commands and options."""
    import shtab

    return str(shtab.complete(parser(), shell))


def man_page() -> str:
    """The man page."""
    return manual.page(parser())


def papers() -> GeneratedDocs:
    """All that a share folder has a place for."""
    return GeneratedDocs(man_page(), completion("bash"), completion("fish"))
