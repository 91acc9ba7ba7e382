"""
Build the Debian package: `make deb`, as any user, on the Debian or Ubuntu release that it is for.

What pip installs lies with all its libraries in an environment below /usr/lib/gpuwatch-tray, on the release's
own python3; nothing of the distribution's Python packages is used, and nothing of ours is in their way.
Beside it stand the files that `setup desktop` puts into a user's folder, for everybody, and the unit.

    python packaging/deb.py WHEEL FOLDER      prints the path of the package
"""

from __future__ import annotations

import gzip
import shutil
import subprocess
import sys
from pathlib import Path

from gpuwatch_tray import __version__
from gpuwatch_tray.cli.docs import completion_script, generate_docs
from gpuwatch_tray.cli.parser import build_parser
from gpuwatch_tray.desktop import entries

ROOT = Path(__file__).resolve().parent.parent
NAME = "gpuwatch-tray"
HOME = Path("usr/lib") / NAME
PROGRAM = f"/usr/bin/{NAME}"
PYTHON = "/usr/bin/python3"  # of the distribution, whatever else is in PATH
SCRIPT = f"""\
#!/{HOME}/bin/python -P
import sys

from gpuwatch_tray.__main__ import main

sys.exit(main())
"""
GMAIL = "gmail.v1.json"  # what notify/email/gmail.py builds its service from
CONTROL = """\
Package: {name}
Version: {version}
Architecture: {architecture}
Maintainer: gpuwatch-tray <gpuwatch-tray@example.org>
Installed-Size: {size}
Depends: python3 (>= {python}), python3 (<< {next})
Recommends: xdg-utils, xclip | wl-clipboard
Section: utils
Priority: optional
Description: watch the NVIDIA GPUs of this machine from the tray
 A tray watchdog for workstations with NVIDIA GPUs: an icon by rule status, the
 process list on a right click, popups with buttons, and an email when nobody is
 at the desk or reacts. Without a desktop the same watch runs as a service.
"""


def main(wheel: Path, folder: Path) -> Path:
    """Lay the files out in `folder`, and pack them."""
    tree = folder / "root"
    shutil.rmtree(tree, ignore_errors=True)
    python = _environment(tree, wheel)
    _share(tree / "usr/share")
    _write(tree / "usr/lib/systemd/user" / f"{NAME}.service", entries.systemd_unit((PROGRAM,)).encode())
    link = tree / PROGRAM.lstrip("/")
    link.parent.mkdir(parents=True)
    link.symlink_to(f"/{HOME}/bin/{NAME}")
    for each in (tree, *tree.rglob("*")):
        if not each.is_symlink():
            each.chmod(0o755 if each.is_dir() or each.stat().st_mode & 0o100 else 0o644)
    architecture = _told("dpkg", "--print-architecture")
    size = sum(each.stat().st_size for each in tree.rglob("*") if each.is_file()) // 1024
    major, minor = python
    control = CONTROL.format(
        name=NAME,
        version=__version__,
        architecture=architecture,
        size=size,
        python=f"{major}.{minor}",
        next=f"{major}.{minor + 1}",
    )
    _write(tree / "DEBIAN/control", control.encode())
    package = folder / f"{NAME}_{__version__}_{architecture}.deb"
    _told("dpkg-deb", "--root-owner-group", "--build", tree, package)
    shutil.rmtree(tree)
    return package


def _environment(tree: Path, wheel: Path) -> tuple[int, int]:
    """Install our libraries in the tested versions; return the version of the Python that they are for."""
    home = tree / HOME
    _told(PYTHON, "-m", "venv", "--without-pip", home)
    version = _told(home / "bin/python", "-c", "import sys; print(*sys.version_info[:2])").split()
    constraint = ["--constraint", ROOT / "requirements.lock"]
    pip = [sys.executable, "-m", "pip", "--python", home / "bin/python", "--disable-pip-version-check"]
    _told(*pip, "install", "--quiet", "--no-compile", *constraint, f"{wheel}[chat]")
    # What names the folder in which it was built: activation scripts, other libraries' programs, notes.
    for path in (home / "bin").iterdir():
        if not path.name.startswith("python"):
            path.unlink()
    for note in home.rglob("direct_url.json"):
        note.unlink()
    _leave_out_unused(home)
    _write(home / "bin" / NAME, SCRIPT.encode())
    (home / "bin" / NAME).chmod(0o755)
    notes = (home / "pyvenv.cfg").read_text().splitlines()
    kept = [line for line in notes if not line.startswith("command")]
    (home / "pyvenv.cfg").write_text("\n".join([*kept, ""]))
    _told(home / "bin/python", "-m", "compileall", "-q", "-s", tree, "-p", "/", home / "lib")
    return int(version[0]), int(version[1])


def _leave_out_unused(home: Path) -> None:
    """Leave out Google's descriptions of the services that are not called: over 100 MB of JSON."""
    (documents,) = home.rglob("googleapiclient/discovery_cache/documents")
    gmail = documents / GMAIL
    if not gmail.is_file():
        raise FileNotFoundError(gmail)  # renamed: the package would have no Gmail
    for document in documents.iterdir():
        if document != gmail:
            document.unlink()


def _share(share: Path) -> None:
    top = build_parser()
    documents = generate_docs(top)
    for name, data in entries.desktop_files((PROGRAM,), documents).items():
        if name.startswith("man/"):  # Debian's are compressed
            _write(share / f"{name}.gz", gzip.compress(data, mtime=0))
        else:
            _write(share / name, data)
    _write(share / f"zsh/vendor-completions/_{NAME}", completion_script(top, "zsh").encode())
    _write(share / f"doc/{NAME}/copyright", (ROOT / "LICENSE").read_bytes())
    _write(share / f"doc/{NAME}/changelog.gz", gzip.compress((ROOT / "CHANGELOG.md").read_bytes(), mtime=0))


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def _told(*command: str | Path) -> str:
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


if __name__ == "__main__":
    print(main(Path(sys.argv[1]), Path(sys.argv[2])))  # noqa: T201  # the program's answer
