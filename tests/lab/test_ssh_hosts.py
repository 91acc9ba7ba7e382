"""The lab by ssh, over a real sshd for each machine."""

from __future__ import annotations

import json
import threading
import time

import psutil
import pytest

from gpuwatch_tray.lab import ssh_hosts
from gpuwatch_tray.lab.ssh_hosts import SshHosts, control_path
from gpuwatch_tray.model import HostState, Missing
from gpuwatch_tray.settings import LabSettings
from gpuwatch_tray.sources.subprocess_runner import RunResult
from tests.driver.scenario import FakeGpu, FakeProcess, Scenario
from tests.support.installed import MIB
from tests.support.ssh_machines import add_machine
from tests.support.sshd import SshLab

LIST = """#!/bin/sh
cat <<END
GPU=0  MEM=2828MiB  PID=2943615  ETIME=03:34
  CWD: /home/ada
  CMD: python train.py

END
"""


LIST_TEXT = b"GPU=0  MEM=2828MiB  PID=2943615  ETIME=03:34\n  CWD: /home/ada\n  CMD: python train.py\n\n"


@pytest.fixture
def lab():
    with SshLab() as made:
        yield made


@pytest.fixture
def opened(lab):
    """Open the source on all machines of the lab; it is closed at the end."""
    sources = []

    def start(**settings):
        timeout = settings.pop("timeout", 30.0)
        chosen = LabSettings(hosts=tuple(lab.names), ssh=lab.ssh, **settings)
        sources.append(SshHosts(chosen, "ada", timeout=timeout, folder=lab.folder / "control"))
        return sources[-1]

    yield start
    for source in sources:
        source.close()


def by_name(view):
    return {host.name: host for host in view.hosts}


def test_the_gpus_of_each_machine_are_known(lab, opened, two):
    """With the JSON of gpuwatch-tray there, the idle GPUs are known, and on which one computes."""
    add_machine(lab, "gpu1", FakeGpu.numbered(0, FakeProcess(two[0], 2828 * MIB)), FakeGpu.numbered(1))
    add_machine(lab, "gpu2", FakeGpu.numbered(0))
    source = opened()
    view = source.read()
    assert view.problem is None
    hosts = by_name(view)
    assert [host.state for host in view.hosts] == [HostState.OK] * 2, view
    assert (hosts["gpu1"].gpus, hosts["gpu1"].free, hosts["gpu1"].mine) == (2, 1, 1)
    assert (hosts["gpu2"].gpus, hosts["gpu2"].free, hosts["gpu2"].mine) == (1, 1, 0)
    assert abs(hosts["gpu1"].clock) < 60
    assert {process.pid for process in source.detail("gpu1").processes} == {two[0]}
    assert source.detail("elsewhere").problem is not None


def test_who_one_is_there_can_be_told(lab, opened, two):
    """LAB_ME names another account: what the login's own processes hold is then somebody else's."""
    add_machine(lab, "gpu1", FakeGpu.numbered(0, FakeProcess(two[0], 2828 * MIB)))
    (host,) = opened(me="nobody-of-this-name").read().hosts
    assert (host.free, host.mine) == (0, 0)


def test_each_machine_fails_alone(lab, opened):
    """One hangs, one is silent, one has another host key, one lacks the program, one talks nonsense."""
    add_machine(lab, "good", FakeGpu.numbered(0))
    lab.add("hangs", "#!/bin/sh\nexec sleep 60\n")
    lab.add("lacks", None)
    lab.add("talks", "#!/bin/sh\necho 'Welcome to the lab!'\n")
    lab.add("moved", LIST)
    lab.other_key("moved")
    lab.add_silent("silent")
    lab.add("off", LIST)
    lab.stop("off")
    hosts = by_name(opened(timeout=6.0).read())
    assert hosts["good"].state is HostState.OK
    states = {name: host.state for name, host in hosts.items() if name != "good"}
    assert states == {
        "hangs": HostState.BLIND,
        "lacks": HostState.BLIND,
        "talks": HostState.BLIND,
        "moved": HostState.DOWN,
        "silent": HostState.DOWN,
        "off": HostState.DOWN,
    }
    assert "host key" in hosts["moved"].reason
    assert "install it" in hosts["lacks"].reason
    assert all(host.reason for name, host in hosts.items() if name != "good")
    unknown = [hosts[name] for name in states]
    assert all(isinstance(host.free, Missing) and isinstance(host.mine, Missing) for host in unknown)


def test_the_bash_tools_list_does(lab, opened):
    """LAB_LIST: the processes are known, and nothing is said of what a list does not name."""
    lab.add("gpu1", None)
    lab.install("gpu1", LIST, "mygpu.sh")
    (host,) = opened(ssh_list="mygpu.sh --all").read().hosts
    assert host.state is HostState.OK, host
    assert host.mine == 1
    assert isinstance(host.free, Missing)
    assert isinstance(host.gpus, Missing)


def test_a_machine_that_cannot_read_its_gpus_is_blind(lab, opened):
    """It answers, and says why its driver does not: no count of it is a 0."""
    installed = add_machine(lab, "gpu1", FakeGpu.numbered(0))
    installed.play(Scenario(init_error=9))
    (host,) = opened().read().hosts
    assert host.state is HostState.BLIND
    assert host.reason
    assert isinstance(host.free, Missing)


def test_one_connection_is_kept(lab, opened):
    """The second read goes over the connection of the first, and closing leaves none."""
    lab.add("gpu1", '#!/bin/sh\necho $SSH_CONNECTION >> "$0.seen"\n')
    source = opened()
    for _ in range(2):
        source.read()
    seen = (lab.folder / "gpu1/bin/gpuwatch-tray.seen").read_text().splitlines()
    assert len(seen) == 2
    assert len(set(seen)) == 1
    assert list((lab.folder / "control").iterdir())
    source.close()
    assert not list((lab.folder / "control").iterdir())


def test_what_hangs_is_not_piled_up(lab, opened):
    """A program that hangs is ended on that machine too; a list's is left alone there for a while."""
    hangs = '#!/bin/sh\necho $$ >> "$0.seen"\nexec sleep 600\n'
    lab.add("gpu1", hangs)
    assert opened(timeout=4.0).read().hosts[0].state is HostState.BLIND
    (pid,) = (lab.folder / "gpu1/bin/gpuwatch-tray.seen").read_text().split()
    assert not psutil.pid_exists(int(pid))
    lab.install("gpu1", hangs, "mygpu.sh")
    source = opened(timeout=2.0, ssh_list="mygpu.sh")
    assert {source.read().hosts[0].state for _ in range(3)} == {HostState.DOWN}
    (left,) = (lab.folder / "gpu1/bin/mygpu.sh.seen").read_text().split()
    psutil.Process(int(left)).kill()


def test_closing_ends_a_read_under_way(lab, opened):
    """The tray's end does not wait for a machine that hangs."""
    import threading

    lab.add("gpu1", '#!/bin/sh\ntouch "$0.seen"\nexec sleep 600\n')
    source = opened(timeout=600.0)
    reader = threading.Thread(target=source.read)
    reader.start()
    while not (lab.folder / "gpu1/bin/gpuwatch-tray.seen").exists():
        time.sleep(0.02)
    source.close()
    reader.join(60)
    assert not reader.is_alive()


def test_a_run_that_never_returns_does_not_keep_a_machine_well(monkeypatch, tmp_path):
    """Where not even the start of ssh returns, as from a dead network folder, the last answer grows old."""
    monkeypatch.setattr(ssh_hosts, "CLOSE", 0.0)
    settings = LabSettings(hosts=("gpu1",), ssh_list="list", poll=0)
    source = SshHosts(settings, "ada", timeout=0.01, folder=tmp_path / ("x" * 200))
    monkeypatch.setattr(ssh_hosts._Host, "run", lambda _host, _argv: RunResult(0, LIST_TEXT, b""))
    assert source.check("gpu1").state is HostState.OK
    hangs = threading.Event()

    def hang(_host, _argv):
        hangs.wait()
        return RunResult(None, b"", b"")

    monkeypatch.setattr(ssh_hosts._Host, "run", hang)
    (host,) = source.read().hosts
    assert host.state is HostState.STALE
    assert host.reason
    hangs.set()


def test_one_that_rests_is_asked_when_a_person_wants_to_know(monkeypatch, tmp_path):
    """What did not answer in time is left alone for a while, unless somebody asks for a look."""
    asked = []
    monkeypatch.setattr(
        ssh_hosts._Host, "run", lambda host, _argv: asked.append(host.name) or RunResult(None, b"", b"")
    )
    source = SshHosts(LabSettings(hosts=("gpu1",)), "ada", folder=tmp_path / ("x" * 200))
    for _ in range(3):
        source.read()
    assert asked == ["gpu1"]
    source.retry()
    source.read()
    assert asked == ["gpu1"] * 2


def test_simulated_gpus_are_no_machine(monkeypatch, tmp_path):
    """A demo over there has free GPUs that nobody can use: the machine is blind."""
    shown = {"schema": 1, "source": "demo", "at": "2026-01-01T00:00:00+00:00", "simulated": True}
    text = json.dumps({**shown, "gpus": [], "processes": [], "problem": None})
    monkeypatch.setattr(ssh_hosts._Host, "run", lambda _host, _argv: RunResult(0, text.encode(), b""))
    host = SshHosts(LabSettings(hosts=("gpu1",)), "ada", folder=tmp_path / ("x" * 200)).check("gpu1")
    assert host.state is HostState.BLIND
    assert "simulated" in host.reason


def test_without_a_short_folder_nothing_is_kept(tmp_path):
    """A socket's name has a limit: with a long folder each read connects anew."""
    assert control_path(tmp_path / ("x" * 80)) == ""
    assert control_path(tmp_path / "s%h") == ""


def test_the_clock_there_does_not_matter(lab, opened, two):
    """The process has run for a minute, however wrong that machine's clock is; that it is wrong is noted."""
    process = {"gpu": 0, "pid": 7, "user": "ada", "mine": True, "type": "C", "memory_bytes": 1, "cwd": None}
    process |= {"elapsed_s": 60.0, "started": "2030-12-31T23:59:00+00:00", "command": ["x"], "name": "x"}
    record = {"schema": 1, "source": "nvml", "simulated": False, "at": "2031-01-01T00:00:00+00:00"}
    record |= {"problem": None, "gpus": [], "processes": [process | {"missing": {}}]}
    lab.add("gpu1", f"#!/bin/sh\ncat <<'END'\n{json.dumps(record)}\nEND\n")
    view = opened().read()
    (host,) = view.hosts
    assert abs(host.detail.processes[0].started - (time.time() - 60)) < 50  # by our own clock
    assert abs(view.at + host.clock - host.oldest_start - 60) < 50
    assert host.clock > 1e6
    assert view.notes == ("the clock of 1 host is off: gpu1",)
