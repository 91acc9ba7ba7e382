"""Which package gives us `pynvml`: NVIDIA's own, or an abandoned one of the same name that hides it."""

from __future__ import annotations

from importlib import metadata
from typing import TYPE_CHECKING

from gpuwatch_tray.doctor.line import Line, ok, problem
from gpuwatch_tray.language import _

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TOPIC = "pynvml"
OFFICIAL, ABANDONED = "nvidia-ml-py", "pynvml"
LAST_OWN = 11  # the major version up to which (11.5.3) the package pynvml brought a module of its own
MEND = "pip uninstall pynvml; pip install --force-reinstall nvidia-ml-py"


def installed(name: str) -> str:
    """The version of a distribution, empty where it is not installed."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def look(version: Callable[[str], str] = installed) -> Iterator[Line]:
    """One line, and one more for the other package where it is there."""
    official, abandoned = version(OFFICIAL), version(ABANDONED)
    if official:
        yield ok(TOPIC, _("from {package} {version}").format(package=OFFICIAL, version=official))
    else:
        text = _("the Python package {package} is missing").format(package=OFFICIAL)
        yield problem(TOPIC, text, f"pip install {OFFICIAL}")
    if not abandoned:
        return
    major = abandoned.partition(".")[0]
    if major.isdecimal() and int(major) > LAST_OWN:
        text = _("the package {package} {version} is there too, and does no harm")
        yield ok(TOPIC, text.format(package=ABANDONED, version=abandoned))
    else:
        text = _("the abandoned package {package} {version} hides NVIDIA's own")
        yield problem(TOPIC, text.format(package=ABANDONED, version=abandoned), MEND)
