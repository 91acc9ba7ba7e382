"""`export` and `setup prometheus` as a user runs them: a made-up driver, real sockets, a real Prometheus."""

from __future__ import annotations

import getpass
import re
import signal
import socket
import threading
from contextlib import ExitStack, closing, contextmanager, suppress
from http.client import HTTPConnection, HTTPException

import pytest
import trustme

from gpuwatch_tray.lab.source import open_lab
from gpuwatch_tray.model import UNKNOWN, HostState
from gpuwatch_tray.settings import LabSettings
from tests.driver.scenario import MIB, FakeEvent, FakeGpu, FakeProcess, Scenario, calls_in
from tests.support.installed import Installed, busy, closed_port
from tests.support.prometheus import Prometheus
from tests.support.promtool import promtool
from tests.support.timing import wait_until

pytestmark = pytest.mark.driver
CANARY = "hf_canary0123456789abcdefghijkl"  # in the command of the first of `two`


@contextmanager
def exporting(installed, *words):
    """A running `export`, past its first line."""
    running = installed.start("export", *words)
    try:
        assert running.stdout is not None
        running.greeting = running.stdout.readline()
        yield running
    finally:
        if running.poll() is None:
            running.terminate()
        running.said = running.communicate(timeout=60)


def port_of(running):
    return int(re.search(r":(\d+)/metrics", running.greeting)[1])


def scrape(port):
    with closing(HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        connection.request("GET", "/metrics")
        return connection.getresponse().read().decode()


def values(text, name):
    """The values of a metric by its labels."""
    found = re.findall(rf"^gpuwatch_{name}(\{{.*\}})? (\S+)$", text, re.MULTILINE)
    return {labels: float(value) for labels, value in found}


def reads(port):
    return values(scrape(port), "reading_ok")[""]


def test_once_prints_what_promtool_takes(installed, two):
    """The metrics of the driver's GPUs and processes, without a command line or a folder."""
    installed.play(busy(*two))
    done = installed.run("export", "--once")
    assert (done.returncode, done.stderr) == (0, "")
    assert promtool("check", "metrics", told=done.stdout) == (0, "")
    assert values(done.stdout, "reading_ok") == {"": 1}
    assert values(done.stdout, "alerts_evaluated") == {"": 0}
    assert len(values(done.stdout, "process_memory_bytes")) == 2
    assert values(done.stdout, "gpus_visible") == {"": 2}
    for secret in (CANARY, "train.py", str(installed.folder)):
        assert secret not in done.stdout


@pytest.mark.configured(GPU_LIMIT=1, POLL_SEC=1)
def test_with_a_running_watch_the_driver_is_not_asked_again(installed, two):
    """The rows are those of `watch`, with the alert that it has; after its end the exporter reads itself."""
    installed.play(busy(*two))
    with exporting(installed, "--listen", "127.0.0.1:0") as running:
        port = port_of(running)
        with installed.watching():
            wait_until(lambda: values(scrape(port), "alert"), "the alert is told")
            text = scrape(port)
            assert values(text, "alerts_evaluated") == {"": 1}
            assert values(text, "alert") == {'{gpu="",rule="gpu_limit",severity="warning"}': 1}
            assert len(values(text, "user_gpus")) == 1
            calls = installed.folder / "calls"
            installed.play(Scenario(gpus=busy(*two).gpus, calls=str(calls)))
            wait_until(lambda: calls_in(calls)["count"] > 1, "watch reads")
            with exporting(installed, "--listen", "127.0.0.1:0") as other:
                assert reads(port_of(other)) == 1
            assert calls_in(calls)["init"] == 0
        wait_until(lambda: values(scrape(port), "alerts_evaluated") == {"": 0}, "it reads by itself")
        wait_until(lambda: reads(port) == 1, "the GPUs are told")
    assert running.returncode == 0


def test_a_driver_that_hangs_makes_it_blind_and_holds_up_neither_a_scrape_nor_the_end(installed, two):
    """Neither GPU nor process is told while it does, all are afterwards; a signal need not wait for it."""
    well = busy(*two)
    installed.play(well)
    with exporting(installed, "--listen", "127.0.0.1:0") as running:
        port = port_of(running)
        assert reads(port) == 1
        installed.play(Scenario(gpus=well.gpus, hang={"temperature": 3600.0}))
        wait_until(lambda: reads(port) == 0, "the hang is told")
        text = scrape(port)
        assert not re.search(r"^gpuwatch_(gpu|user|process)", text, re.MULTILINE)
        assert values(text, "last_reading_timestamp_seconds")
        assert promtool("check", "metrics", told=text) == (0, "")
        installed.play(well)
        wait_until(lambda: reads(port) == 1, "it reads again")
        calls = installed.folder / "calls"
        installed.play(Scenario(gpus=well.gpus, hang={"temperature": 3600.0}, calls=str(calls)))
        asking = threading.Thread(target=keep_scraping, args=(port,))
        asking.start()
        wait_until(lambda: calls_in(calls)["utilisation"], "the driver hangs, in the call after this")
        running.terminate()
        running.wait(60)
        asking.join(60)
    assert running.returncode == 0
    assert "the reading works again" in running.said[1]


def keep_scraping(port):
    """Scrape until who answers is ended."""
    with suppress(OSError, HTTPException):
        while True:
            scrape(port)


@pytest.mark.configured(POLL_SEC=1)
def test_what_hangs_under_watch_or_in_it_is_told(installed, two):
    """A running program that knows its reading to be stale, or that does not answer: no GPU is told by it."""
    installed.play(busy(*two))
    with installed.watching() as watch, exporting(installed, "--listen", "127.0.0.1:0") as running:
        port = port_of(running)
        assert values(scrape(port), "alerts_evaluated") == {"": 1}
        installed.play(Scenario(gpus=busy(*two).gpus, hang={"temperature": 3600.0}))
        wait_until(lambda: reads(port) == 0, "the driver's hang is told")
        assert not values(scrape(port), "gpu_free")
        installed.play(busy(*two))
        wait_until(lambda: reads(port) == 1, "it reads again")
        watch.send_signal(signal.SIGSTOP)  # it may know more than who reads past it
        try:
            wait_until(lambda: reads(port) == 0, "its own hang is told")
            assert not values(scrape(port), "gpu_free")
        finally:
            watch.send_signal(signal.SIGCONT)
        wait_until(lambda: reads(port) == 1, "it answers again")


def test_a_process_list_is_offered_as_far_as_it_goes(installed):
    """MYGPU's program lists what is in use: how many GPUs there are, and who else computes, is not known."""
    lines = (
        "GPU=0  MEM=100MiB  PID=11  ETIME=01:00\n  CWD: /x\n  CMD: python train.py --token hunter22hunter\n"
    )
    (installed.folder / "list").write_text(lines)
    done = installed.run("export", "--once", MYGPU=f"cat {installed.folder / 'list'}")
    assert (done.returncode, done.stderr) == (0, "")
    assert promtool("check", "metrics", told=done.stdout) == (0, "")
    assert values(done.stdout, "reading_ok") == {"": 1}
    assert len(values(done.stdout, "process_memory_bytes")) == 1
    assert [*values(done.stdout, "gpu_free").values()] == [0]
    assert values(done.stdout, "user_list_complete") == {"": 0}
    for name in ("gpus_visible", "gpus_expected", "gpu_healthy", "gpu_processes"):
        assert not values(done.stdout, name)
    for secret in ("train.py", "hunter22", "/x"):
        assert secret not in done.stdout


def test_a_lost_gpu_of_the_inventory_is_missed(installed):
    """What `check` has put on file is expected: a GPU fewer is none that was never there."""
    assert installed.run("check", "--source", "nvml").returncode in {0, 1}
    installed.play(Scenario(gpus=[FakeGpu.numbered(0)]))
    text = installed.run("export", "--once").stdout
    assert values(text, "gpus_visible") == {"": 1}
    assert values(text, "gpus_expected") == {"": 2}


def test_xids_are_counted(installed):
    """Each that the driver reports adds one; the number that it has is a label."""
    with exporting(installed, "--listen", "127.0.0.1:0") as running:
        port = port_of(running)
        first = values(scrape(port), "last_reading_timestamp_seconds")
        # From the second reading on it listens.
        wait_until(lambda: values(scrape(port), "last_reading_timestamp_seconds") != first, "it reads again")
        assert not values(scrape(port), "gpu_xid_total")
        uuid = FakeGpu.numbered(0).uuid
        installed.play(
            Scenario(
                gpus=[FakeGpu.numbered(0), FakeGpu.numbered(1)],
                events=[FakeEvent(1, uuid, 31), FakeEvent(2, uuid, 31)],
            )
        )
        told = f'{{code="31",gpu="0",uuid="{uuid}"}}'
        wait_until(lambda: values(scrape(port), "gpu_xid_total").get(told) == 2, "both are counted")


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGHUP"])
def test_a_signal_ends_it(installed, name):
    """At once, with 0 and without a word."""
    with exporting(installed, "--listen", "127.0.0.1:0") as running:
        running.send_signal(getattr(signal, name))
        running.wait(60)
    assert (running.returncode, running.said) == (0, ("", ""))


def test_a_port_that_is_taken_is_one_line(installed):
    """It names the address; the exit code is 1."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = installed.run("export", "--listen", f"127.0.0.1:{port}")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"gpuwatch-tray: 127.0.0.1:{port} cannot be used: Address already in use (another `gpuwatch-tray"
        " export`? --listen takes another port)\n"
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--listen", "0.0.0.0:9836"], "0.0.0.0 can be reached from the network"),
        (["--listen", "[::]:9836"], ":: can be reached from the network"),
        (["--listen", "9836"], "expected an address and a port"),
        (["--listen", "127.0.0.1:99999"], "expected an address and a port"),
        (["--tls-key", "x"], "need --tls-cert"),
        (["--textfile", "x", "--tls-cert", "x"], "--tls-cert is for --listen"),
        (["--textfile", "x", "--listen", "127.0.0.1:1"], "not allowed with argument"),
        (["--demo"], "simulated GPUs are not offered"),
    ],
)
def test_wrong_use_is_told(installed, words, said):
    """With 2, before anything is opened or read."""
    done = installed.run("export", *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr


def test_the_network_is_served_where_that_is_accepted(installed):
    """--unencrypted is the word for it."""
    with exporting(installed, "--listen", "0.0.0.0:0", "--unencrypted") as running:
        assert reads(port_of(running)) == 1


def test_a_file_for_node_exporter(installed, two):
    """It is there at the first line, for everybody, without a clock; in the end it says that nobody reads."""
    installed.play(busy(*two))
    file = installed.folder / "gpuwatch.prom"
    with exporting(installed, "--textfile", str(file)) as running:
        text = file.read_text()
        assert promtool("check", "metrics", told=text) == (0, "")
        assert values(text, "reading_ok") == {"": 1}
        assert len(values(text, "gpu_free")) == 2
        assert "host_clock" not in text
        assert file.stat().st_mode & 0o777 == 0o644
        running.terminate()
        running.wait(60)
        text = file.read_text()
        assert values(text, "reading_ok") == {"": 0}
        assert values(text, "last_reading_timestamp_seconds")
        assert not re.search(r"^gpuwatch_(gpu|user|process)", text, re.MULTILINE)
    assert (running.returncode, running.said[1]) == (0, "")


def test_a_file_once_is_for_cron(installed):
    """It is written and left as it is."""
    file = installed.folder / "gpuwatch.prom"
    done = installed.run("export", "--textfile", str(file), "--once")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert values(file.read_text(), "reading_ok") == {"": 1}


def test_a_file_that_cannot_be_written_is_one_line(installed):
    """It names the file and why; the exit code is 1."""
    done = installed.run("export", "--textfile", str(installed.folder / "missing" / "x.prom"))
    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch(
        r"gpuwatch-tray: \S+missing/x.prom cannot be written: No such file or directory\n", done.stderr
    )


def test_the_settings_choose_names_and_numbers(installed, two):
    """EXPORT_USERS and EXPORT_PROCESSES of lab.env, in what a running `watch` tells too."""
    installed.play(Scenario(gpus=[FakeGpu(processes=[FakeProcess(pid, MIB) for pid in two])]))
    installed.write("lab.env", "EXPORT_USERS=none\nEXPORT_PROCESSES=1\n")

    def check(text):
        assert not values(text, "user_gpus")
        assert values(text, "user_list_complete") == {"": 0}
        (labels,) = values(text, "process_memory_bytes")
        assert 'user=""' in labels
        assert 'users="none"' in text

    check(installed.run("export", "--once").stdout)
    with installed.watching():
        check(installed.run("export", "--once").stdout)


def test_the_printed_configuration_and_rules_are_taken(installed, tmp_path):
    """By promtool; the machines are those of the command line, else LAB_HOSTS, the limits the settings'."""
    installed.write("lab.env", 'LAB_HOSTS="ada@h7 h8"\nLAB_JOB=gpus\nLAB_GPU_LIMIT=5\n')
    config, rules = tmp_path / "prometheus.yml", tmp_path / "gpuwatch.rules.yml"
    config.write_text(installed.run("setup", "prometheus").stdout)
    rules.write_text(installed.run("setup", "prometheus", "--rules").stdout)
    code, said = promtool("check", "config", config)
    assert code == 0, said
    assert "rules found" in said
    assert '"h7:9836"' in config.read_text()
    assert "> 5" in rules.read_text()
    assert 'up{job=\\"gpus\\"}' in rules.read_text()
    named = installed.run("setup", "prometheus", "h1", "h2:9000").stdout
    assert '"h1:9836"' in named
    assert '"h2:9000"' in named
    assert "h7" not in named
    assert installed.run("setup", "prometheus", "--rules", "h1").returncode == 2
    assert installed.run("setup", "prometheus", "a b").returncode == 2


class Printed(Prometheus):
    """A Prometheus with what `setup prometheus` prints, at a pace of a second; `tls`: files beside it."""

    def __init__(self, installed, *targets, **tls):
        super().__init__()
        self._installed, self._targets, self._tls = installed, targets, tls

    def set_up(self):
        super().set_up()
        printed = self._installed.run("setup", "prometheus", *self._targets).stdout
        config = printed.replace("interval: 15s", "interval: 1s").replace(
            "1s\n\nrule", "1s\n  scrape_timeout: 1s\n\nrule"
        )
        if self._tls:
            config = re.sub(
                r"^    # ((?:scheme|tls_config|  \w+_file):)", r"    \1", config, flags=re.MULTILINE
            )
            for name, pem in self._tls.items():
                pem.write_to_path(self.folder / name)
        (self.folder / "prometheus.yml").write_text(config)
        rules = self._installed.run("setup", "prometheus", "--rules").stdout
        (self.folder / "gpuwatch.rules.yml").write_text(rules)

    def only(self, query):
        """The labels and the value of the one row; None where there is none."""
        rows = self.ask(query)
        return (rows[0]["metric"], float(rows[0]["value"][1])) if rows else None


@pytest.fixture
def machines(tmp_path, installed, two):
    """Three machines, of which two tell users as EXPORT_USERS has them, and what reads them as printed."""
    gpus = [*busy(*two).gpus, FakeGpu.numbered(2)]
    installed.set_up(GPU_LIMIT=1, POLL_SEC=1)
    installed.play(Scenario(gpus=gpus))
    with ExitStack() as stack:
        ports = {name: closed_port() for name in ("localhost", "127.0.0.1", "127.0.0.2")}
        # Its first scrape comes five seconds after its start: the others start meanwhile.
        targets = [f"{name}:{port}" for name, port in ports.items()]
        prometheus = stack.enter_context(Printed(installed, *targets))
        for name, users in (("127.0.0.1", "hashed"), ("127.0.0.2", "none")):
            (tmp_path / users).mkdir()
            other = Installed(tmp_path / users)
            other.play(busy(*two))
            other.write("lab.env", f"EXPORT_USERS={users}\n")
            stack.enter_context(exporting(other, "--listen", f"{name}:{ports[name]}"))
        stack.enter_context(installed.watching())
        running = stack.enter_context(exporting(installed, "--listen", f"127.0.0.1:{ports['localhost']}"))
        yield prometheus, running, gpus


def test_a_real_prometheus_and_the_desk_read_it(installed, machines, two, tmp_path):
    """As printed: from the driver to the lab, GPUs, users, alert and detail; no loss ends or frees any."""
    prometheus, running, gpus = machines
    here = '{instance="localhost"}'
    labels, value = wait_until(lambda: prometheus.only(f"gpuwatch_gpus_visible{here}"), "it is scraped")
    assert (labels["job"], labels["instance"], value) == ("gpuwatch", "localhost", 3)
    assert len(prometheus.ask(f"gpuwatch_gpu_memory_used_bytes{here}")) == 3
    assert prometheus.only(f"sum(gpuwatch_user_gpus{here})")[1] == 2
    assert prometheus.only(f"sum(gpuwatch_gpu_free{here})")[1] == 1
    assert abs(prometheus.only(f"gpuwatch_host_clock_timestamp_seconds{here} - time()")[1]) < 60
    firing = 'ALERTS{alertname="GpuwatchAlert", alertstate="firing"}'
    labels, _value = wait_until(lambda: prometheus.only(firing), "the alert fires there")
    assert (labels["rule"], labels["severity"]) == ("gpu_limit", "warning")

    settings = LabSettings(prometheus=(prometheus.url,), pins=("localhost",))
    with closing(open_lab(settings, getpass.getuser(), tmp_path / "silences.json")) as lab:

        def host(name, *states):
            (only,) = [each for each in lab.read().hosts if each.name == name] or [None]
            return only if only is not None and only.state in states else None

        seen = wait_until(lambda: host("localhost", HostState.OK), "the host is known")
        assert (seen.gpus, seen.expected, seen.free, seen.mine) == (3, 3, 1, 2)
        assert seen.largest_free == gpus[2].memory_total - gpus[2].memory_used
        assert wait_until(lambda: host("localhost", HostState.OK).firing, "its alert is known")
        detail = lab.detail("localhost")
        assert [gpu.uuid for gpu in detail.gpus] == [gpu.uuid for gpu in gpus]
        assert {process.pid for process in detail.processes} == set(two)

        # By what stands for the name too; where users are not told it is unknown, and not none.
        for name, mine in (("127.0.0.1", 2), ("127.0.0.2", UNKNOWN)):
            other = wait_until(lambda name=name: host(name, HostState.OK), "the host is known")
            assert (other.gpus, other.mine) == (2, mine)

        installed.play(Scenario(gpus=gpus, hang={"temperature": 3600.0}))
        assert wait_until(lambda: host("localhost", HostState.BLIND), "it is blind").free == UNKNOWN
        running.terminate()
        running.wait(60)
        assert wait_until(lambda: host("localhost", HostState.DOWN), "it is down").free == UNKNOWN
    assert prometheus.only(f"up{here}")[1] == 0
    assert not prometheus.only(f"gpuwatch_gpu_free{here}")
    assert prometheus.only(firing), "the loss of the data has not ended the alert"
    installed.play(Scenario(gpus=gpus))


def test_a_prometheus_with_a_certificate_gets_in(installed, two):
    """The lines for TLS of the printed configuration are right; one without a certificate gets nothing."""
    authority, folder = trustme.CA(), installed.folder
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(folder / "host.pem")
    authority.cert_pem.write_to_path(folder / "ca.pem")
    client = authority.issue_cert("prometheus@lab.example")
    files = {
        "our-lab.pem": authority.cert_pem,
        "prometheus.pem": client.cert_chain_pems[0],
        "prometheus.key": client.private_key_pem,
    }
    installed.play(busy(*two))
    tls = ["--tls-cert", str(folder / "host.pem"), "--tls-client-ca", str(folder / "ca.pem")]
    with exporting(installed, "--listen", "0.0.0.0:0", *tls) as running:
        port = port_of(running)
        assert running.greeting.startswith("Prometheus can ask at https://0.0.0.0:")
        with Printed(installed, f"localhost:{port}", **files) as prometheus:
            assert wait_until(lambda: prometheus.only("gpuwatch_gpus_visible"), "it is scraped")[1] == 2
        with pytest.raises((OSError, HTTPException)):
            scrape(port)
