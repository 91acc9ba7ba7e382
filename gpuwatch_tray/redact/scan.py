"""
Redaction: what of a command line, an error or a log line may be shown outside one's own terminal.

Command lines carry passwords and tokens, and others read mail, popups, menus and logs. `scan` finds secrets
in a text whose arguments are not separate: shell scripts, JSON, Python code, log lines.
"""

from __future__ import annotations

import re

from gpuwatch_tray.redact.names import names_secret
from gpuwatch_tray.redact.shapes import REDACTED, hide_shapes

_NAME_IN_TEXT = re.compile(r"(?<![\w.-])(?P<dashes>-{0,2})(?P<name>[A-Za-z_][\w.-]*)")
# Between a name and its value: `=`, `: `, `"]=`, `": `, `", ` (a quoted name in a call or a list).
_ASSIGN = re.compile(r"\s*(?:\\*[\"'])?\]?\s*[=:]{1,2}\s*|\s*\\*[\"']\s*,\s*")
_BLANKS = re.compile(r"\s+")
_WORD = re.compile(r"\S*")
_AFTER_QUOTED = frozenset(",;)}]&|>")
_WHOLE_LINE = re.compile(r"(?i)(?:proxy-)?authorization|(?:set-)?cookie")
_REST_OF_LINE = re.compile(r"[^\"'\n]*")
_PARAMETER = re.compile(r"[^\s&#\"']*")
_ESCAPED = re.compile(r"(\\+[\"']).*?(?:\1|\Z)", re.DOTALL)
_PIECE = re.compile(r"\"(?:\\.|[^\"\\])*\"|'[^']*'|\\.|[^\s\"'\\]+", re.DOTALL)
_OPEN = re.compile(r"[\"'].*", re.DOTALL)
_FLAG_LIKE = re.compile(r"--[A-Za-z][\w.-]*(?:=.*)?|-[A-Za-z]", re.DOTALL)
_HARMLESS = frozenset({"", "true", "false", "none", "null", "yes", "no", "on", "off", REDACTED})
_MYSQL = re.compile(r"(\b(?:mysql\w*|mariadb[\w-]*|sshpass|7z\w?|u?n?rar)\b[^|;&\n]{0,400}?\s-p)[^\s\"']+")
_LOGIN_OPTION = re.compile(
    r"(?<!\S)((?:-u|-U|--user|--proxy-user)[ =][\"']?[^\s:/@\"']+:)(?!\d+(?!\S))[^\s\"']+"
)


def harmless(value: str) -> bool:
    """Tell whether a value is no secret although its name announced one: `use_auth_token=True`."""
    return value.strip("\"' ").lower() in _HARMLESS


def looks_like_flag(s: str) -> bool:
    """Tell whether an argument after `--token` is the next option and not the token."""
    return _FLAG_LIKE.fullmatch(s) is not None


def scan(s: str) -> str:
    """Replace the values of secret names and all known shapes of secrets by `***`."""
    s = _MYSQL.sub(rf"\1{REDACTED}", s)
    s = _LOGIN_OPTION.sub(rf"\1{REDACTED}", s)
    shown: list[str] = []
    done = at = 0
    while found := _NAME_IN_TEXT.search(s, at):
        at = found.end()
        if not names_secret(found["name"]) and found[0] != "-p":
            continue
        value = _find_value(s, found)
        if value is None:
            continue
        start, end = value
        if not harmless(s[start:end]):
            shown += (s[done:start], REDACTED)
            done = at = end
    return hide_shapes("".join(shown) + s[done:])


def _find_value(s: str, name: re.Match[str]) -> tuple[int, int] | None:
    """Return start and end of the value of the secret name, or None where it has none."""
    between = _ASSIGN.match(s, name.end())
    if between is None and name["dashes"]:
        between = _BLANKS.match(s, name.end())
    if between is None or between.end() == len(s):
        return None
    start = between.end()
    if between[0].isspace() and looks_like_flag(_first_word(s, start)):
        return None
    before = s[name.start() - 1 : name.start()]
    if _WHOLE_LINE.fullmatch(name["name"]):
        end = _REST_OF_LINE.match(s, start)
    elif before in {"?", "&"}:
        end = _PARAMETER.match(s, start)
    elif before in {'"', "'"} and not between[0].strip().startswith((before, "\\")):
        return start, _until(s, before, start)  # "PASS=a b": all of the quoted argument
    else:
        end = _ESCAPED.match(s, start)
    return start, end.end() if end else _word_end(s, start)


def _until(s: str, quote: str, start: int) -> int:
    end = s.find(quote, start)
    return len(s) if end < 0 else end


def _first_word(s: str, start: int) -> str:
    word = _WORD.match(s, start)
    return word[0].strip("\"'") if word else ""


def _word_end(s: str, start: int) -> int:
    """
    Return the end of a shell's word, quotes and all.

    A quote that nothing closes ends a word, save at its start; so does what follows a quoted value in code.
    """
    at = start
    while piece := _PIECE.match(s, at):
        at = piece.end()
        if piece.start() == start and piece[0][0] in "\"'" and s[at : at + 1] in _AFTER_QUOTED:
            break
    if at == start and (rest := _OPEN.match(s, start)):
        return rest.end()
    return at
