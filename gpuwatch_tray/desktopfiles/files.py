"""The files below a `share` folder, the user's own or a package's, and the Desktop Entry format."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gpuwatch_tray import drawing
from gpuwatch_tray.desktopentry import format_desktop_entry, program_keys
from gpuwatch_tray.model import Level

if TYPE_CHECKING:
    from collections.abc import Sequence

NAME = "gpuwatch-tray"
# Our popups give this name as `desktop-entry`, so that a desktop knows whose they are.
MENU_ENTRY = f"applications/{NAME}.desktop"
METAINFO = "io.github.gpuwatch_tray.metainfo.xml"


@dataclass(frozen=True, slots=True)
class GeneratedDocs:
    """The man page and two shells' completions, generated from the command line's help."""

    manual: str
    bash: str
    fish: str


def desktop_files(command: Sequence[str], docs: GeneratedDocs) -> dict[str, bytes]:
    """Return each file's bytes by its path below the folder; the menu entry starts `command`."""
    icons = drawing.icons_folder()
    theme = "icons/hicolor"
    return {
        MENU_ENTRY: menu_entry(command).encode(),
        f"metainfo/{METAINFO}": (Path(__file__).parent / METAINFO).read_bytes(),
        **{
            f"{theme}/{size}x{size}/apps/{NAME}.png": drawing.icon_path(Level.OK, size).read_bytes()
            for size in drawing.SIZES
        },
        f"{theme}/scalable/apps/{NAME}.svg": (icons / "ok.svg").read_bytes(),
        f"{theme}/symbolic/apps/{NAME}-symbolic.svg": (icons / "ok-symbolic.svg").read_bytes(),
        f"man/man1/{NAME}.1": docs.manual.encode(),
        f"bash-completion/completions/{NAME}": docs.bash.encode(),
        f"fish/vendor_completions.d/{NAME}.fish": docs.fish.encode(),
    }


def menu_entry(command: Sequence[str]) -> str:
    """Return the menu entry's text."""
    return format_desktop_entry(
        {
            "Type": "Application",
            "Name": NAME,
            "GenericName": "GPU Monitor",
            "GenericName[zh_CN]": "GPU 监控器",
            "Comment": "Watch the NVIDIA GPUs of this machine from the tray",
            "Comment[zh_CN]": "在托盘中监控本机的 NVIDIA GPU",
            **program_keys(command),
            "Icon": NAME,
            "Terminal": "false",
            "StartupNotify": "false",
            "Categories": "System;Monitor;",
            "Keywords": "nvidia;gpu;nvml;cuda;monitor;alerts;",
            "Keywords[zh_CN]": "显卡;监控;告警;",
        }
    )


def systemd_unit(command: Sequence[str]) -> str:
    """
    Return the systemd user unit that keeps `watch` running where nobody logs in to a desktop.

    Without NoNewPrivileges, for a local mailer may need its own privileges. systemd refuses quotes and
    expands no `$$` in the executable's path, but does in its arguments.
    """
    env = ["/usr/bin/env"] if set(command[0]) & set("\"'\\$") else []
    line = " ".join(map(_unit_quote, [*env, *command, "watch"]))
    return f"""\
[Unit]
Description=Watch the NVIDIA GPUs of this machine

[Service]
ExecStart={line}
Restart=on-failure
RestartSec=30

[Install]
WantedBy=default.target
"""


def _unit_quote(word: str) -> str:
    """Quote one word of ExecStart (systemd.service(5), "Command lines"): `%` and `$` are doubled."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return escaped if escaped.isascii() and not set(escaped) & set(" \t\n'\"\\;") else f'"{escaped}"'
