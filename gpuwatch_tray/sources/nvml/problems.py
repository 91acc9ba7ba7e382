"""What an error of the driver means for the person at the machine, and how to fix it; pure."""

from __future__ import annotations

import re

from gpuwatch_tray.i18n import _
from gpuwatch_tray.model import Problem
from gpuwatch_tray.sources.nvml.api import Code, DriverError

# The session is void, as after a resume from suspend or while the driver is replaced: a new one may work.
# An older handle is an invalid argument.
SESSION = {
    Code.UNINITIALIZED,
    Code.INVALID_ARGUMENT,
    Code.DRIVER_NOT_LOADED,
    Code.OPERATING_SYSTEM,
    Code.UNKNOWN,
}
# This GPU is gone, the others are not.
LOST = {Code.GPU_IS_LOST, Code.GPU_NOT_FOUND}


def no_gpu_problem() -> Problem:
    """Return the problem of a driver that answers and knows of no GPU."""
    return Problem(
        _("the NVIDIA driver reports no GPU"),
        _("see whether `nvidia-smi` and `lspci | grep -i nvidia` list it; `sudo dmesg` may say why"),
    )


def driver_problem(error: DriverError, library: str = "", module: str = "") -> Problem:
    """Return the problem when nothing can be read; the versions are NVML's and the kernel module's."""
    match error.code:
        case Code.NO_BINDING:
            return Problem(_("the Python package nvidia-ml-py is missing"), "pip install nvidia-ml-py")
        case Code.SHADOWED_BINDING:
            return Problem(
                _("the abandoned Python package pynvml hides nvidia-ml-py ({why})").format(why=error.text),
                "pip uninstall pynvml; pip install --force-reinstall nvidia-ml-py",
            )
        case Code.LIBRARY_NOT_FOUND:
            return Problem(
                _("no NVIDIA driver is installed: its library NVML was not found"),
                _("install the NVIDIA driver"),
                no_driver=True,
            )
        case Code.DRIVER_NOT_LOADED:
            return Problem(
                _("the NVIDIA driver is not loaded"),
                _("`sudo modprobe nvidia`, or reboot; `sudo dmesg` may say why"),
                no_driver=True,
            )
        case Code.LIB_RM_VERSION_MISMATCH:
            return Problem(
                _("the NVIDIA driver was replaced while running") + _versions(library, module),
                _("reboot needed; running jobs continue, new ones fail"),
                mismatch=True,
            )
        case Code.NO_PERMISSION:
            return Problem(
                _("no permission to use the NVIDIA driver"),
                _(
                    "see `ls -l /dev/nvidia*`: the files may need another group, or the container more "
                    "permissions"
                ),
            )
        case _:
            return Problem(
                _("the NVIDIA driver does not work: {why} (NVML {code})").format(
                    why=error.text, code=error.code
                ),
                _("see whether `nvidia-smi` works; `sudo dmesg` may say why"),
            )


def gpu_problem(error: DriverError) -> str:
    """Say in one line why one GPU cannot be read."""
    match error.code:
        case Code.GPU_IS_LOST | Code.GPU_NOT_FOUND:
            return _("lost: it no longer answers the driver (usually a reboot is needed)")
        case Code.NO_PERMISSION:
            return _(
                "this session no longer has permission to use it (a cgroup, as with Slurm or a container)"
            )
        case Code.RESET_REQUIRED:
            return _("it has to be reset (`sudo nvidia-smi --gpu-reset`, or reboot)")
        case _:
            return _("it does not answer: {why} (NVML {code})").format(why=error.text, code=error.code)


def driver_version(library: str) -> str:
    """Cut the driver's version out of NVML's, which puts that of CUDA before it: 12.550.54.14."""
    return re.sub(r"^\d{1,2}\.(?=\d{3}\.)", "", library)


def _versions(library: str, module: str) -> str:
    library = driver_version(library)
    known = [_("library {version}").format(version=library)] if library else []
    if module:
        known.append(_("kernel module {version}").format(version=module))
    return f" ({', '.join(known)})" if known else ""
