"""
Secrets that are known by their shape, or by the words around them in a text.

Issued keys, logins in URLs, private keys, long random strings; what a text gives to a program or a call.
"""

from __future__ import annotations

import re

from gpuwatch_tray.common.late_pattern import late_pattern
from gpuwatch_tray.common.secret_names import REDACTED

_ISSUED = late_pattern(
    r"(?<![A-Za-z0-9])(?:"
    r"hf_(?=[a-z]{0,40}[A-Z0-9])[A-Za-z0-9]{6,}|hf_[a-z]{20,}"  # Hugging Face; hf_home and hf_cache are words
    r"|(?:sk|pk|rk)[-_](?=[a-z_-]{0,40}[A-Z0-9])[\w-]{8,}"  # OpenAI, Anthropic, Stripe; sk-learn is a word
    r"|gh[a-z]_[A-Za-z0-9]{6,}|github_pat_\w{6,}|gl[a-z]{2,5}-[\w-]{10,}"
    r"|xox[a-z]-[\w-]{4,}|xapp-[\w-]{8,}"  # Slack
    r"|(?:AKIA|ASIA|AROA|AIDA|AGPA|ANPA)[A-Z0-9]{10,}"  # AWS
    r"|AIza[\w-]{16,}|ya29\.[\w.-]+|GOCSPX-[\w-]+|1//[\w-]{20,}"  # Google
    r"|(?<!world_info=)eyJ[\w-]{6,}(?:\.[\w-]*)*"  # JSON in base64: web tokens, not DeepSpeed's hosts
    r"|dop_v1_[0-9a-f]{20,}|lsv2_\w{20,}|tskey-[\w-]{10,}"
    r"|[0-9]{8,10}:[A-Za-z0-9_-]{30,}|[MNO][\w-]{22,27}\.[\w-]{6}\.[\w-]{25,}"  # bots
    r"|(?:shp[a-z]{2}|whsec|glsa|dapi|sbp|rpa|nfp|figd|lin_api|ntn|fw|sess)[_-]?(?=[a-z_]{0,40}[0-9A-Z])\w{16,}"
    r"|ATATT\w{10,}|AGE-SECRET-KEY-1\w{10,}|tvly-[\w-]{10,}"
    r"|nvapi-[\w-]{8,}|npm_[A-Za-z0-9]{20,}|pypi-[\w-]{16,}|dckr_pat_[\w-]+|gsk_[A-Za-z0-9]{16,}"
    r"|r8_[A-Za-z0-9]{20,}|SG\.[\w-]{10,}\.[\w-]+|hvs\.[\w-]{10,}|waka_[0-9a-f-]{8,}|xai-\w{20,}|pplx-\w{20,}|wandb_v1_\w+"
    r")"
)
_PEM = late_pattern(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*-----|\Z)", re.DOTALL)
_BEARER = late_pattern(
    r"(?i)\b(bearer\s+|auth\s{1,9}(?:plain|login|xoauth2)\s{1,9}(?=[a-z0-9+/]{8})|basic\s+(?=[a-z]{0,40}[0-9+/=]))"
    r"(?!(?:tokens?|auth\w{0,20}|realm=|scheme|header|format|error|challenge|credentials?|is|was|not|missing|must|required)(?![\w.-]))"
    r"(?!(?-i:\$\{?[A-Z]{1,40}_[A-Z0-9_]{1,40}\}?(?:[\"'\s]|\Z)))[^\s\"']+"
)
# `https://token@host` is a login as well; `ssh://git@host` names a person only. The lengths are bounded so
# that a hostile argument costs in proportion to its length.
_LOGIN_IN_URL = late_pattern(
    r"(://)(?:[^\s/?#:]{0,256}:[^\s/?#]{0,1024}"  # user:password@, to the last @ before the path
    r"|[^\s/?#@:]{0,256}:[^\s@]{1,1024}"  # the same where the password has a / in it
    r"|(?:(?<=[pP]://)|(?<=[pP][sS]://))[^\s/?#]{0,1024})@"
)
_GO_DSN = late_pattern(r"(?<![\w.-])([\w.-]{1,64}:)[^\s@\"']{1,256}(?=@(?:tcp|unix)\()")
_TOKEN_IN_PATH = late_pattern(r"(://[^\s/?#]{1,256}/t/)[\w-]{8,}(?=/)")  # a conda channel's
_HOOK = late_pattern(
    r"(\brtmps?://[^\s/]{0,64}(?:youtube|twitch|ttvnw|facebook)[^\s/]{0,64}/\w{1,32}/|hooks\.slack\.com/\w+/|discord(?:app)?\.com/api/webhooks/|api\.telegram\.org/bot)[\w/:-]+"
)
_PHRASE = late_pattern(
    r"(?i)(\b(?:(?:seed|recovery|backup|secret)[ _-]?(?:phrase|words)|mnemonic)"
    r"[\"']?\s{0,3}[:=]\s{0,9}[\"']?)"
    r"[a-z]{3,10}(?: [a-z]{3,10}){5,23}"
)
# `Your verification code is 482913`
_CODE = late_pattern(
    r"(?i)(\b(?:one-time|verification|security|2fa|mfa|otp|login|access|backup|recovery|authentication|sms|device)\s"
    r"(?:pass)?code(?:\s(?:is|was))?:?\s{1,9})(?-i:[A-Z\d][A-Z\d-]{3,11})(?![\w-])"
)
# What a text gives to a program or a call as its secret: a login, an input, a word of its own.
_LOGIN_OPTION = late_pattern(
    r"(?<!\S)((?:-u|-U|--user|--proxy-user|--(?:src-|dest-)?creds)[ =][\"']?[^\s:%/\"']{1,256}[:%][\"']?)"
    r"(?!\d++(?!\S))(?:(?:[a-z]{4} ){3}[a-z]{4}(?![^\s\"'])|[^\s\"']++)"  # with Google's, which has blanks
)
_Q = r"\\{0,3}[\"']"
_OPEN_LOGIN = late_pattern(r"(\bopen\s{1,9}-u\s{1,9}[\"']?[^\s,\"']{1,256},)[^\s\"';]++")  # in `lftp -c`
_STRING = rf"{_Q}[^\"'\n]{{0,256}}{_Q}\s{{0,9}},\s{{0,9}}"
_CALL = late_pattern(
    rf"(\b(?:connect|database)\(\s{{0,9}}{_STRING}{_STRING}{_Q}"
    rf"|\blogin\(\s{{0,9}}(?={_Q}[^\"'\n]{{6,256}}{_Q}\s{{0,9}}\)){_Q}|(?:\blogin|\bHTTP(?:Basic|Digest)Auth|\b(?:Network|PS|UsernamePassword)Credentials?|auth\s{{0,9}}=\s{{0,9}})\(\s{{0,9}}{_STRING}{_Q})[^\"'\n\\]++"
)
# The value of `echo` and `<<<`: in its quotes, else a word; none that the shell fills in.
_GIVEN = r"[\"']?)(?!\$\{?\w{1,64}\}?[\"'\s])(?:(?<=[\"'])[^\"'\n]{1,256}(?=[\"'])|[^\s|\"']++)"
_TAKES_INPUT = (
    r"(?:-stdin|\bsudo\s{1,9}(?:-\w{1,9}\s{1,9}){0,3}-\w{0,9}S|chpasswd|cryptsetup|kinit|login|passwd"
    r"|passphrase-fd|-pass\s{1,9}stdin|with-token|secret-tool|\bpass\s{1,9}insert|\bsu\s)"
)
_HERE = late_pattern(rf"({_TAKES_INPUT}[^|\n<]{{0,200}}<<<\s{{0,9}}{_GIVEN}")
# Of SQL and of PowerShell; `xfreerdp /u:ada "/p:X Y"` in a text.
_SAID = late_pattern(
    r"(?i)(\b(?:identified\s{1,9}by|convertto-securestring(?:\s{1,9}-string)?)\s{1,9}[\"'])[^\"'\n]{1,256}"
)
_OF_NPM = late_pattern(r"(:_(?:auth|authToken|password)[=\s]\s{0,9})[^\s=]++")
_SLASH_P = late_pattern(
    r"((?<!\S)/u:\S{1,64}(?:\s{1,9}\S{1,64}){0,6}?\s{1,9}\"?/p:)(?:(?<=\"/p:)[^\"\n]{1,256}|[^\s\"]{1,256})"
)
_SENT = late_pattern(rf"(\bsend\s{{1,9}}(?:--\s{{1,9}})?{_Q})[^\"'\n]{{1,256}}(?=\\[rn])")
_PIPED = late_pattern(
    r"(\b(?:echo|printf)\s{1,9}(?:-[ne]{1,2}\s{1,9}|[\"']?%s(?:\\n)?[\"']?\s{1,9})?"
    rf"{_GIVEN}(?=[\"']?\s{{0,9}}\|[^|\n]{{0,200}}(?:{_TAKES_INPUT}|base64))"
)

_UUID = r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
# No secrets: a GPU's name, which the reader looks for; a notebook's connection file; a name in braces, as
# Firefox has; a checksum that says so (`blobs/sha256-6a07...`); a local path, as caches are named by hashes.
_ROOTS = (
    r"home|users|data\d?|datasets|mnt|media|scratch|usr|opt|var|tmp|run|root|srv|work|nfs|gpfs|lustre|projects?"
    r"|etc|lib|storage|shared?|ssd\d?|hdd\d?|nvme\d?|nas|models|cache"
)
_KEEP = late_pattern(
    rf"((?:MIG-)?(?:GPU|MIG)-{_UUID}|\bkernel-{_UUID}|\{{{_UUID}\}}"
    r"|\bsha(?:1|256|512)[-:][0-9a-f]{40,128}(?![0-9a-f])"
    r"|/[0-9a-f]{32,64}(?=\.[a-z][a-z0-9]{1,11}\b)"  # a file that is named by its checksum
    r"|(?m:^)[0-9a-f]{32,128}(?=  [\w./~-])|\bage1[a-z0-9]{58}\b"  # lines of sha256sum; who may read
    r"|\bSHA256:[A-Za-z0-9+/]{43}(?![A-Za-z0-9+/])"  # a key's fingerprint, as ssh writes it
    rf"|(?<![\w.:/])(?:~|\.{{1,2}}|/(?:{_ROOTS}))/[\w./@+,~-]*+)"
)

_LONG = late_pattern(
    rf"(?P<uuid>{_UUID})"
    r"|(?P<hex>(?<![0-9A-Za-z])(?:0x)?[0-9a-fA-F]{32,}(?![0-9A-Za-z]))"
    r"|(?P<blob>[A-Za-z0-9+/_-]{32,}={0,3}|[A-Za-z0-9+/_-]{20,}={1,3}(?![A-Za-z0-9]))"
)
_DIGEST = late_pattern(r"[0-9a-f]{7,64}|[0-9A-F]{40}|" + _UUID)
_DIGEST_NAME = late_pattern(
    r"(?i)(?<![a-z])(?:(?:md5|sha(?:1|256|512)?(?:sums?)?|commit|rev|revision|hash|digest|checksum|etag|snapshots?"
    r"|blobs?|refs?|objects|tree|checkout|reset|cherry-pick|revert|merge|show"
    r"|origin|upstream|fetch|rebase|diff)(?:[-_]?(?:id|hash|digest|sha))?"
    r"|-{1,2}id|subscription|tenant|inspect|attach|logs|(?:rsa|e[cd]dsa|ed25519|dsa)\skey|recv-keys?|fingerprint|fpr|default-key|local-user"
    r"|(?:md5|sha(?:1|256|512))(?:sums?)?(?:\s(?:mismatch|expected|actual|hash|digest|check|of)){1,3}"
    r"|(?:(?:run|job|trace|exp|experiment|study|sample|scan|image|part|disk|fs|device|gpu)[-_]?)?(?:uu|gu)id|[\w-]{0,20}reporter"
    r"|(?:run|job|trace|exp|experiment|study|request|correlation|message|event|task|process|build|pod|container"
    r"|subscription|tenant|node|machine|boot|cluster|instance|workflow|dataset|span|artifact|sweep|batch)[-_]?id)[\"']?[=:/@\s]{1,3}[\"']?\Z"
)
_DIGEST_NAME_MOST = 40
_RUNS = late_pattern(r"[a-z]+|[A-Z]+|[0-9]+|[^A-Za-z0-9]+")
_STAMP = late_pattern(r"(?<!\d)20\d{6}[-_T]?\d{4,6}Z?(?!\d)")  # the time in a run's name
_SEPARATOR = late_pattern(r"[+/_-]")
_LONG_ENOUGH = 32
_MANY_NUMBERS = 3  # chance gives twice as many among 32 small letters and digits, or capitals and digits


def has_blanks(s: str) -> bool:
    """Tell whether it is of several words: most arguments are not, and many patterns have a blank in them."""
    return len(s.split(None, 1)) > 1


def hide_given(s: str) -> str:
    """Replace what a text gives to a program or a call as its secret by `***`."""
    for pattern in (_LOGIN_OPTION, _CALL, _OF_NPM):
        s = pattern.sub(rf"\1{REDACTED}", s)
    if has_blanks(s):
        for pattern in (_OPEN_LOGIN, _HERE, _SENT, _SAID, _SLASH_P, _PIPED):
            s = pattern.sub(rf"\1{REDACTED}", s)
    return s


def hide_shapes(s: str) -> str:
    """Replace every known shape of a secret by `***`."""
    s = _PEM.sub(REDACTED, s)
    s = _LOGIN_IN_URL.sub(rf"\1{REDACTED}@", s)
    s = _HOOK.sub(rf"\1{REDACTED}", s)
    s = _TOKEN_IN_PATH.sub(rf"\1{REDACTED}", s)
    s = _GO_DSN.sub(rf"\1{REDACTED}", s)
    if has_blanks(s):
        for pattern in (_PHRASE, _CODE, _BEARER):
            s = pattern.sub(rf"\1{REDACTED}", s)
    s = _ISSUED.sub(REDACTED, s)
    parts = _KEEP.split(s)
    parts[::2] = [_LONG.sub(_hide_long, part) for part in parts[::2]]
    return "".join(parts)


def _hide_long(found: re.Match[str]) -> str:
    if found["blob"] is not None:
        return _hide_random(found["blob"])
    about = found.string[max(0, found.start() - _DIGEST_NAME_MOST) : found.start()]
    return found[0] if is_digest(about, found[0]) else REDACTED


def is_digest(before: str, value: str) -> bool:
    """Tell whether `value` is a commit, a checksum or a run's id, by what stands before it."""
    return _DIGEST.fullmatch(value) is not None and _DIGEST_NAME.search(before) is not None


def _hide_random(s: str) -> str:
    """Hide a run of base64's letters: as a whole where it looks random, else part by part of a path."""
    bare = s.rstrip("=")
    if _STAMP.search(bare) and len(_STAMP.sub("", bare)) < _LONG_ENOUGH:
        return s
    if _looks_random(bare, 0.45 if "/" in bare else 0.35) or (
        s != bare and "/" not in bare and _looks_random(bare, 0.3)
    ):
        return REDACTED
    if "/" not in bare:
        return s
    parts = s.split("/")
    for place, part in enumerate(parts):
        digest = place and is_digest(f"{parts[place - 1]}/", part)
        if len(part) >= _LONG_ENOUGH and _looks_random(part, 0.35) and not digest:
            parts[place] = REDACTED
    return "/".join(parts)


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
