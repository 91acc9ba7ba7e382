"""The test driver as a library, built in .build of the checkout: one folder for each state of its sources."""

from __future__ import annotations

import hashlib
import os
import subprocess
from functools import cache
from pathlib import Path

SONAME = "libnvidia-ml.so.1"
OLD = ("-DOLD_DRIVER",)  # a library of before driver 510
FIRST_LISTS = ("-DOLD_DRIVER", "-DFIRST_LISTS")  # of driver 440 and older
CHECKED = ("-fsanitize=address,undefined", "-fno-sanitize-recover=undefined", "-fno-omit-frame-pointer")

_HERE = Path(__file__).parent
_FLAGS = ("-std=gnu11", "-Wall", "-Wextra", "-Werror", "-O1", "-g", "-fPIC", "-shared", "-fvisibility=hidden")


@cache
def library(*more: str) -> Path:
    """Build the library; `more` are further flags of the compiler."""
    sources = sorted(_HERE.glob("*.c"))
    content = b"".join(path.read_bytes() for path in (*sources, *sorted(_HERE.glob("*.h"))))
    flags = (*_FLAGS, *more)
    digest = hashlib.sha256(content + " ".join(flags).encode()).hexdigest()[:16]
    target = _HERE.parents[1] / ".build" / f"driver-{digest}" / SONAME
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f"{SONAME}.{os.getpid()}")
        command = ["cc", *flags, f"-Wl,-soname,{SONAME}", "-o", str(part), *map(str, sources), "-pthread"]
        built = subprocess.run(command, capture_output=True, text=True, check=False)
        if built.returncode != 0:
            raise RuntimeError(f"the test driver does not compile:\n{built.stderr}")
        part.replace(target)
    return target


def sanitizer() -> str:
    """Return what a program must load before anything else to use the library built with CHECKED."""
    asked = subprocess.run(["cc", "-print-file-name=libasan.so"], capture_output=True, text=True, check=True)
    return asked.stdout.strip()
