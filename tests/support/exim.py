"""
Exim as a second real mail server: Debian's own, unpacked into .build and run from there, on loopback.

    with Exim() as server:
        ...                                  # server.port, server.tls_port, server.ca_file
        server.mails()

It is never installed, so that no `sendmail` of it stands on anybody's PATH and no service is started; it
needs no rights, and a folder of its own under /tmp. It takes mails into its queue and delivers none.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import trustme

from tests.support.installed import closed_port
from tests.support.unpacked import ROOT, unpacked

NOBODY = 65534  # whose it is where the tests run as root: it refuses to be root's
ACCOUNT = "Debian-exim"  # built into it
READY = 10.0  # seconds

CONFIGURATION = """
primary_hostname = mail.test
local_interfaces = 127.0.0.1
tls_on_connect_ports = {tls_port}
spool_directory = {folder}/spool
log_file_path = {folder}/log/%slog
pid_file_path = {folder}/pid
keep_environment =
queue_only = true
message_size_limit = 100K
tls_advertise_hosts = {tls_hosts}
tls_certificate = {folder}/server.pem
auth_advertise_hosts = ${{if def:tls_in_cipher {{*}}{{}}}}
acl_smtp_rcpt = recipients

begin acl
recipients:
  deny message = 5.1.1 no such user
       recipients = nobody@example.org
  defer message = 4.2.1 mailbox busy
        recipients = busy@example.org
  accept condition = {open}
  accept authenticated = *
  deny message = 5.7.1 log in first

begin authenticators
{authenticators}
"""
PLAIN = """
plain:
  driver = plaintext
  public_name = PLAIN
  server_prompts = :
  server_condition = ${{if and {{{{eq{{$auth2}}{{{user}}}}}{{eq{{$auth3}}{{{password}}}}}}}}}
  server_set_id = $auth2
"""
LOGIN = """
login:
  driver = plaintext
  public_name = LOGIN
  server_prompts = Username:: : Password::
  server_condition = ${{if and {{{{eq{{$auth1}}{{{user}}}}}{{eq{{$auth2}}{{{password}}}}}}}}}
  server_set_id = $auth1
"""
CRAM_MD5 = """
cram:
  driver = cram_md5
  public_name = CRAM-MD5
  server_secret = ${{if eq{{$auth1}}{{{user}}}{{{password}}}fail}}
  server_set_id = $auth1
"""


@dataclass(frozen=True)
class Queued:
    """A mail in Exim's queue. `user` logged in, `tls` is the cipher; both are empty where there was none."""

    sender: str
    recipients: tuple[str, ...]
    user: str
    tls: str
    headers: str
    body: str


class Exim:
    """The server, from `with` to its end. `relay`: as on localhost, without TLS and login."""

    host = "localhost"

    def __init__(
        self, mechanism: str = PLAIN, *, user: str = "ada", password: str = "geheim-17", relay: bool = False
    ) -> None:
        self.user, self.password = user, password
        self.port, self.tls_port = closed_port(), closed_port()
        self._mechanism, self._relay = mechanism, relay

    def mails(self) -> list[Queued]:
        """Return the mails in its queue, oldest first."""
        return [_queued(head) for head in sorted(self.folder.glob("spool/input/*-H"), key=_written)]

    def __enter__(self) -> Self:
        self._program = unpacked("usr/sbin/exim4")
        self.folder = Path(tempfile.mkdtemp(prefix="exim-"))
        self.ca_file = self.folder / "ca.pem"
        try:
            self._write()
            self._start()
        except BaseException:
            shutil.rmtree(self.folder)
            raise
        return self

    def __exit__(self, *error: object) -> None:
        self._running.terminate()
        self._running.communicate(timeout=60)
        shutil.rmtree(self.folder)

    def _write(self) -> None:
        authority = trustme.CA()
        authority.cert_pem.write_to_path(str(self.ca_file))
        authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(
            str(self.folder / "server.pem")
        )
        account = {"user": self.user, "password": self.password}
        text = CONFIGURATION.format(
            folder=self.folder,
            tls_port=self.tls_port,
            tls_hosts="" if self._relay else "*",
            open="yes" if self._relay else "no",
            authenticators=self._mechanism.format(**account),
        )
        (self.folder / "configuration").write_text(text)
        own = os.getuid() or NOBODY
        (self.folder / "passwd").write_text(f"root:x:0:0::/:\n{ACCOUNT}:x:{own}:{own}::/:\n")
        (self.folder / "group").write_text(f"root:x:0:\n{ACCOUNT}:x:{own}:\n")
        for name in ("spool", "log"):
            (self.folder / name).mkdir()
        if os.getuid() == 0:
            self.folder.chmod(0o755)
            for name in ("spool", "log", "server.pem"):
                os.chown(self.folder / name, own, own)

    def _start(self) -> None:
        libraries = next(ROOT.glob("usr/lib/*/libnss_wrapper.so")).parent
        environment = {
            "LD_LIBRARY_PATH": str(libraries),
            "LD_PRELOAD": str(libraries / "libnss_wrapper.so"),
            "NSS_WRAPPER_PASSWD": str(self.folder / "passwd"),
            "NSS_WRAPPER_GROUP": str(self.folder / "group"),
            "PATH": "/usr/bin:/bin",
        }
        ports = f"<; 127.0.0.1.{self.port} ; 127.0.0.1.{self.tls_port}"
        self._running = subprocess.Popen(
            [str(self._program), "-bdf", "-C", str(self.folder / "configuration"), "-oX", ports],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        end = time.monotonic() + READY
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.tls_port), 1).close()
            except OSError:
                if self._running.poll() is not None or time.monotonic() > end:
                    self._running.kill()
                    raise RuntimeError(f"Exim does not run: {self._running.communicate()[0]}") from None
                time.sleep(0.02)
            else:
                return


def _written(head: Path) -> int:
    return head.stat().st_mtime_ns


def _queued(head: Path) -> Queued:
    """Read a mail from its two files in the queue (Exim's specification, "Format of spool files")."""
    text = head.read_text()
    body = head.with_name(head.name.removesuffix("H") + "D").read_text().partition("\n")[2]
    envelope, _, headers = text.partition("\n\n")
    lines = envelope.splitlines()
    count = next(number for number, line in enumerate(lines) if number > 3 and line.isdecimal())
    options = dict(re.findall(r"(?m)^--?(auth_id|tls_cipher) (.*)$", envelope))
    return Queued(
        sender=lines[2].strip("<>"),
        recipients=tuple(lines[count + 1 :]),
        user=options.get("auth_id", ""),
        tls=options.get("tls_cipher", ""),
        headers=re.sub(r"(?m)^\d{3,}[A-Z* ] ", "", headers),
        body=body,
    )
