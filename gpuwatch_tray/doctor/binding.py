"""The check of the package that provides `pynvml`."""

from __future__ import annotations

from importlib import metadata
from typing import TYPE_CHECKING

from gpuwatch_tray.doctor.line import CheckResult, ok, problem
from gpuwatch_tray.language import _

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PYNVML_TOPIC = "pynvml"
OFFICIAL, ABANDONED = "nvidia-ml-py", "pynvml"
LAST_OWN = 11  # the package pynvml had a module of its own up to 11.5.3
REINSTALL = "pip uninstall pynvml; pip install --force-reinstall nvidia-ml-py"


def installed_version(name: str) -> str:
    """Return the version of a distribution, empty where it is not installed."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def check_pynvml(version: Callable[[str], str] = installed_version) -> Iterator[CheckResult]:
    """Check that NVIDIA's package is installed, and that no abandoned one of the same name hides it."""
    official, abandoned = version(OFFICIAL), version(ABANDONED)
    if official:
        yield ok(PYNVML_TOPIC, _("from {package} {version}").format(package=OFFICIAL, version=official))
    else:
        text = _("the Python package {package} is missing").format(package=OFFICIAL)
        yield problem(PYNVML_TOPIC, text, f"pip install {OFFICIAL}")
    if not abandoned:
        return
    major = abandoned.partition(".")[0]
    if major.isdecimal() and int(major) > LAST_OWN:
        text = _("the package {package} {version} is there too, and does no harm")
        yield ok(PYNVML_TOPIC, text.format(package=ABANDONED, version=abandoned))
    else:
        text = _("the abandoned package {package} {version} hides NVIDIA's own")
        yield problem(PYNVML_TOPIC, text.format(package=ABANDONED, version=abandoned), REINSTALL)
