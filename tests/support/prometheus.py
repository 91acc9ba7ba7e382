"""
Debian's own Prometheus and Alertmanager, unpacked into .build and run from there on loopback.

    with Alertmanager() as manager, Prometheus(alertmanagers=[manager.port], rules=RULES) as prometheus:
        prometheus.scrape(fleet.targets())   # what it reads from now on
        prometheus.url                       # http://127.0.0.1:PORT

They are ended by their PIDs. `web` is the text of a web.config.file: passwords and TLS.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import tempfile
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from tests.support.folders import memory_folder
from tests.support.installed import closed_port
from tests.support.timing import wait_until
from tests.support.unpacked import ROOT, unpacked

if TYPE_CHECKING:
    from collections.abc import Sequence

_COMPILED_IN = (
    b"/usr/share/prometheus/alertmanager"  # where Debian's looks for its templates, and ends without
)


class _Server:
    """A program with a port, from `with` to its end."""

    scheme = "http"

    def __init__(self, *, web: str = "") -> None:
        self.port = closed_port()
        self.web = web
        self._running: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"{self.scheme}://localhost:{self.port}"

    @property
    def pid(self) -> int:
        assert self._running is not None
        return self._running.pid

    def __enter__(self) -> Self:
        self.folder = memory_folder()
        try:
            self.set_up()
            if self.web:
                (self.folder / "web.yml").write_text(self.web)
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()
        shutil.rmtree(self.folder)

    def set_up(self) -> None:
        raise NotImplementedError

    def arguments(self) -> list[str]:
        raise NotImplementedError

    def start(self) -> None:
        """Start it, and wait until it listens."""
        web = [f"--web.config.file={self.folder / 'web.yml'}"] if self.web else []
        log = (self.folder / "log").open("ab")
        address = f"--web.listen-address=127.0.0.1:{self.port}"
        self._running = subprocess.Popen(
            [*self.arguments(), address, *web],
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
            cwd=self.folder,
        )
        log.close()
        wait_until(self._ready, f"{type(self).__name__} is ready")

    def _ready(self) -> bool:
        assert self._running is not None
        if self._running.poll() is not None:
            raise RuntimeError((self.folder / "log").read_text()[-2000:])
        text = (self.folder / "log").read_text()
        return self.ready_line in text.rpartition("\n# begins\n")[2]

    def stop(self) -> None:
        """End it; what it has stored stays for another start."""
        if self._running is not None:
            self._running.send_signal(signal.SIGCONT)
            self._running.terminate()
            self._running.wait(60)
            self._running = None
        with (self.folder / "log").open("a") as log:
            log.write("\n# begins\n")

    def pause(self) -> None:
        """Have it hang."""
        os.kill(self.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        """Have it go on."""
        os.kill(self.pid, signal.SIGCONT)

    ready_line = ""

    def get(self, path: str) -> bytes:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=30) as answer:
            return answer.read()


class Prometheus(_Server):
    """Scrapes what it is told to, every `interval`, and evaluates `rules` as often."""

    ready_line = "Server is ready to receive web requests"

    def __init__(
        self,
        *,
        interval: str = "1s",
        timeout: str = "1s",
        alertmanagers: Sequence[int] = (),
        rules: str = "",
        job: str = "gpuwatch",
        extra: str = "",
        web: str = "",
    ) -> None:
        super().__init__(web=web)
        self._interval, self._timeout, self._job, self._extra = interval, timeout, job, extra
        self._alertmanagers, self._rules = alertmanagers, rules

    def set_up(self) -> None:
        self._program = unpacked("usr/bin/prometheus")
        (self.folder / "targets.json").write_text("[]")
        (self.folder / "rules.yml").write_text(self._rules or "groups: []\n")
        managers = [f"127.0.0.1:{port}" for port in self._alertmanagers]
        (self.folder / "prometheus.yml").write_text(
            f"global: {{scrape_interval: {self._interval}, scrape_timeout: {self._timeout},"
            f" evaluation_interval: {self._interval}}}\n"
            f"rule_files: [{self.folder}/rules.yml]\n"
            f"alerting: {{alertmanagers: [{{static_configs: [{{targets: {json.dumps(managers)}}}]}}]}}\n"
            f"scrape_configs:\n- job_name: {self._job}\n"
            f"  file_sd_configs: [{{files: [{self.folder}/targets.json], refresh_interval: 1s}}]\n"
            f"{self._extra}"
        )

    def arguments(self) -> list[str]:
        return [
            str(self._program),
            f"--config.file={self.folder}/prometheus.yml",
            f"--storage.tsdb.path={self.folder}/data",
            "--storage.tsdb.wal-segment-size=10MB",
            # So often it sends again what fires: the usual minute would be the length of a test.
            "--rules.alert.resend-delay=1s",
        ]

    def scrape(self, targets: Sequence[dict[str, Any]]) -> None:
        """Read these targets, in the form of a file for service discovery, from now on."""
        part = self.folder / "targets.part"
        part.write_text(json.dumps(targets))
        part.replace(self.folder / "targets.json")

    def ask(self, query: str) -> list[dict[str, Any]]:
        """Ask it directly, for a server without TLS and password."""
        return json.loads(self.get(f"/api/v1/query?query={urllib.request.quote(query)}"))["data"]["result"]


class Alertmanager(_Server):
    """One that notifies nobody."""

    ready_line = "Listening on"

    def set_up(self) -> None:
        (self.folder / "alertmanager.yml").write_text(
            "route: {receiver: nobody}\nreceivers: [{name: nobody}]\n"
        )
        self._place = Path(tempfile.mkdtemp(prefix="gw"))
        self._program = self._with_templates(unpacked("usr/bin/prometheus-alertmanager"))

    def _with_templates(self, program: Path) -> Path:
        """Copy it with another folder of templates compiled in: a path as long, of a link to the unpacked."""
        link = self._place / "t"
        link.symlink_to(ROOT / "usr/share/prometheus/alertmanager")
        path = str(link).encode().ljust(len(_COMPILED_IN), b"/")
        assert len(path) == len(_COMPILED_IN)
        copy = self.folder / "alertmanager"
        copy.write_bytes(program.read_bytes().replace(_COMPILED_IN, path))
        copy.chmod(0o700)
        return copy

    def arguments(self) -> list[str]:
        return [
            str(self._program),
            f"--config.file={self.folder}/alertmanager.yml",
            f"--storage.path={self.folder}/data",
            "--cluster.listen-address=",
        ]

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)
        shutil.rmtree(self._place)
