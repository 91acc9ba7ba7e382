"""A made-up checkout and home to load settings from."""

from __future__ import annotations

from pathlib import Path

from msgspec.structs import replace

from gpuwatch_tray.model.schema import IGNORE_PROCESSES
from gpuwatch_tray.settings import ConfigProblem, Settings, SettingsFolders, load
from gpuwatch_tray.settings.validators import parse

DESKTOP_PROGRAMS = parse(IGNORE_PROCESSES, IGNORE_PROCESSES.default)
WATCH, NOTIFY, SMTP, LAB = "gpu-watch.env", "notify.env", "smtp.env", "lab.env"
SMTP_TEXT = "SMTP_HOST=mail.example.org\nSMTP_USER=labuser\nSMTP_PASS='abcd efgh'\n"


class House:
    """A checkout (unless `installed`) and a user's folders below `root`; write files, then load."""

    def __init__(self, root: Path, *, installed: bool = False) -> None:
        self.root = root
        self.checkout = root / "checkout"
        self.user = root / "user"
        self.places = SettingsFolders(
            None if installed else self.checkout, self.user, root / "state", str(root / "home"), root / "log"
        )
        for folder in (self.checkout / "config", self.user):
            folder.mkdir(parents=True)

    def write(self, name: str, content: str | bytes, *, user: bool = False) -> Path:
        """Write config/NAME of the checkout, or NAME of the user's folder."""
        file = (self.user if user else self.checkout / "config") / name
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        file.chmod(0o600)
        return file

    def load(self, **environ: str) -> tuple[Settings, list[str]]:
        """Load the settings, and the problems as they are shown."""
        settings, problems = self.problems(**environ)
        return settings, [str(problem) for problem in problems]

    def problems(self, **environ: str) -> tuple[Settings, tuple[ConfigProblem, ...]]:
        """Load the settings and the problems."""
        return load(environ, self.places)

    def settings(self, **environ: str) -> Settings:
        """Load the settings, which have to be without a problem."""
        settings, problems = self.load(**environ)
        assert problems == []
        return settings

    def meaning(self) -> Settings:
        """Load the same without the file's name and the line that names it where there is no recipient."""
        return replace(self.settings(), no_recipient="", config=Path())
