"""
Redaction: what of a command line, an error or a log line may be shown outside one's own terminal.

Command lines carry passwords and tokens, and others read mail, popups, menus and logs. `scan` finds secrets
in a text whose arguments are not separate: shell scripts, JSON, Python code, log lines.
"""

from __future__ import annotations

import ntpath
import re
import unicodedata
from typing import TYPE_CHECKING

from gpuwatch_tray.model import GpuProcess, Missing

if TYPE_CHECKING:
    from collections.abc import Sequence


def _words(listed: str) -> frozenset[str]:
    return frozenset(listed.split())


_NAME_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")

# Anywhere in a name, however it is joined: `PGPASSWORD`, `mypasswd`, `clientsecret`.
_UNMISTAKABLE = re.compile(
    r"password|passwd|passphrase|passwort|kennwort|api_?key|secret_?key|access_?key|private_?key|auth_?key"
    r"|account_?key|auth_?token|access_?token|api_?token|client_?secret|credential|bearer|webhook"
)
# One word of a name.
_SECRET = _words(
    """
    secret secrets token pw pwd passcode passin passout jwt cookie cookies auth authorization
    signature sig otp totp pat creds cred
    """
)
# One word, at the name's end only: `--key x`, but not `--key-size`; `--pass x`, but not `--pass-rate`.
_SECRET_LAST = frozenset({"key", "pass"})
_GLUED_ENDS = ("token", "secret", "pass", "pwd")  # `hftoken`, `smtppass`
_GLUED_INNOCENT = _words("bypass compass lowpass highpass bandpass subtoken multitoken")
_PLURALS = frozenset({"tokens", "keys"})
_OWNERS = _words("api auth access hf hub github gitlab wandb bearer secret private user client")

# After the word: it is about the secret, not the secret itself.
_ABOUT = _words(
    """
    id ids type types size len length dim dims count num limit budget dropout rate ratio prob weight weights
    mode method env file path dir name stdin prompt timeout ttl expiry expires format version index
    embedding embeddings embed embeds pos position positions level loss acc accuracy mixing merging merge
    pruning reduction storage column field cache backend plugin provider policy strategy threshold shift per
    step steps batch frequency freq classification parallel
    """
)
# Before the word: tokens and passes of models and programs ...
_OF_A_MODEL = _words(
    """
    pad eos bos unk sep cls mask stop special max min num n image img video audio vision speech new class
    placeholder initializer start end begin trigger concept first last next prev each per eot eod eom bpe
    text input output target prompt system think instance prefix suffix separator delimiter no total
    two single one multi second forward backward
    """
)
# ... and keys of tables and data.
_OF_DATA = _words(
    """
    source label labels sort group data dataset column field primary foreign partition hot public query metric
    monitor caption join index feature features batch question answer response json dict score reward state
    action obs seed rng random prng shuffle map lookup id row value
    """
)


def names_secret(name: str) -> bool:
    """
    Tell whether the value that goes with `name` (of an option, a variable, a field) has to be hidden.

    Names are judged by their words, not by letters: machine learning has token, key and pass in harmless
    names (`--max-tokens`, `--pad-token`, `--sort-key`, `--num-passes`).
    """
    if name in {"PWD", "OLDPWD"}:  # the shell's working folder
        return False
    words = [word.lower() for word in _NAME_WORDS.findall(name)]
    if not words:
        return False
    is_about = words[-1] in _ABOUT
    if _UNMISTAKABLE.search("_".join(words)) or _UNMISTAKABLE.search("".join(words)):
        return not is_about or words[-2:] == ["key", "id"]
    return any(_is_secret_word(words, at) for at in range(len(words)))


def _is_secret_word(words: list[str], at: int) -> bool:
    word = words[at]
    before = words[at - 1] if at else ""
    after = words[at + 1] if at + 1 < len(words) else ""
    if after in _ABOUT or before in _OF_A_MODEL:
        return False
    if word in _SECRET:
        return True
    if word in _SECRET_LAST:
        return not after and before not in _OF_DATA
    if word in _PLURALS:
        return before in _OWNERS
    stem = next((word.removesuffix(end) for end in _GLUED_ENDS if word.endswith(end)), "")
    return bool(stem) and word not in _GLUED_INNOCENT and stem not in _OF_A_MODEL


REDACTED = "***"

_ISSUED = re.compile(
    r"(?<![A-Za-z0-9])(?:"
    r"hf_(?=[a-z]*[A-Z0-9])[A-Za-z0-9]{6,}|hf_[a-z]{20,}"  # Hugging Face; hf_home and hf_cache are words
    r"|(?:sk|pk|rk)[-_](?=[a-z_-]*[A-Z0-9])[\w-]{8,}"  # OpenAI, Anthropic, Stripe; sk-learn is a word
    r"|gh[a-z]_[A-Za-z0-9]{6,}|github_pat_\w{6,}|gl[a-z]{2,5}-[\w-]{10,}"
    r"|xox[a-z]-[\w-]{4,}|xapp-[\w-]{8,}"  # Slack
    r"|(?:AKIA|ASIA|AROA|AIDA|AGPA|ANPA)[A-Z0-9]{10,}"  # AWS
    r"|AIza[\w-]{16,}|ya29\.[\w.-]+|GOCSPX-[\w-]+|1//[\w-]{20,}"  # Google
    r"|eyJ[\w-]{6,}(?:\.[\w-]*)*"  # JSON in base64: web tokens
    r"|nvapi-[\w-]{8,}|npm_[A-Za-z0-9]{20,}|pypi-[\w-]{16,}|dckr_pat_[\w-]+|gsk_[A-Za-z0-9]{16,}"
    r"|r8_[A-Za-z0-9]{20,}|SG\.[\w-]{10,}\.[\w-]+|hvs\.[\w-]{10,}|xai-\w{20,}|pplx-\w{20,}|wandb_v1_\w+"
    r")"
)
_PEM = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*-----|\Z)", re.DOTALL)
_BEARER = re.compile(r"(?i)\b(bearer\s+|basic\s+(?=[a-z]*[A-Z0-9+/=]))[^\s\"']+")
# `https://token@host` is a login as well; `ssh://git@host` names a person only. The lengths are bounded so
# that a hostile argument costs no more than its length.
_LOGIN_IN_URL = re.compile(
    r"(://)(?:[^\s/?#:]{0,256}:[^\s/?#]{0,1024}"  # user:password@, to the last @ before the path
    r"|[^\s/?#@:]{0,256}:[^\s@]{1,1024}"  # the same where the password has a / in it
    r"|(?:(?<=[pP]://)|(?<=[pP][sS]://))[^\s/?#]{0,1024})@"
)
_HOOK = re.compile(
    r"(hooks\.slack\.com/\w+/|discord(?:app)?\.com/api/webhooks/|api\.telegram\.org/bot)[\w/:-]+"
)

_UUID = r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
# A GPU's name and a notebook's connection file are no secrets, and the first is what the reader looks for.
_KEEP = re.compile(rf"((?:MIG-)?(?:GPU|MIG)-{_UUID}|\bkernel-{_UUID})")
_LONG = re.compile(
    rf"(?P<uuid>{_UUID})"
    r"|(?P<hex>(?<![0-9A-Za-z])(?:0x)?[0-9a-fA-F]{32,}(?![0-9A-Za-z]))"
    r"|(?P<blob>[A-Za-z0-9+/_-]{32,}={0,3}|[A-Za-z0-9+/_-]{20,}={1,3})"
)
_RUNS = re.compile(r"[a-z]+|[A-Z]+|[0-9]+|[^A-Za-z0-9]+")
_SEPARATOR = re.compile(r"[+/_-]")
_LONG_ENOUGH = 32
_MANY_NUMBERS = 3  # chance gives twice as many among 32 small letters and digits, or capitals and digits


def hide_shapes(s: str) -> str:
    """Replace every known shape of a secret by `***`."""
    s = _PEM.sub(REDACTED, s)
    s = _LOGIN_IN_URL.sub(rf"\1{REDACTED}@", s)
    s = _HOOK.sub(rf"\1{REDACTED}", s)
    s = _BEARER.sub(rf"\1{REDACTED}", s)
    s = _ISSUED.sub(REDACTED, s)
    parts = _KEEP.split(s)
    parts[::2] = [_LONG.sub(_hide_long, part) for part in parts[::2]]
    return "".join(parts)


def _hide_long(found: re.Match[str]) -> str:
    return REDACTED if found["blob"] is None else _hide_random(found["blob"])


def _hide_random(s: str) -> str:
    """Hide a run of base64's letters: as a whole where it looks random, else part by part of a path."""
    bare = s.rstrip("=")
    if _looks_random(bare, 0.45 if "/" in bare else 0.35) or (
        s != bare and "/" not in bare and _looks_random(bare, 0.3)
    ):
        return REDACTED
    if "/" not in bare:
        return s
    return "/".join(
        REDACTED if len(part) >= _LONG_ENOUGH and _looks_random(part, 0.35) else part for part in s.split("/")
    )


def _looks_random(s: str, changes: float) -> bool:
    """
    Tell whether the text changes between small letters, capitals and digits as often as by chance.

    Names of models and runs change as often, but are cut into words: chance gives a separator per 32 letters.
    """
    separators = len(_SEPARATOR.findall(s))
    if separators > len(s) / 8:
        return False
    runs = _RUNS.findall(s)
    numbers = sum(run[0].isdigit() for run in runs)
    if numbers - separators >= _MANY_NUMBERS and "/" not in s:
        return True
    return (len(runs) - 1) / (len(s) - 1) >= changes


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
_NAMED_VALUE = re.compile(
    r"(?P<head>(?:--?|/|\+{1,2})?(?P<name>[A-Za-z_][\w.-]*)[=:]\s*)(?P<value>.+)", re.DOTALL
)
_FLAG_NAME = re.compile(r"(?:--?|/|\+{1,2})(?P<name>[A-Za-z_][\w.-]*)")
_HEADER_NAME = re.compile(r"(?P<name>[A-Za-z_][\w.-]*)[=:]")
_SCHEME = re.compile(r"(?i)bearer|basic|token")
_SCRIPT_FLAG_NAME = re.compile(r"-[a-z]*c|/[ck]|-command", re.IGNORECASE)
_LOGIN_ARGUMENT = re.compile(r"(?P<user>[^\s:/@]+):(?P<password>.+)", re.DOTALL)
_USER_FLAGS = frozenset({"-u", "-U", "--user", "--proxy-user", "--creds"})
# Programs that take a password in a short option of their own; the first group glues it on (`-psecret`).
_GLUED_OPTIONS = {
    **dict.fromkeys(("mysql", "mysqldump", "mysqladmin", "mariadb", "mariadb-dump", "mariadb-admin"), "-p"),
    **dict.fromkeys(("sshpass", "7z", "7za", "7zr", "rar", "unrar"), "-p"),
    **dict.fromkeys(("zip", "unzip", "sqlcmd", "bcp"), "-P"),
    **dict.fromkeys(("redis-cli",), "-a"),
}


def program(name: str) -> str:
    """Return the file name of the program `name`, without folders (either system's) and arguments."""
    return ntpath.basename(name.strip().rstrip("/\\"))


def process_name(name: str) -> str:
    """
    Redact the name of a process, which can be a title that holds its whole command.

    Redact it before the folders are cut off, too: without its beginning a login in a URL is not recognised.
    """
    return one_line(scan(program(scan(name))))


def arguments(argv: Sequence[str]) -> tuple[str, ...]:
    """Replace everything that may be a secret by `***`; as many arguments come back as were given."""
    shown: list[str] = []
    glued: set[str] = set()
    value_next = False
    before = ""
    for argument in argv:
        if value_next and not looks_like_flag(argument):
            # `-H Authorization: Bearer x` without quotes: the scheme is not yet the secret.
            value_next = _SCHEME.fullmatch(argument) is not None
            shown.append(argument if value_next or harmless(argument) else REDACTED)
        else:
            shown.append(_redact_argument(argument, before, glued))
            value_next = _announces_secret(argument, glued)
        option = _GLUED_OPTIONS.get(program(argument).lower().removesuffix(".exe"))
        if option:
            glued.add(option)
        before = argument
    return tuple(shown)


def text(s: str) -> str:
    """Redact free text, such as an error line, and write it on one line."""
    return visible(scan(s))


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


def _redact_argument(argument: str, before: str, glued: set[str]) -> str:
    """Redact one argument, by the one before it and the glued password options seen so far."""
    if argument[:2] in glued and len(argument) > len("-p") and not argument.startswith("--"):
        return argument[:2] + REDACTED
    if (
        before in _USER_FLAGS
        and (login := _LOGIN_ARGUMENT.fullmatch(argument))
        and not login["password"].isdecimal()
    ):
        return f"{login['user']}:{REDACTED}"
    named = _NAMED_VALUE.fullmatch(argument)
    is_script = _SCRIPT_FLAG_NAME.fullmatch(before) is not None
    if named and not is_script and names_secret(named["name"]) and not harmless(named["value"]):
        return named["head"] + REDACTED
    return scan(argument)


def _announces_secret(argument: str, glued: set[str]) -> bool:
    """Tell whether the argument after this one is a secret."""
    if argument == "-p" or argument in glued or _SCHEME.fullmatch(argument):
        return True
    named = _FLAG_NAME.fullmatch(argument) or _HEADER_NAME.fullmatch(argument)
    return named is not None and names_secret(named["name"])
