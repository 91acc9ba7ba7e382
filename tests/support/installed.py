"""The installed program, run as a user runs it: the console script, its own files, a made-up driver."""

from __future__ import annotations

import os
import shutil
import socket
import sqlite3  # to turn back the clock of a state
import subprocess
import sys
import sysconfig
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from gpuwatch_tray.app.context import create_context
from gpuwatch_tray.app.tray_client import try_request
from gpuwatch_tray.common import host
from gpuwatch_tray.store import Store
from tests.driver import scenario as driver
from tests.driver.scenario import FakeGpu, FakeProcess, Scenario

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.mailserver import MailServer


ROOT = Path(__file__).parents[2]
SCRIPT = Path(sys.executable).with_name("gpuwatch-tray")
MIB = 2**20


@dataclass
class Installed:
    """One user's installation under `folder`: settings, state, and the driver's scenario."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    script: Path = SCRIPT

    def __post_init__(self) -> None:
        self.scenario = self.folder / "scenario"
        self.state = self.folder / "state"
        self.play(Scenario(gpus=[FakeGpu.numbered(0), FakeGpu.numbered(1)]))
        base = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder / "home"),
            "USER": "ada",
            "LC_ALL": "C.UTF-8",
            "TZ": "UTC",
            "GPUWATCH_CONFIG": str(self.folder / "gpu-watch.env"),
            "GPUWATCH_NOTIFY_CONFIG": str(self.folder / "notify.env"),
            "GPUWATCH_SMTP_CONFIG": str(self.folder / "smtp.env"),
            "GPUWATCH_LAB_CONFIG": str(self.folder / "lab.env"),
            "GPUWATCH_CACHE": str(self.state),
        }
        self.environment = driver.environment(self.scenario, base | self.environment)
        self.write("notify.env")
        self.write("smtp.env")
        self.write("lab.env")
        self.configure()

    def play(self, scenario: Scenario) -> None:
        """Have the driver answer so from now on."""
        scenario.write(self.scenario)

    def set_up(self, *, notify: str = "", greeted: bool = False, **keys: object) -> None:
        """Write these settings; `greeted`: as if the tray had been started before."""
        self.configure(**keys)
        self.write("notify.env", notify)
        if greeted:
            self.met()

    def met(self) -> None:
        """As if the tray had been started before, and had greeted."""
        with closing(Store(self.state, host.host())) as store:
            store.record_greeting()

    def write(self, name: str, text: str = "") -> Path:
        """Write one of the settings files."""
        path = self.folder / name
        path.write_text(text)
        path.chmod(0o600)
        return path

    def configure(self, **keys: object) -> None:
        """gpu-watch.env with a recipient, a limit of one GPU, and `keys`."""
        # WAKE_GPU: the machine that tests may have a GPU that sleeps
        lines = {"TO_EMAIL": "ada@example.org", "GPU_LIMIT": 1, "WAKE_GPU": "on"} | keys
        self.write("gpu-watch.env", "".join(f"{key}={value}\n" for key, value in lines.items()))

    def mail_through(self, server: MailServer, port: int | None = None) -> None:
        """smtp.env for this server, or as if it were at another port."""
        self.write(
            "smtp.env",
            f"SMTP_HOST={server.host}\nSMTP_PORT={port or server.port}\nSMTP_USER={server.user}\n"
            f'SMTP_PASS="{server.password}"\nFROM_EMAIL=watch@example.org\nSMTP_CA_FILE={server.ca_file}\n',
        )

    def chat_with(self, *lines: str, notify: str = "") -> Path:
        """A file with these addresses of chats, and notify.env that names it."""
        file = self.write("chats", "".join(f"{line}\n" for line in lines))
        self.write("notify.env", f"NOTIFY_URLS_FILE={file}\n{notify}")
        return file

    def age_deliveries(self, seconds: float) -> None:
        """As if every notice so far had been delivered `seconds` earlier."""
        (file,) = self.state.glob("state-*.sqlite3")
        with closing(sqlite3.connect(file, timeout=10)) as database, database:
            database.execute("UPDATE deliveries SET at = at - ?, uptime = uptime - ?", (seconds, seconds))

    def start(self, *words: str, stderr: int = subprocess.PIPE) -> subprocess.Popen[str]:
        """Start a command; its output is text."""
        return subprocess.Popen(
            [str(self.script), *words],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            cwd=self.folder,
        )

    @contextmanager
    def watching(self, *words: str) -> Iterator[subprocess.Popen[str]]:
        """A running `watch` with these options, past its first poll."""
        running = self.start("watch", *words, stderr=subprocess.DEVNULL)
        try:
            assert running.stdout is not None
            lines = iter(running.stdout.readline, "")
            next(line for line in lines if line[:1].isdigit() and "  note  " not in line)
            yield running
        finally:
            running.terminate()
            running.communicate(timeout=60)

    def poll_lab(self) -> None:
        """Have the running program look at the lab now, and not after LAB_POLL_SEC, which is 5 at least."""
        try_request(create_context(self.environment, None), {"do": "lab check"})

    def run(self, *words: str, timeout: float = 60.0, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run the console script to its end."""
        return subprocess.run(
            [str(self.script), *words],
            env=self.environment | variables,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            cwd=self.folder,
        )


def own_environment(folder: Path, *, copied: bool = False) -> Path:
    """
    Make a virtual environment of its own in `folder`; return the program's script in it.

    The libraries are those of the tests. The package is the checkout's, or `copied` into it as pip does.
    """
    venv = folder / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True)
    (packages,) = venv.glob("lib/python3*/site-packages")
    lines = [f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})"]
    if copied:
        # before the others, which may lead to the checkout
        lines.append(f"import sys; sys.path.insert(0, {str(packages)!r})")
        shutil.copytree(ROOT / "gpuwatch_tray", packages / "gpuwatch_tray")
        for name in ("icons", "config"):
            shutil.copytree(
                ROOT / name, packages / "gpuwatch_tray" / name, ignore=shutil.ignore_patterns("*.env")
            )
    else:
        lines.append(str(ROOT))
    (packages / "here.pth").write_text("".join(f"{line}\n" for line in lines))
    script = venv / "bin" / "gpuwatch-tray"
    script.write_text(f"#!{venv}/bin/python\n" + SCRIPT.read_text().partition("\n")[2])
    script.chmod(0o755)
    return script


def closed_port() -> int:
    """A port of this machine at which nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def busy(*pids: int) -> Scenario:
    """A process of the test on each GPU: one more than the limit of one GPU."""
    return Scenario(gpus=[FakeGpu.numbered(n, FakeProcess(pid, 2828 * MIB)) for n, pid in enumerate(pids)])
