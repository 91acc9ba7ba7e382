"""Secrets known by their shape alone: issuers' prefixes, logins in URLs, long strings that look random."""

from __future__ import annotations

import re

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
