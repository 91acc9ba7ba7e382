"""What is generated: `python -m tests.settings.generated` writes config/*.example and the tables of docs/."""

from __future__ import annotations

import re
from pathlib import Path

from gpuwatch_tray.model.schema import LARGEST, SETTINGS, Setting, Unit, ValueType
from gpuwatch_tray.rules import RULES, keys
from gpuwatch_tray.settings.paths import FILES
from gpuwatch_tray.settings.template import example

ROOT = Path(__file__).parents[2]

NUMBERS = {
    ValueType.WHOLE,
    ValueType.COUNT,
    ValueType.DECIMAL,
    ValueType.PERCENT,
    ValueType.DEGREES,
    ValueType.SIZE,
    ValueType.PRICE,
    ValueType.PORT,
}


def settings_table() -> str:
    """Return a table of the settings of each file."""
    parts = []
    for name, variable in FILES:
        rows = [_row(setting) for setting in SETTINGS.values() if setting.file == name]
        head = ["| key | values | default | rules | what it says |", "|---|---|---|---|---|"]
        parts.append("\n".join([f"## {name} (or the file that `{variable}` names)", "", *head, *rows]))
    return "\n\n".join(parts) + "\n"


def rules_table() -> str:
    """Return a table of the rules."""
    rows = [
        f"| `{name}` | {', '.join(level.name.lower() for level in rule.severities)} | {rule.fires} |"
        f" {rule.clears} | {', '.join(f'`{key}`' for key in keys(name))} |"
        for name, rule in RULES.items()
    ]
    return "\n".join(
        ["| rule | severity | fires when | clears when | set by |", "|---|---|---|---|---|", *rows, ""]
    )


def _row(setting: Setting) -> str:
    rules = ", ".join(f"`{rule}`" for rule in (setting.switches, *setting.tunes) if rule)
    default = " ".join(setting.default.split())
    default = "a list of desktop programs" if setting.type is ValueType.PROGRAMS else f"`{default}`"
    cells = [f"`{setting.key}`", _values(setting), default if setting.default else "", rules, setting.about]
    return f"| {' | '.join(cells)} |"


def _values(setting: Setting) -> str:
    if setting.choices:
        values = ", ".join(f"`{choice}`" for choice in setting.choices)
    elif setting.type in NUMBERS:
        least, most = setting.bounds
        values = f"from {least}" if most == LARGEST else f"{least} to {most}"
        values += f" {setting.unit.value}" if setting.unit is not Unit.NONE else ""
    else:
        values = setting.type.value
    return values + "".join(f", `{word}`" for word in ("auto", "off") if getattr(setting, word))


def write() -> None:
    """Bring config/*.example and the tables of docs/settings.md and docs/rules.md up to date."""
    for name, _variable in FILES:
        (ROOT / "config" / f"{name}.example").write_text(example(name), "utf-8")
    settings, rules = ROOT / "docs" / "settings.md", ROOT / "docs" / "rules.md"
    head = settings.read_text("utf-8").partition("## ")[0]
    settings.write_text(head + settings_table(), "utf-8")
    before, _table, after = re.split(
        r"((?:^\|.*\n)+)", rules.read_text("utf-8"), maxsplit=1, flags=re.MULTILINE
    )
    rules.write_text(before + rules_table() + after, "utf-8")


if __name__ == "__main__":
    write()
