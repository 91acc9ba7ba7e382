"""The two archives and the wheel's own life: what is in them, and that it works without the checkout."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.driver.scenario import FakeGpu, FakeProcess, Scenario
from tests.support.installed import MIB, Installed, busy
from tests.support.mailserver import MailServer
from tests.support.workers import workers

ROOT = Path(__file__).parent.parent
SECRETS = (
    "secret/token.json",
    "secret/credentials.json",
    "secret/backup/token.json",
    "config/smtp.env",
    "config/gpu-watch.env",
)


@pytest.fixture(scope="session")
def archives(tmp_path_factory):
    """The wheel and the sdist, built from a copy of the checkout in which a person's secrets lie."""
    place = tmp_path_factory.mktemp("dist")
    tree, out = place / "tree", place / "out"
    shutil.copytree(ROOT, tree, ignore=shutil.ignore_patterns(".*", "__pycache__", "build", "dist"))
    shutil.copy(ROOT / ".gitignore", tree)
    for secret in SECRETS:
        (tree / secret).parent.mkdir(exist_ok=True)
        (tree / secret).write_text("a secret")
    subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", out, tree],
        check=True,
        capture_output=True,
        timeout=120,
    )
    (wheel,), (sdist,) = out.glob("*.whl"), out.glob("*.tar.gz")
    return wheel, sdist


@pytest.fixture(scope="session")
def script(archives, tmp_path_factory):
    """The console script of the wheel, in an environment that has the dependencies but not the checkout."""
    place = tmp_path_factory.mktemp("wheel") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", place], check=True, timeout=60)
    python = place / "bin/python"
    subprocess.run(
        [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", archives[0]],
        check=True,
        timeout=120,
    )
    packages = place / "lib" / f"python{sysconfig.get_python_version()}" / "site-packages"
    # a path in a .pth file adds the folder alone, not the editable install that stands in it
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return place / "bin/gpuwatch-tray"


def names(archive):
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            return wheel.namelist()
    with tarfile.open(archive) as sdist:
        return [name.partition("/")[2] for name in sdist.getnames()]


def test_neither_archive_holds_a_secret(archives):
    """No settings file and no Google file of the one who builds is packed."""
    for archive in archives:
        packed = names(archive)
        assert not [name for name in packed if name.endswith((".env", ".json"))]
        assert [name for name in packed if name.endswith("gpu-watch.env.example")]
        assert [name for name in packed if name.endswith("icons/ok-32.png")]
        for part in ("page.html", "main.js", "vendor/uPlot.iife.min.js", "vendor/uPlot.LICENSE"):
            assert [name for name in packed if name.endswith(f"report/assets/{part}")]
        assert [name for name in packed if name.endswith("locale/zh_CN/LC_MESSAGES/gpuwatch_tray.mo")]


def test_the_source_archive_holds_the_pages_in_both_languages(archives):
    """Who has no checkout can read the documentation all the same."""
    packed = names(archives[1])
    assert {page.relative_to(ROOT).as_posix() for page in ROOT.glob("docs/*.md")} <= set(packed)
    assert {"README.md", "README.zh-CN.md", "docs/architecture.md", "secret/README.md"} <= set(packed)


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_git_takes_no_secret(tmp_path):
    """All of secret/ and its folders is ignored, save the README; so are the settings files."""
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True, timeout=60)
    shutil.copy(ROOT / ".gitignore", tmp_path)
    kept = ["secret/README.md", "config/smtp.env.example"]
    for name in (*SECRETS, *kept):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    command = ["git", "-C", tmp_path, "ls-files", "--others", "--exclude-standard"]
    found = subprocess.check_output(command, text=True, timeout=60).split()
    assert sorted(found) == sorted([".gitignore", *kept])


def test_the_wheel_has_both_entry_points(archives):
    """A console script for every system, and a windowed one for Windows."""
    with zipfile.ZipFile(archives[0]) as wheel:
        (entry,) = [name for name in wheel.namelist() if name.endswith("entry_points.txt")]
        text = wheel.read(entry).decode()
    assert "[console_scripts]\ngpuwatch-tray = gpuwatch_tray.__main__:main" in text
    assert "[gui_scripts]\ngpuwatch-trayw = gpuwatch_tray.__main__:main" in text


@pytest.mark.driver
def test_the_wheel_does_the_main_commands(script, tmp_path):
    """ps, check, --dry-run and --test-mail work from a wheel as from the checkout."""
    installed = Installed(tmp_path, script=script)
    where = subprocess.check_output(
        [script.with_name("python"), "-c", "import gpuwatch_tray as g; print(g.__file__)"],
        text=True,
        cwd=tmp_path,
    )
    assert str(ROOT) not in where
    with workers(tmp_path, ["train.py"], ["eval.py"]) as (one, two), MailServer() as server:
        installed.mail_through(server)
        installed.play(Scenario(gpus=[FakeGpu.numbered(0, FakeProcess(one.pid, MIB))]))
        assert installed.run("ps").stdout.startswith(f"GPU=0  MEM=1MiB  PID={one.pid}  ETIME=00:")
        installed.play(busy(one.pid, two.pid))
        assert installed.run("check", "--dry-run").stdout.startswith("=== DRY RUN (not sending) ===\n")
        assert installed.run("check", "--test-mail").returncode == 0
        assert installed.run("check").returncode == 0
        assert installed.run("check").returncode == 0
        assert len(server.messages) == 2


def test_the_tray_process_loads_no_mail_library():
    """What only the sending child needs is not in the tray's memory."""
    code = (
        "import sys, gpuwatch_tray.app.tray_app, gpuwatch_tray.tray.backends.statusnotifier\n"
        "import gpuwatch_tray.sources.nvml, gpuwatch_tray.notify.desktop_popups\n"
        "heavy = ('smtplib', 'email.message', 'googleapiclient', 'google_auth_oauthlib', 'rich', 'apprise')\n"
        "heavy += ('requests', 'keyring', 'gpuwatch_tray.notify.chat')\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    answer = subprocess.check_output([sys.executable, "-c", code], text=True)
    assert answer == "[]\n"
