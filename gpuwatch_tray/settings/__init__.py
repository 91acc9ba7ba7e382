"""
The .env files and the variables of the environment, as `Settings`.

The files are the part of Bash that is data: what Bash would execute is a problem with file, line and mend.
"""

from __future__ import annotations

from gpuwatch_tray.settings.loader import Changes, load
from gpuwatch_tray.settings.model import (
    ChatAddress,
    ConfigProblem,
    LabAlerts,
    LabLogin,
    LabSettings,
    NotifyMethod,
    ResolvedChannel,
    Secret,
    Settings,
    SmtpSecurity,
    SmtpSettings,
)
from gpuwatch_tray.settings.paths import SettingsFolders
from gpuwatch_tray.settings.secret_file import SecretError, read_secret_file
from gpuwatch_tray.settings.validators import is_loopback, odd_characters
from gpuwatch_tray.settings.validators import password as read_password
from gpuwatch_tray.settings.validators import secret as read_secret

__all__ = [
    "Changes",
    "ChatAddress",
    "ConfigProblem",
    "LabAlerts",
    "LabLogin",
    "LabSettings",
    "NotifyMethod",
    "ResolvedChannel",
    "Secret",
    "SecretError",
    "Settings",
    "SettingsFolders",
    "SmtpSecurity",
    "SmtpSettings",
    "is_loopback",
    "load",
    "odd_characters",
    "read_password",
    "read_secret",
    "read_secret_file",
]
