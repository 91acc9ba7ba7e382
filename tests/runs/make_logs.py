"""
Makes programs fail for real and keeps what they wrote: the part of the corpus that is not written by hand.

    python -m tests.runs.make_logs FILE [PYTHON ...]

Writes one JSON line for each run. Each recipe is a small script; those of Python run once under each
interpreter that is given, else under this one, as messages differ between versions. What needs root (a full
tmpfs, a memory cgroup) is left out, and said so, where it cannot be had. `END` is how the run ended, as
`tests.runs.corpus` reads it. A recipe with PyTorch runs only under interpreters that have it.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

RECIPES = Path(__file__).with_name("data") / "recipes.txt"
HERE = "/home/kai/run"  # stands for the folder in which the recipes ran
LIMIT = 60.0  # seconds for one run
KEPT = 6000  # characters of the end of a log
CGROUP_MEMORY = 80 * 2**20  # bytes
SETTLE = 0.7  # seconds until a program that is to be stopped is at work


@dataclass(frozen=True)
class Recipe:
    """A program that ends in a known way."""

    label: str
    name: str
    text: str
    shell: bool = False
    torch: bool = False
    cgroup: bool = False
    full: bool = False
    send: int = 0
    facts: dict[str, Any] = field(default_factory=dict)


LAUNCHER = """
import subprocess, sys, textwrap, time
worker = textwrap.dedent('''
    import os, sys, time
    rank = int(sys.argv[1])
    print(f"[rank{rank}] ready", flush=True)
    WORKER
    time.sleep(.6)
    raise RuntimeError(f"rank {rank}: Connection closed by peer")
''')
ranks = [subprocess.Popen([sys.executable, "-c", worker, str(rank)]) for rank in range(3)]
codes = [rank.wait() for rank in ranks]
failed = [rank for rank, code in enumerate(codes) if code]
if failed:
    print(f"launcher: ranks {failed} failed, exit codes {codes}", file=sys.stderr)
    sys.exit(1)
"""


def read_recipes() -> list[Recipe]:
    """Read the recipes; their file says how they are written."""
    recipes = []
    for part in RECIPES.read_text(encoding="utf-8").split("\n=== ")[1:]:
        head, text = part.split("\n", 1)
        label, name, rest = (word.strip() for word in head.split("|"))
        flags, _, facts = rest.partition("facts=")
        words = dict((*word.split("=", 1), "")[:2] for word in flags.split())
        recipes.append(
            Recipe(
                label,
                name,
                LAUNCHER.replace("WORKER", text.strip("\n")) if "launcher" in words else text,
                shell="sh" in words,
                torch="torch" in words,
                cgroup="cgroup" in words,
                full="full" in words,
                send=signal.Signals[words["send"]] if "send" in words else 0,
                facts=json.loads(facts) if facts else {},
            )
        )
    return recipes


def has_torch(python: str) -> bool:
    """Tell whether the interpreter can import PyTorch."""
    done = subprocess.run([python, "-c", "import torch"], capture_output=True, check=False)
    return done.returncode == 0


class Cgroup:
    """A small memory cgroup (version 1 or 2); counts its OOM kills."""

    def __init__(self) -> None:
        base = Path("/sys/fs/cgroup/memory")
        self.folder = (base if base.is_dir() else Path("/sys/fs/cgroup")) / f"make-logs-{os.getpid()}"
        self.first = base.is_dir()
        self.folder.mkdir()
        limit = "memory.limit_in_bytes" if self.first else "memory.max"
        (self.folder / limit).write_text(str(CGROUP_MEMORY))

    def kills(self) -> int:
        """Return how many processes it has lost."""
        text = (self.folder / ("memory.oom_control" if self.first else "memory.events")).read_text()
        found = re.search(r"^oom_kill (\d+)", text, re.MULTILINE)
        return int(found[1]) if found else 0

    def close(self) -> None:
        """Remove it; what it held has ended."""
        for _ in range(50):
            with contextlib.suppress(OSError):
                self.folder.rmdir()
                return
            time.sleep(0.1)


def run(recipe: Recipe, python: str) -> dict[str, Any] | None:
    """Run a recipe; None where this machine cannot."""
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="make-logs-"))
        facts = dict(recipe.facts)
        cgroup = None
        try:
            if recipe.cgroup:
                cgroup = Cgroup()
                stack.callback(cgroup.close)
            if recipe.full:
                target = Path(folder, "full")
                target.mkdir()
                subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "none", str(target)], check=True)
                stack.callback(subprocess.run, ["umount", str(target)], check=False)
        except (OSError, subprocess.CalledProcessError) as error:
            print(f"left out: {recipe.label}, {recipe.name}: {error}", file=sys.stderr)
            return None
        script = Path(folder, "train.py")
        script.write_text(recipe.text, encoding="utf-8")
        script.parent.chmod(0o755)
        command = ["sh", "-c", recipe.text] if recipe.shell else [python, script.name]

        def join() -> None:
            if cgroup:
                (cgroup.folder / "cgroup.procs").write_text(str(os.getpid()))

        child = subprocess.Popen(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHON": python},
            preexec_fn=join,  # noqa: PLW1509
        )
        if recipe.send:
            time.sleep(SETTLE)
            child.send_signal(recipe.send)
        try:
            output, _ = child.communicate(timeout=LIMIT)
        except subprocess.TimeoutExpired:
            child.kill()
            child.communicate()
            print(f"left out: {recipe.label}, {recipe.name}: it hangs", file=sys.stderr)
            return None
        if cgroup and cgroup.kills():
            facts["oom_kills"] = cgroup.kills()
    text = output.decode("utf-8", "replace").replace(folder, HERE).replace(socket.gethostname(), "gpu03")
    for found in {str(Path(python).parent.parent), os.path.realpath(python).rpartition("/bin/")[0]}:
        text = text.replace(found, "/opt/python")
    end = f"signal {-child.returncode}" if child.returncode < 0 else f"exit {child.returncode}"
    origin = f"made: {recipe.name}"
    return {"label": recipe.label, "end": end, "origin": origin, "facts": facts, "log": text[-KEPT:]}


def interpreters(given: list[str]) -> list[str]:
    """Return the interpreters to use: those given, else this one."""
    return [shutil.which(name) or name for name in given] or [sys.executable]


def main() -> None:
    """Run each recipe under each interpreter; equal outputs are kept once."""
    target, *given = sys.argv[1:]
    pythons = interpreters(given)
    torches = [python for python in pythons if has_torch(python)]
    seen = set()
    with Path(target).open("w", encoding="utf-8") as file:
        for recipe in read_recipes():
            for python in torches if recipe.torch else pythons:
                record = run(recipe, python)
                key = record and (record["label"], record["end"], re.sub(r"\d+", "0", record["log"]))
                if record is None or key in seen:
                    continue
                seen.add(key)
                file.write(json.dumps(record, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
