"""A driver whose files are replaced while this program and its session go on."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gpuwatch_tray.model import Limits
from gpuwatch_tray.rules import judge
from gpuwatch_tray.sources.nvml.session import ReplacementCheck
from tests.driver.build import SONAME, library
from tests.driver.scenario import FakeGpu, Scenario, environment
from tests.support.fakes import snapshot

OLD, NEW = "550.54.14", "560.35.03"

READ = """
import sys
from pathlib import Path
from gpuwatch_tray.sources.nvml import NvmlSource
source = NvmlSource(module_version=Path(sys.argv[1]))
for _ in sys.stdin:
    for _ in range(12):
        snapshot = source.read()
    print(len(snapshot.gpus), snapshot.problem, snapshot.mismatch, flush=True)
"""


def install(folder, version):
    """Make what a package has: the library named after its version, and the link that programs open."""
    folder.mkdir(exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    shutil.copy(library(), folder / f"libnvidia-ml.so.{version}")
    (folder / SONAME).symlink_to(f"libnvidia-ml.so.{version}")


@pytest.fixture
def loaded(tmp_path):
    """Make the folder of an old library that a process has loaded, and that process's view of it."""
    install(tmp_path / "lib", OLD)
    (tmp_path / "version").write_text(f"{OLD}\n")
    (tmp_path / "maps").write_text(
        "55d0-55d1 r--p 00000000 08:01 1  /usr/bin/python3.11\n"
        f"7f00-7f01 r-xp 00000000 08:01 2  {tmp_path}/lib/libnvidia-ml.so.{OLD} (deleted)\n"
    )
    return tmp_path


def seen(folder):
    return ReplacementCheck(folder / "version", folder / "maps").check()


@pytest.mark.driver
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_an_upgrade_is_noticed_by_a_session_that_goes_on(tmp_path):
    """The GPUs are read all the same by the library that was loaded; after the reboot's mend it is over."""
    lib, version = tmp_path / "lib", tmp_path / "version"
    install(lib, OLD)
    version.write_text(f"{OLD}\n")
    path = Scenario(gpus=[FakeGpu.numbered(0)]).write(tmp_path / "scenario")
    variables = environment(path) | {"LD_LIBRARY_PATH": str(lib)}
    with subprocess.Popen(
        [sys.executable, "-c", READ, str(version)],
        env=variables,
        cwd=Path(__file__).parents[2],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as child:

        def told():
            child.stdin.write("\n")
            child.stdin.flush()
            return child.stdout.readline()

        assert told() == "1 None None\n"
        install(lib, NEW)
        assert told() == (
            f"1 None the NVIDIA driver was replaced while running (library {NEW}, kernel module {OLD})"
            " (reboot needed; running jobs continue, new ones fail)\n"
        )
        install(lib, OLD)  # taken back
        assert told() == "1 None None\n"
        child.communicate()


@pytest.mark.driver
def test_what_cannot_be_compared_is_no_mismatch(loaded):
    """A link that is gone in the midst of an upgrade, a name without a version, no module, no maps."""
    install(loaded / "lib", NEW)
    assert seen(loaded) is not None
    (loaded / "lib" / SONAME).unlink()
    assert seen(loaded) is None
    (loaded / "lib" / SONAME).write_bytes(b"")
    assert seen(loaded) is None
    install(loaded / "lib", NEW)
    (loaded / "version").unlink()
    assert seen(loaded) is None
    (loaded / "version").write_text(OLD)
    (loaded / "maps").write_text("")
    assert seen(loaded) is None
    (loaded / "maps").unlink()
    assert seen(loaded) is None


@pytest.mark.driver
def test_the_disk_is_looked_at_once_a_minute(loaded):
    """At the default interval; in between the last look stands."""
    replaced = ReplacementCheck(loaded / "version", loaded / "maps")
    assert replaced.check() is None
    install(loaded / "lib", NEW)
    assert [replaced.check() is None for _ in range(12)] == [True] * 11 + [False]
    assert replaced.check() is not None


@pytest.mark.driver
def test_the_warning_says_what_to_do_and_ends_with_it(loaded):
    """The rule goes by it, although everything can be read."""
    install(loaded / "lib", NEW)
    limits = Limits()
    told = []
    for mismatch, count in ((seen(loaded), 1), (None, 0)):
        verdicts = {verdict.rule: verdict for verdict in judge(snapshot(mismatch=mismatch), limits)}
        found = verdicts["driver_mismatch"]
        assert (len(found.findings), found.unknown) == (count, None)
        assert not verdicts["monitor_blind"].findings
        told += [finding.text for finding in found.findings]
    assert "reboot needed" in told[0]
