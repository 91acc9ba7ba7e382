"""
A made-up fleet: the exporters of any number of hosts, served by one thread on one port of loopback.

    with Fleet("h1", "h2") as fleet:
        prometheus.scrape(fleet.targets())
        fleet["h1"].hangs = True

Each host's metrics are what the real exporter makes of a snapshot. Prometheus is told a path a host, and its
name as `instance`, so that one port is enough for 500.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import threading
import time
from dataclasses import dataclass, field
from typing import Any, Self

from gpuwatch_tray.export.endpoint import metrics_text
from gpuwatch_tray.export.reading_tally import ReadingTally
from gpuwatch_tray.export.rows import FiringAlert, blind_rows, build_rows
from gpuwatch_tray.model import (
    ExportSettings,
    ExportUsers,
    Gpu,
    GpuProcess,
    Limits,
    ProcessKind,
    Snapshot,
)
from gpuwatch_tray.model.units import GIB, MIB

PORT = 9836


@dataclass(eq=False)
class FleetHost:
    """One host: what it has, and what is wrong with it. `users` are who computes, by GPU."""

    name: str
    gpus: int = 4
    users: dict[int, list[str]] = field(default_factory=dict)
    started: float = field(default_factory=lambda: time.time() - 3600)
    lost: set[int] = field(default_factory=set)
    held: dict[int, int] = field(default_factory=dict)  # bytes of a GPU's memory that no process has
    firing: tuple[FiringAlert, ...] = ()
    evaluated: bool = True
    names: ExportUsers = ExportUsers.NAMES
    down: bool = False  # it closes the connection
    hangs: bool = False  # it takes the question and never answers
    blind: bool = False  # its driver cannot be read
    skew: float = 0.0  # seconds by which its clock is ahead
    stuck: float | None = None  # wall time of a last reading that it goes on telling
    password: str = ""
    other: str = ""  # what it serves in place of our metrics: those of another exporter
    extra: str = ""  # and beside them
    temperature: int = 60
    _cached: tuple[object, str] | None = None

    def snapshot(self) -> Snapshot:
        """What the host itself sees."""
        processes = [
            GpuProcess(
                pid=1000 * gpu + number,
                gpu=gpu,
                kinds=frozenset({ProcessKind.COMPUTE}),
                memory=900 * MIB,
                user=user,
                started=self.started + self.skew,
                name="python",
            )
            for gpu, users in self.users.items()
            for number, user in enumerate(users, 1)
            if gpu not in self.lost
        ]
        return Snapshot("fleet", time.time(), tuple(map(self._gpu, range(self.gpus))), tuple(processes))

    def _gpu(self, index: int) -> Gpu:
        uuid = f"GPU-{self.name}-{index}"
        if index in self.lost:
            return Gpu(index, uuid, problem="fell off the bus", process_problem="fell off the bus")
        used = 300 * MIB + 900 * MIB * len(self.users.get(index, ())) + self.held.get(index, 0)
        return Gpu(
            index,
            uuid,
            name="NVIDIA H100",
            memory_used=used,
            memory_total=80 * GIB,
            utilisation=97 if self.users.get(index) else 0,
            temperature=self.temperature,
            power=90.0,
            power_limit=700.0,
            energy=1e6,
        )

    def text(self) -> str:
        """Its metrics now."""
        if self.other:
            return self.other
        now = time.time() + self.skew
        reading = self.stuck if self.stuck is not None else now
        state = (
            repr(self.users),
            repr(self.lost),
            repr(self.held),
            self.firing,
            self.evaluated,
            self.names,
            self.blind,
            self.gpus,
        )
        if self._cached is None or self._cached[0] != (*state, self.started, self.skew, self.temperature):
            self._cached = ((*state, self.started, self.skew, self.temperature), self._render())
        return (
            f"{self._cached[1]}gpuwatch_last_reading_timestamp_seconds {reading}\n"
            f"gpuwatch_host_clock_timestamp_seconds {now}\n{self.extra}"
        )

    def _render(self) -> str:
        firing = self.firing if self.evaluated else None
        if self.blind:
            return metrics_text(blind_rows(), None)
        settings = ExportSettings(users=self.names)
        rows = build_rows(self.snapshot(), ReadingTally(0.0), Limits(), settings, firing)
        rows["build_info"] = {("1.0", "550.54", "nvml", self.names.value): 1.0}
        return metrics_text(rows, None)


class Fleet:
    """The hosts, from `with` to its end."""

    def __init__(self, *hosts: FleetHost | str) -> None:
        made = [FleetHost(host) if isinstance(host, str) else host for host in hosts]
        self._hosts = {host.name: host for host in made}
        self._at = {host.name: host for host in made}  # who answers at an address
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fleet")

    def __getitem__(self, name: str) -> FleetHost:
        return self._hosts[name]

    def __iter__(self):
        return iter(self._hosts.values())

    def swap(self, one: str, other: str) -> None:
        """Have two hosts answer at each other's address, as after a new lease of each."""
        self._at[one], self._at[other] = self._at[other], self._at[one]

    def targets(self, *names: str) -> list[dict[str, Any]]:
        """The targets for Prometheus; all of them unless some are named."""
        return [
            {
                "targets": [f"127.0.0.1:{self.port}"],
                "labels": {"instance": f"{name}:{PORT}", "__metrics_path__": f"/{name}"},
            }
            for name in names or self._hosts
        ]

    def __enter__(self) -> Self:
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(self._serve(), self._loop).result(10)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def __exit__(self, *error: object) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _serve(self) -> asyncio.Server:
        return await asyncio.start_server(self._answer, "127.0.0.1", 0)

    async def _close(self) -> None:
        self._server.close()
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                host = self._at[head.split(" ", 2)[1].strip("/")]
                if host.hangs:
                    await asyncio.sleep(3600)
                if host.down:
                    break
                status, body = "200 OK", host.text().encode()
                if host.password and f"Basic {base64.b64encode(host.password.encode()).decode()}" not in head:
                    status, body = "401 Unauthorized", b""
                writer.write(
                    f"HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4\r\n"
                    f"Content-Length: {len(body)}\r\n\r\n".encode()
                    + body
                )
                await writer.drain()
        writer.close()
