"""
Redaction: what of a command line, an error or a log line may be shown outside one's own terminal.

Command lines carry passwords and tokens, and others read mail, popups, menus and logs. Every pattern takes
time in proportion to the text: repeats that could overlap are possessive or bounded.
"""

from __future__ import annotations

import hashlib  # here, among the `lasting_imports`: later it would load OpenSSL
import ntpath
import re
import unicodedata
from typing import TYPE_CHECKING

from gpuwatch_tray.common.late_pattern import late_pattern
from gpuwatch_tray.common.secret_names import (
    REDACTED,
    Secrecy,
    is_secret,
    looks_like_password,
    secrecy,
    words_of,
)
from gpuwatch_tray.common.secret_programs import SETTERS, TEXT_PROGRAMS, ProgramLine
from gpuwatch_tray.common.secret_shapes import has_blanks, hide_given, hide_shapes, is_digest
from gpuwatch_tray.model import GpuProcess, Missing

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


LONGEST = 32_768  # characters of an argument that are shown
_CUT = 1024  # characters at the cut that are left out, as a secret may be cut in two where no blank is near
# One for one: dashes and letters that look like those of ASCII.
_LOOKALIKES = str.maketrans(
    "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe58\ufe63\uff0d\uff1d\uff1a"
    "\u0430\u0435\u043e\u0440\u0441\u0443\u0445\u0456\u0455\u043a\u0422\u041a\u0420\u0410\u0415\u041e\u0421",
    "----------=:aeopcyxiskTKPAEOC",
)

# With the marks that nobody sees: a name with one in it reads the same.
# A digit comes first in 7z and where a dot parts it from a word, as in `802-1x.password`.
_NAME_PATTERN = r"(?P<name>(?:\d[\w-]{0,30}\.|7(?=z))?[^\W\d][\w.\u00ad\u200b-\u200f\u2060\ufeff-]*+)"
_NAME_IN_TEXT = late_pattern(rf"(?<![\w.-])(?P<dashes>-{{0,2}}){_NAME_PATTERN}")
_VALUE = late_pattern(  # `key="ApiKey" value="`, `"name": "API_KEY", "value": "`, `<password>`
    r"(?:\\{0,8}[\"'])?[\s,]{1,9}\\{0,8}[\"']?value\\{0,8}[\"']?\s{0,9}[=:]\s{0,9}"
    r"|(?:\\{0,8}[\"']),\\{0,8}[\"']value\\{0,8}[\"']\s{0,9}:\s{0,9}"
)
_ELEMENT = late_pattern(r">[^<>\n]{1,256}(?=</)")
# Between a name and its value: `=`, `: `, `"]=`, `": `, `", ` (a quoted name in a call or a list).
_ASSIGN = late_pattern(
    r"\s*+(?:(?:\\{0,8}[\"']|&quot;|&#3[49];)?\]?\s*+(?:=>|:=|==?|:(?!:)|%3[aAdD])\s*+|\\{0,8}[\"']\s*+,\s*+)"
)
# And in Python: `token: str = "`.
_ANNOTATION = late_pattern(r"\s{0,9}:\s{0,9}\w[\w\[\]., |]{0,40}=\s{0,9}(?=[rbu]?[\"'])")
_CALLED = late_pattern(r"\(\s{0,9}(?=[\"'])")  # `set_password("`
_READERS = ("get", "has", "is_", "read", "load", "fetch", "ask", "check")
# What stands in place of a value and is none: code that reads it, a file's contents.
_READ_ELSEWHERE = late_pattern(
    r"(?:os\.(?:environ\b|getenv\()|getenv\(|environ\b|getpass\b|input\(|process\.env\b|ENV\["
    r"|<[a-z][\w -]{1,40}>|[\"']?\$?\{\{|[a-z_][\w.]{0,64}\([^()\"']{0,64}\)"
    r"|(?:args|self|cfg|config|settings|opts|options|secrets)\.[A-Za-z]|\$\((?:cat\s|<)[\s\w./~-]{1,256}\))"
)
# A message about it: `token: expected identifier`, `auth: plugin loaded`, `api_key: field required`.
_PROSE = late_pattern(
    r"(?i:(?:token|auth|session|license): [a-z]{1,20} [a-z])"
    r"|[\w.-]{1,64}: (?i:(?:not|is|was|must|should|field|required|missing|invalid|expected|unexpected|cannot"
    r"|could|has|no|none|an?|the|failed|using|found|value|please|wrong|incorrect|expired|empty|unable|too|can|will|may|input|got"
    r"|only|denied|error|mismatch|unknown|str|string|type|reading|loaded|rejected|password|authentication|user)"
    r"(?: [a-z]|,? ?\Z))"
)
_OWNER_BEFORE = late_pattern(r"(?i)(?<![\w-])(?:api|access|secret|auth|private|account|license|app|user)\s\Z")
_IS = late_pattern(
    r"\s{1,9}(?:for|of)\s{1,9}[^\s:=]{1,64}:\s{1,9}|(?:\s{1,9}(?:for|of)\s{1,9}[^\s:=]{1,64})?\s{1,9}"
    r"(?:(?:has|will|been|now|set|changed|reset|updated|generated)\s{1,9}){0,4}(?:is|was|to|be|as)(?::\s{1,9}|\s{1,9})"
    r"(?:now\s{1,9}|(?:generated|set|created)\s{1,9}for\s{1,9}[^\s:]{1,64}:\s{1,9})?"
)
_BLANKS = late_pattern(r"\s++")
_BUILD_TARGET = late_pattern(r"//[\w/-]{1,256}:[a-z_]{1,64}(?![^\s\"'])")
_QUOTED = late_pattern(r"[\"']")
_CLEAR = frozenset("._-")  # in a name of several words: `auth_token 'X'`
_WORD_BEFORE = 24  # characters in which the word before a name is looked for
_WORD = late_pattern(r"\S*+")
_AFTER_QUOTED = frozenset(",;)}]&|>")
_WHOLE_LINE = late_pattern(r"(?i)(?:proxy-)?authorization|(?:set-)?cookie")
_REST_OF_LINE = late_pattern(r"[^\"'\n]*+")
_PARAMETER = late_pattern(r"[^\s&#\"']*+")
_ESCAPED = late_pattern(r"(\\{1,8}[\"']).*?(?:\1|\Z)", re.DOTALL)
_PIECE = late_pattern(
    r"\"(?:\\.|[^\"\\])*+\"|'[^']*+'|\$\([^()]{0,256}\)|`[^`]{0,256}`|\\.|[^\s\"'\\]", re.DOTALL
)
_PLAIN = late_pattern(r"[^\s\"'\\$`]++")
_OPEN = late_pattern(r"[\"'].*", re.DOTALL)
_FLAG_LIKE = late_pattern(r"--[A-Za-z][\w.-]*+(?:=.*)?|-[A-Za-z]", re.DOTALL)
# A command in a script or a log whose secret is told by its place: its words are looked at one by one.
_COMMAND = late_pattern(
    rf"(?<![\w./=-])(?:{'|'.join(sorted(TEXT_PROGRAMS, reverse=True))}"
    r"|net(?=\s{1,9}user?\s)|mc(?=\s{1,9}alias\s)|bw(?=\s{1,9}(?:unlock|login)\s))"
    r"[ \t][^\n|;&\"'`()<>]{1,256}"
)
_PARTS = late_pattern(r"(\s++)")
_LOGIN_CLUSTER = late_pattern(r"-[a-zA-Z]{1,6}[uU]")


def looks_like_flag(s: str) -> bool:
    """Tell whether an argument after `--token` is the next option and not the token."""
    return _FLAG_LIKE.fullmatch(s) is not None


def scan(s: str) -> str:
    """Replace the values of secret names and all known shapes of secrets by `***`."""
    s = hide_given(s)
    if has_blanks(s):
        s = _COMMAND.sub(_hide_in_command, s)
    plain = s.translate(_LOOKALIKES)
    line = ProgramLine()
    shown: list[str] = []
    done = at = 0
    while found := _NAME_IN_TEXT.search(plain, at):
        at = found.end()
        line.note(found[0], program(found[0]))
        quote = plain[at : at + 1] if plain[at : at + 1] in {'"', "'"} else ""
        if glued := line.glued(found[0] + quote):
            start, end = found.start() + len(glued), _word_end(plain, found.start())
            level = Secrecy.ALWAYS
        else:
            level = line.option(found[0]) if len(found[0]) <= len("-upw") else Secrecy.NONE
            level = level or secrecy(found["name"])
            if line.names_secrets and found[0] == "--secret":
                level = Secrecy.NONE
            if found[0].lower() in {"token", "tokens", "key", "pass"} and _is_of_a_model(plain, found):
                level = Secrecy.NONE
            value = _find_value(plain, found, level) if level else None
            if value is None:
                continue
            start, end, level = value
        if not is_secret(s[start:end], level) or _READ_ELSEWHERE.match(s, start):
            continue
        shown += (s[done:start], REDACTED)
        done = at = end
    return hide_shapes("".join(shown) + s[done:])


def _is_of_a_model(s: str, name: re.Match[str]) -> bool:
    """Tell whether the word before makes a harmless name of two words: `EOS token = 128009`."""
    before = s[max(0, name.start() - _WORD_BEFORE) : name.start()]
    words = before.split()
    if not words or not before[-1].isspace() or not words[-1].isalpha():
        return False
    return secrecy(f"{words[-1].lower()}_{name[0].lower()}") is Secrecy.NONE


def _hide_in_command(found: re.Match[str]) -> str:
    """Redact a command that stands in a text as its arguments."""
    parts = _PARTS.split(found[0])
    parts[::2] = _arguments(parts[::2])
    return "".join(parts)


def _find_joint(s: str, name: re.Match[str], level: Secrecy) -> tuple[re.Match[str] | None, Secrecy]:
    """Return what stands between the name and its value, and what the two together say of the value."""
    joint = next(filter(None, (way.match(s, name.end()) for way in (_ANNOTATION, _VALUE, _ASSIGN))), None)
    if joint and joint[0].rstrip().endswith(",") and s[name.start() - 1 : name.start()] not in {'"', "'"}:
        joint = None  # `"https://host/token","next"`
    if joint is None and level is Secrecy.ALWAYS and not name["name"].startswith(_READERS):
        joint = _CALLED.match(s, name.end())
    if joint and _PROSE.match(s, name.start()):
        return joint, Secrecy.NONE
    if joint is not None or name["dashes"]:
        return joint or _BLANKS.match(s, name.end()), level
    blank = _IS.match(s, name.end()) or _BLANKS.match(s, name.end())
    before = s[max(0, name.start() - _WORD_BEFORE) : name.start()]
    if level is not Secrecy.ALWAYS:
        # `API key is X`
        owned = name["name"].lower() in {"key", "token"} and _OWNER_BEFORE.search(before)
        return blank, Secrecy.IF_RANDOM if owned else Secrecy.NONE
    if before.split()[-1:] and before.split()[-1] in SETTERS:
        return blank, Secrecy.IF_TEXT  # `config set npmAuthToken X`
    clear = "pass" in name["name"].lower() or not _CLEAR.isdisjoint(name["name"])
    if clear and blank and _QUOTED.match(s, blank.end()):
        return blank, Secrecy.IF_TEXT  # `802-1x.password "X Y"`, `WITH PASSWORD 'X'`
    return blank, Secrecy.IF_RANDOM  # `password X`, as in a netrc file


def _find_value(s: str, name: re.Match[str], level: Secrecy) -> tuple[int, int, Secrecy] | None:
    """Return start and end of the value of the name, and its secrecy; None where it has none."""
    if s[name.start() - 1 : name.start()] == "<" and (element := _ELEMENT.match(s, name.end())):
        return element.start() + 1, element.end(), level
    between, level = _find_joint(s, name, level)
    if between is None or between.end() == len(s) or level is Secrecy.NONE:
        return None
    start = between.end()
    if between[0].isspace() and looks_like_flag(_first_word(s, start)):
        return None
    before = s[name.start() - 1 : name.start()]
    if before == s[start] == "/" or _BUILD_TARGET.match(s, name.start() - 2):
        return None  # `/run/secrets:/run/secrets`, `//auth:password_test`
    if _is_metavariable(name["name"], _first_word(s, start)):
        return None
    if _WHOLE_LINE.fullmatch(name["name"]) and not between[0].isspace():
        end = _REST_OF_LINE.match(s, start)
    elif before in {"?", "&"}:
        end = _PARAMETER.match(s, start)
    elif before in {'"', "'"} and not between[0].strip().startswith((before, "\\")):
        return start, _until(s, before, start), level  # "PASS=a b": all of the quoted argument
    else:
        end = _ESCAPED.match(s, start)
    return start, end.end() if end else _word_end(s, start), level


def _is_metavariable(name: str, value: str) -> bool:
    """Tell whether the value is but the name, as a usage writes it: `[--api-key API_KEY]`."""
    return value.rstrip("]").isupper() and name.upper().replace("-", "_").endswith(value.rstrip("]"))


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
    while piece := _PLAIN.match(s, at) or _PIECE.match(s, at):
        at = piece.end()
        if piece.start() == start and piece[0][0] in "\"'" and s[at : at + 1] in _AFTER_QUOTED:
            break
    if at == start and (rest := _OPEN.match(s, start)):
        return rest.end()
    return at


_SHORT_ESCAPES = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}
# Controls, format characters (the marks that reverse text among them), halves of pairs (how Python carries
# bytes that are no UTF-8; no mail or bus message can hold them), line and paragraph separators.
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


def visible(s: str) -> str:
    r"""Write control characters as escapes (`\n`, `\x1b`, `\u202e`): none moves a cursor or text."""
    if s.isprintable():
        return s
    return "".join(_escape(c) if unicodedata.category(c) in _UNSEEN else c for c in s)


def one_line(s: str) -> str:
    """Make each run of white space one blank, none at the ends, and write other controls as escapes."""
    return visible(" ".join(s.split()))


def _escape(c: str) -> str:
    if c in _SHORT_ESCAPES:
        return _SHORT_ESCAPES[c]
    digits = f"{ord(c):x}"
    width, letter = next((w, a) for w, a in ((2, "x"), (4, "u"), (8, "U")) if len(digits) <= w)
    return f"\\{letter}{digits:0>{width}}"


NA = "NA"

# `--token=x`, `HF_TOKEN=x`, `+wandb.api_key=x`, `/password:x`, `X-Api-Key: x`: all that follows is the value.
_NAMED_VALUE = late_pattern(rf"(?P<head>(?:--?|/|\+{{1,2}})?{_NAME_PATTERN}[=:]\s*)(?P<value>.+)", re.DOTALL)
_NAME = late_pattern(rf"(?P<dashes>--?|/|\+{{1,2}})?{_NAME_PATTERN}(?P<end>[=:]?)")
_SCHEME = late_pattern(r"(?i)bearer|basic|token")
_SCRIPT_FLAG_NAME = late_pattern(r"-[a-z]{0,9}c|/[ck]|-command", re.IGNORECASE)
_LOGIN_ARGUMENT = late_pattern(r"(?P<user>[^\s:%/]*+[:%])(?P<password>.+)", re.DOTALL)
# `-u ada,PW` (lftp), `scott/PW@db` (sqlplus), `ada:PW@proxy`
_LOGIN_PAIR = late_pattern(
    r"(?P<user>(?:[\w.-]{1,64}[/\\])?[^\s:/@,]{1,64}[:/,])(?P<password>[^\s/@,]{1,256})(?P<host>(?:@[\w./:-]{1,256})?)"
)
_LOGIN_OPTIONS = words_of(
    "-u -U --user --proxy-user --creds --src-creds --dest-creds --api-auth --basic-auth --login --cert -E"
)


def program(name: str) -> str:
    """Return the file name of the program `name`, without folders (either system's) and arguments."""
    return ntpath.basename(name.strip().rstrip("/\\"))


def process_name(name: str) -> str:
    """
    Redact the name of a process, which can be a title that holds its whole command.

    Redact it before the folders are cut off, too: without its beginning a login in a URL is not recognised.
    """
    return one_line(scan(program(scan(name))))


def pseudonym(user: str) -> str:
    """
    Return what stands for a user's name with EXPORT_USERS=hashed: the same on every machine.

    It keeps the name from being read by chance. Who has a list of names can find out which it is.
    """
    return f"user-{hashlib.sha256(user.encode(errors='surrogatepass')).hexdigest()[:12]}"


def arguments(argv: Sequence[str]) -> tuple[str, ...]:
    """Replace everything that may be a secret by `***`; as many arguments come back as were given."""
    return tuple(_arguments(map(_bounded, argv)))


def _arguments(argv: Iterable[str]) -> Iterable[str]:
    line = ProgramLine()
    level = Secrecy.NONE  # of the value that the arguments before announce
    more = False  # after a secret of an option: further ones may follow
    before = ""
    for argument in argv:
        plain = argument.translate(_LOOKALIKES)
        flag = looks_like_flag(plain)
        announced, level = level, Secrecy.NONE
        more &= not plain.startswith("-")
        in_place = line.is_in_place(plain)
        line.note(plain, program(plain))
        if announced and plain in {"=", ":"}:
            yield argument
            level = announced
        elif announced and not flag and _SCHEME.fullmatch(plain):
            yield argument  # `-H Authorization: Bearer x` without quotes: the scheme is not yet the secret
            level = Secrecy.ALWAYS
        elif announced and not flag and is_secret(argument, announced):
            yield REDACTED
            more = True
        elif (in_place and is_secret(argument, Secrecy.ALWAYS)) or (
            (more or line.login) and not plain.startswith("+") and looks_like_password(plain)
        ):
            yield REDACTED
        else:
            yield _redact_argument(argument, plain, before, line)
            level = _announced(plain, before, line)
            more |= level is Secrecy.IF_RANDOM and not plain.startswith("-")  # `change_password ada X`
        before = plain


def _redact_argument(argument: str, plain: str, before: str, line: ProgramLine) -> str:
    """Redact one argument, by the one before it and the line so far."""
    if glued := line.glued(plain):
        return argument[: len(glued)] + REDACTED
    is_login = before in _LOGIN_OPTIONS or line.takes_login(before)
    is_login |= "curl" in line.programs and _LOGIN_CLUSTER.fullmatch(before) is not None
    if is_login and (login := _LOGIN_ARGUMENT.fullmatch(argument)) and not login["password"].isdecimal():
        return login["user"] + REDACTED
    pair = _LOGIN_PAIR.fullmatch(argument)
    of_oracle = pair and "sqlplus" in line.programs
    if pair and (of_oracle or ((is_login or pair["host"]) and looks_like_password(pair["password"]))):
        return pair["user"] + REDACTED + pair["host"]
    if plain.startswith("--secret=") and line.names_secrets:
        return argument
    if plain.startswith("/p:") and line.user:
        return argument[:3] + REDACTED
    named = _NAMED_VALUE.fullmatch(plain)
    is_script = _SCRIPT_FLAG_NAME.fullmatch(before) is not None
    prose = _PROSE.match(plain)
    if named and not is_script and not prose and is_secret(named["value"], secrecy(named["name"])):
        return argument[: named.end("head")] + REDACTED
    if is_digest(f"{before} ", argument):
        return argument
    return scan(argument)


def _announced(plain: str, before: str, line: ProgramLine) -> Secrecy:
    """Return the secrecy of the argument after this one."""
    if level := line.option(plain):
        return level
    if plain == "--secret" and line.names_secrets:
        return Secrecy.NONE
    if scheme := _SCHEME.fullmatch(plain):
        return Secrecy.ALWAYS if scheme[0].lower() == "bearer" else Secrecy.IF_RANDOM
    if plain.endswith((":_auth", ":_authToken", ":_password")):
        return Secrecy.ALWAYS  # `npm config set //host/:_auth X`
    named = _NAME.fullmatch(plain)
    if named is None:
        return Secrecy.NONE
    level = secrecy(named["name"])
    if named["dashes"] or named["end"]:
        return level
    if level is Secrecy.ALWAYS and (before in SETTERS or "." in named["name"] or line.names_values):
        return Secrecy.IF_TEXT  # `aws configure set aws_secret_access_key X`, `802-1x.password "X Y"`
    # `config set password X`, `-genv HF_TOKEN X`: a bare name
    return min(level, Secrecy.IF_RANDOM) if level is Secrecy.ALWAYS else Secrecy.NONE


def _bounded(s: str) -> str:
    """Cut a long text, not within a word: a part of a secret is not always recognised."""
    if len(s) <= LONGEST:
        return s
    head = s[:LONGEST]
    blank = max(map(head.rfind, " \n\t"))
    return head[: max(blank, LONGEST - _CUT)] + " …"


def text(s: str) -> str:
    """Redact free text, such as an error line, and write it on one line."""
    return visible(scan(_bounded(s)))


def lines(s: str) -> tuple[str, ...]:
    """Redact free text and split it into lines; a secret may run over several lines."""
    return tuple(map(visible, scan(s).split("\n")))


def command(process: GpuProcess) -> str:
    """
    Write what mail, menu, popup and log may show of a process's command line, on one line.

    Of one's own, the redacted arguments; of anybody else's or an unknown owner's, the program's name only;
    `NA` where neither is known.
    """
    if process.mine and not isinstance(process.command, Missing) and process.command:
        return one_line(" ".join(arguments(process.command))) or NA
    if not isinstance(process.name, Missing):
        name = process.name
    elif not isinstance(process.command, Missing) and process.command:
        name = process.command[0].split(" ", 1)[0]
    else:
        return NA
    return process_name(name) or NA
