"""The completion of the shells, and all generated documents together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuwatch_tray.cli.manual import man_page
from gpuwatch_tray.desktopfiles import GeneratedDocs

if TYPE_CHECKING:
    import argparse

    from gpuwatch_tray.desktopfiles import GeneratedDocs


def completion_script(top: argparse.ArgumentParser, shell: str) -> str:
    """Write the script by which `bash`, `zsh` or `fish` completes the commands and options."""
    import shtab

    return str(shtab.complete(top, shell))


def generate_docs(top: argparse.ArgumentParser) -> GeneratedDocs:
    """Generate every document that is installed in a share folder."""
    from gpuwatch_tray.desktopfiles import GeneratedDocs

    return GeneratedDocs(man_page(top), completion_script(top, "bash"), completion_script(top, "fish"))
