"""A keyring in a file, for programs that are run by themselves: a real backend of the library."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


BACKEND = """
import json, pathlib, sys
from keyring.backend import KeyringBackend
from keyring.errors import PasswordDeleteError
FILE = pathlib.Path(__file__).with_suffix(".json")
class Keyring(KeyringBackend):
    priority = 1
    name = "a test's keyring"
    def _kept(self):
        return json.loads(FILE.read_text()) if FILE.exists() else {}
    def get_password(self, service, username):
        return self._kept().get(f"{service}/{username}")
    def set_password(self, service, username, password):
        FILE.write_text(json.dumps({**self._kept(), f"{service}/{username}": password}))
    def delete_password(self, service, username):
        kept = self._kept()
        if kept.pop(f"{service}/{username}", None) is None:
            raise PasswordDeleteError("not found")
        FILE.write_text(json.dumps(kept))
"""
NONE = {"PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring"}  # the variables for a program without one


class FileKeyring:
    """The keyring in `folder` of the programs that have `variables` in their environment."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        (folder / "ring.py").write_text(BACKEND)
        self.file = folder / "ring.json"
        self.variables = {"PYTHONPATH": str(folder), "PYTHON_KEYRING_BACKEND": "ring.Keyring"}

    @property
    def kept(self) -> dict[str, str]:
        """What it has, by SERVICE/ACCOUNT."""
        return json.loads(self.file.read_text()) if self.file.exists() else {}

    def keep(self, name: str, secret: str) -> None:
        """Have this secret under SERVICE/ACCOUNT."""
        self.file.write_text(json.dumps(self.kept | {name: secret}))
