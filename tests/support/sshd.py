"""
Machines that are reached by ssh: Debian's own sshd, one for each, unpacked into .build and run on loopback.

    with SshLab(folder) as lab:
        lab.add("gpu1", "#!/bin/sh ...")      # what stands there for the program `gpuwatch-tray`
        lab.add_silent("gpu3")                      # takes the connection and never says a word
        lab.other_key("gpu1")                       # its host key is not the one that is known any more
        LabSettings(hosts=("gpu1", "gpu3"), ssh=lab.ssh)

Nothing of it is installed, and no key of the person who runs the tests is looked at. A login is by key alone,
as this account under another name, with a PATH of the machine's own folder and the system's.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Self

from tests.support.installed import closed_port
from tests.support.unpacked import ROOT, unpacked

READY = 20.0  # seconds
USER = "ada"
PRIVILEGE_FOLDER = Path("/run/sshd")  # compiled in; root's sshd alone wants it

SERVER = """
ListenAddress 127.0.0.1:{port}
HostKey {folder}/host_key
AuthorizedKeysFile {lab}/key.pub
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin yes
PrintMotd no
LogLevel ERROR
SetEnv PATH={folder}/bin:/usr/bin:/bin
"""
CLIENT = """
Host {name}
    HostName 127.0.0.1
    Port {port}
    HostKeyAlias {name}
"""
CLIENT_END = """
Host *
    User {user}
    IdentityFile {lab}/key
    IdentitiesOnly yes
    IdentityAgent none
    UserKnownHostsFile {lab}/known_hosts
    GlobalKnownHostsFile /dev/null
"""


class SshLab:
    """The machines, from `with` to its end."""

    def __init__(self) -> None:
        self.folder = Path(
            tempfile.mkdtemp(prefix="lab-", dir="/tmp")
        )  # short: a socket's name has 108 bytes
        self.names: list[str] = []
        self._servers: dict[str, subprocess.Popen[bytes]] = {}
        self._listening: list[socket.socket] = []
        self._ports: dict[str, int] = {}

    @property
    def ssh(self) -> tuple[str, ...]:
        """The program that reaches them, as LAB_SSH has it."""
        return ("ssh", "-F", str(self.folder / "config"))

    def __enter__(self) -> Self:
        try:
            self._program = unpacked("usr/sbin/sshd")
            if os.getuid() == 0:
                PRIVILEGE_FOLDER.mkdir(mode=0o755, exist_ok=True)
            self._make_key(self.folder / "key")
            own = f"{os.getuid()}:{os.getgid()}"
            (self.folder / "passwd").write_text(
                f"{USER}:x:{own}::{self.folder}:/bin/sh\nsshd:x:65534:65534::/:/bin/false\n"
            )
            (self.folder / "group").write_text(f"{USER}:x:{os.getgid()}:\nnogroup:x:65534:\n")
            self._write_client()
        except BaseException:
            shutil.rmtree(self.folder)
            raise
        return self

    def __exit__(self, *error: object) -> None:
        for name in list(self._servers):
            self.stop(name)
        for listening in self._listening:
            listening.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def add(self, name: str, program: str | None) -> None:
        """Start a machine on which `gpuwatch-tray` is this script; None: it is not installed there."""
        place = self.folder / name
        (place / "bin").mkdir(parents=True)
        self.install(name, program)
        self._make_key(place / "host_key")
        self._ports[name] = closed_port()
        self.names.append(name)
        self._trust(name)
        self._write_client()
        self.start(name)

    def install(self, name: str, program: str | None, called: str = "gpuwatch-tray") -> None:
        """Put another script in the place of a program there, whole at once."""
        file = self.folder / name / "bin" / called
        if program is None:
            file.unlink(missing_ok=True)
            return
        part = file.with_suffix(".part")
        part.write_text(program)
        part.chmod(0o755)
        part.replace(file)

    def add_silent(self, name: str) -> None:
        """A machine that takes connections and never answers."""
        listening = socket.create_server(("127.0.0.1", 0))
        self._listening.append(listening)
        self._ports[name] = listening.getsockname()[1]
        self.names.append(name)
        self._write_client()

    def other_key(self, name: str) -> None:
        """Give the machine another host key, as one that was set up anew or is not itself has."""
        self.stop(name)
        for file in (self.folder / name).glob("host_key*"):
            file.unlink()
        self._make_key(self.folder / name / "host_key")
        self.start(name)

    def start(self, name: str) -> None:
        """Start its sshd, and wait until it listens."""
        place = self.folder / name
        config = place / "sshd_config"
        # From OpenSSH 9.8 on it is made of several programs, which it looks for where Debian installs them.
        parts = {"SshdSessionPath": "sshd-session", "SshdAuthPath": "sshd-auth"}
        files = {key: ROOT / "usr/lib/openssh" / part for key, part in parts.items()}
        text = SERVER.format(port=self._ports[name], folder=place, lab=self.folder)
        config.write_text(text + "".join(f"{key} {file}\n" for key, file in files.items() if file.exists()))
        libraries = next(ROOT.glob("usr/lib/*/libnss_wrapper.so")).parent
        with (place / "log").open("ab") as log:
            running = self._servers[name] = subprocess.Popen(
                [str(self._program), "-D", "-e", "-f", str(config)],
                env={
                    "LD_LIBRARY_PATH": str(libraries),
                    "LD_PRELOAD": str(libraries / "libnss_wrapper.so"),
                    "NSS_WRAPPER_PASSWD": str(self.folder / "passwd"),
                    "NSS_WRAPPER_GROUP": str(self.folder / "group"),
                    "PATH": "/usr/bin:/bin",
                },
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                start_new_session=True,
            )
        end = time.monotonic() + READY
        while True:
            try:
                socket.create_connection(("127.0.0.1", self._ports[name]), 1).close()
            except OSError:
                if running.poll() is not None or time.monotonic() > end:
                    raise RuntimeError(f"sshd does not run: {(place / 'log').read_text()}") from None
                time.sleep(0.02)
            else:
                return

    def stop(self, name: str) -> None:
        """End its sshd and every session on it, as when the machine is switched off."""
        running = self._servers.pop(name, None)
        if running is None:
            return
        for number in (signal.SIGTERM, signal.SIGKILL):
            _signal_sessions(running.pid, number)
        running.wait(60)

    def _trust(self, name: str) -> None:
        public = (self.folder / name / "host_key.pub").read_text()
        with (self.folder / "known_hosts").open("a") as known:
            known.write(f"{name} {public}")

    def _write_client(self) -> None:
        hosts = [CLIENT.format(name=name, port=self._ports[name]) for name in self.names]
        (self.folder / "config").write_text("".join(hosts) + CLIENT_END.format(user=USER, lab=self.folder))

    @staticmethod
    def _make_key(path: Path) -> None:
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)],
            check=True,
            stdin=subprocess.DEVNULL,
        )


def _signal_sessions(server: int, number: int) -> None:
    """Send a signal to the server and what has come of it: each session has a session of its own."""
    import psutil

    try:
        parent = psutil.Process(server)
        family = [*parent.children(recursive=True), parent]
    except psutil.NoSuchProcess:
        return
    for process in family:
        try:
            process.send_signal(number)
        except psutil.NoSuchProcess:
            continue
