"""
What a mail server's refusal is about: the login, the sender, this computer, a limit, the mail, the recipient.

The enhanced code (RFC 3463) counts first, then the text, then the step. Postfix and others tell a refused
sender or client only at RCPT or after the text, so that the step alone would blame the recipient.

The codes beyond RFC 3463 and the words are from RFC 5248's registry, RFC 5321 (4.2), Postfix's and Exim's
sources, Exchange Online's list (learn.microsoft.com, "Email non-delivery reports and SMTP errors") and
Gmail's (support.google.com/a/answer/3726730). The tests have their replies, by source.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

from gpuwatch_tray.i18n import N_, _
from gpuwatch_tray.notify.transport import FailureKind

if TYPE_CHECKING:
    from collections.abc import Iterator


class SmtpStep(Enum):
    """Where in the session we are, with its name for people."""

    CONNECT = N_("connecting")
    GREETING = N_("greeting")
    HELLO = "EHLO"
    STARTTLS = "STARTTLS"
    LOGIN = N_("login")
    SENDER = N_("sender")
    RECIPIENT = N_("recipient")
    TEXT = N_("mail text")


LOGIN_MEND = N_(
    "check SMTP_USER and the password (SMTP_PASS or SMTP_PASS_FILE in smtp.env, or"
    " `gpuwatch-tray mail password`); Gmail, iCloud and others want an app password here"
)
PLAIN_MEND = N_(
    "this relay requires a login: remove SMTP_SECURITY from smtp.env, and set SMTP_USER and SMTP_PASS"
)
NO_PASSWORDS_MEND = N_(
    "this server accepts no passwords from SMTP_USER: ask its administrator to allow "
    "SMTP AUTH for that mailbox, or set SMTP_HOST to another server"
)
SENDER_MEND = N_("set FROM_EMAIL in smtp.env to an address that this account may send from")
CLIENT_MEND = N_(
    "the server refuses this computer, not the mail: set SMTP_HOST and SMTP_PORT in "
    "smtp.env to a server that accepts mail with a login (port 587 or 465), or ask its "
    "administrator"
)
RELAY_MEND = N_(
    "the server does not send to that address for this account: check SMTP_HOST and SMTP_USER in smtp.env,"
    " and TO_EMAIL"
)
ACCOUNT_MEND = N_(
    "the server has blocked this account or its domain: ask its administrator to lift "
    "that, or set SMTP_USER and FROM_EMAIL in smtp.env to another account"
)
SIZE_MEND = N_("the mail is too big for this server")
POLICY_MEND = N_("the server's rules refuse this mail: ask its administrator")
RULES_MEND = N_(
    "the server's rules refuse it: check FROM_EMAIL and SMTP_HOST in smtp.env, and TO_EMAIL,"
    " or ask its administrator"
)
ADDRESS_MEND = N_("check TO_EMAIL in gpu-watch.env")
SERVER_MEND = N_("check SMTP_HOST and SMTP_PORT in smtp.env")
LIMIT_MEND = N_("the account's sending limit is reached")
FAULT_MEND = N_("the server cannot forward it because of an error of its own: ask its administrator")
BUSY_MEND = N_("the server accepts no mail now; sending is retried until it does")
FULL_MEND = N_("a recipient's mailbox is full; sending is retried until there is room")

# Replies (RFC 5321, RFC 4954)
TEMPORARY = range(400, 500)
PERMANENT = range(500, 600)
LOGIN_REFUSALS = (530, 534, 535, 538)
TOO_MUCH = 552  # a full mailbox at RCPT, a mail too big elsewhere
PROTOCOL_ERRORS = (500, 502, 503, 504, 555)

_BEFORE_THE_MAIL = frozenset(
    {SmtpStep.CONNECT, SmtpStep.GREETING, SmtpStep.HELLO, SmtpStep.STARTTLS, SmtpStep.LOGIN}
)
_ENHANCED = re.compile(r"\s*#?[245]\.(\d{1,3}\.\d{1,3})\b")  # at the start of the answer
_QUOTED = re.compile(r"<[^>]*>|https?://\S+|\S+@\S+")  # what may hold any word


class _Cause(NamedTuple):
    """What a refusal is about: by codes (RFC 3463 without the class, or Exchange's and Gmail's) or words."""

    codes: frozenset[str]
    words: re.Pattern[str]
    kind: FailureKind
    mend: str


def _cause(codes: str, words: str, kind: FailureKind, mend: str) -> _Cause:
    return _Cause(frozenset(codes.split()), re.compile(words, re.IGNORECASE), kind, mend)


_NO_PASSWORDS = _cause(
    "7.139",
    r"basic ?auth|SmtpClientAuthentication is disabled",
    FailureKind.CONFIGURATION,
    NO_PASSWORDS_MEND,
)
# Their words count before any code: Exchange sends 5.2.2, RFC 3463's full mailbox, and 5.1.8 for reasons of
# its own too, and several servers 5.7.1 for everything.
_ACCOUNT = _cause(
    "7.501 7.502 7.503 7.705 7.708 7.800",
    r"bad outbound sender|sending denied|spam abuse detected",
    FailureKind.CONFIGURATION,
    ACCOUNT_MEND,
)
_SUBMISSIONS = _cause(
    "1.90 2.121 2.122 4.5 5.3 7.28 7.232 7.233 7.508",
    r"submission quota|unusual rate|too many recipients|(mail|messages?) (too quickly|at a rate)",
    FailureKind.QUOTA,
    LIMIT_MEND,
)
_RULES = _cause(
    "7.12 7.13 7.29 7.124 7.133 7.134 7.135 7.136 7.703",
    r"administrative prohibition|delivery not authori[sz]ed|policy that prohibit",
    FailureKind.CONFIGURATION,
    RULES_MEND,
)
_SENDER = _cause(
    "1.7 1.8 2.252 7.20 7.21 7.22 7.23 7.24 7.26 7.27 7.30 7.32 7.60 7.509 7.512 7.750",
    r"\bsender\b.*(reject|denied|refus|verif|not |fail|invalid|unknown|must)|not owned by|send ?as\b|spf"
    r"|dmarc|(allow|permit|authori[sz])\w* to send (as|from|mail from)|(from|return) ?(address|path)"
    r"|envelope from|\bfrom: header",
    FailureKind.CONFIGURATION,
    SENDER_MEND,
)
_CLIENT = _cause(
    "7.25 7.506 7.507 7.510 7.511 7.513 " + " ".join(f"7.{number}" for number in range(606, 650)),
    r"client (host|was |is |address )?.{0,60}(block|reject|denied|refus|banned)"
    r"|\b(helo|ehlo)\b.{0,60}(reject|denied|invalid|refus)|(invalid|bad|forged) (helo|ehlo)|black ?list"
    r"|block ?list|deny ?list|\b(dns)?[rb]?bl\b|spamhaus|reputation|reverse|\bptr\b|\bip\b|banned"
    r"|find your host",
    FailureKind.CONFIGURATION,
    CLIENT_MEND,
)
_RELAY = _cause(
    "7.54 7.64",
    r"relay(ing)? (access )?(is )?(denied|not |prohib|forbid)|(not|unable|cannot|no|refuse\w*|don't)( \w+)*"
    r" relay|credentials for relay",
    FailureKind.CONFIGURATION,
    RELAY_MEND,
)
_LOGIN = _cause(
    "7.8 7.9 7.57",
    r"authenticat\w+ (is )?(required|needed|failed|unsuccessful)|(not|must|please|need to) (be )?authenticat"
    r"|log ?in (first|required)",
    FailureKind.CONFIGURATION,
    LOGIN_MEND,
)
_SIZE = _cause(
    "3.4 2.3",
    r"too (big|large|long)|(message|mail|maximum) size|size (limit|exceed)",
    FailureKind.MESSAGE,
    SIZE_MEND,
)
_FULL = _cause(
    "2.2",
    r"mailbox.{0,30}(full|quota|storage|exceed)|over ?quota|(user|recipient).{0,20}quota"
    r"|(out of|insufficient) storage|disk (space|quota)|storage (space|allocation|limit|exceed)",
    FailureKind.QUOTA,
    FULL_MEND,
)
_BUSY = _cause("3.1 3.2", r"not accepting|try (again )?later|system storage", FailureKind.QUOTA, BUSY_MEND)
_FAULT = _cause("3.5 4.2 4.3 4.6 4.7 4.14", r"\bmail loop|too many hops", FailureKind.QUOTA, FAULT_MEND)
_LIMIT = _cause(
    "",
    r"quota|(rate|sending|daily|hourly|message|submission)s? limit|limit\b.{0,20}(exceed|reach)"
    r"|exceed\w*\b.{0,20}limit|too (many (messages|e?-?mails|connections)|fast|quickly)|throttl|flood",
    FailureKind.QUOTA,
    LIMIT_MEND,
)
_CONTENT = _cause(
    " ".join(f"6.{number}" for number in (*range(7), *range(8, 12))),
    r"\bspam\b|unsolicited|virus|malware|phish|content|attachment|rfc ?(2822|5322)|\bheaders?\b",
    FailureKind.MESSAGE,
    POLICY_MEND,
)
_RECIPIENT = _cause(
    "1.1 1.2 1.3 1.4 1.6 1.10 4.4 4.310 6.7 7.17 7.18 7.504 7.505",
    r"recipient|no such|(user|mailbox|address) (\w+ )?(unknown|not|invalid|unavailable|disabled|inactive)"
    r"|account that you tried to reach"
    r"|(unknown|invalid|bad|inactive) (local )?(user|mailbox|address|recipient|destination)|not exist",
    FailureKind.RECIPIENT,
    ADDRESS_MEND,
)


_TELLING = (_ACCOUNT, _SUBMISSIONS, _RULES)


def _possible_causes(step: SmtpStep) -> Iterator[_Cause]:
    """Yield what a refusal at this step can be about, the most telling words first."""
    yield _NO_PASSWORDS
    if step is SmtpStep.LOGIN:
        return
    if step not in _BEFORE_THE_MAIL:
        yield from (*_TELLING, _SENDER)
    yield _CLIENT
    if step not in _BEFORE_THE_MAIL:
        yield from (_RELAY, _LOGIN, _SIZE, _FULL, _BUSY, _FAULT)
    yield _LIMIT
    if step is SmtpStep.TEXT:
        yield _CONTENT
    if step in (SmtpStep.RECIPIENT, SmtpStep.TEXT):
        yield _RECIPIENT


def _find_cause(step: SmtpStep, answer: str) -> _Cause | None:
    causes = tuple(_possible_causes(step))
    code, words = _ENHANCED.match(answer), _QUOTED.sub("", answer)
    telling = (cause for cause in causes if cause in _TELLING and cause.words.search(words))
    by_code = (cause for cause in causes if code is not None and code[1] in cause.codes)
    by_words = (cause for cause in causes if cause.words.search(words))
    return next(telling, None) or next(by_code, None) or next(by_words, None)


def classify_refusal(
    step: SmtpStep, code: int, answer: str, *, plain: bool = False
) -> tuple[FailureKind, str]:
    """Return the kind and the mend of a reply other than success; `plain` where there is no login."""
    cause = _find_cause(step, answer)
    if code in TEMPORARY:
        return FailureKind.TRANSIENT, _(cause.mend) if cause in (_SENDER, _CLIENT, _FULL) else ""
    login = code in LOGIN_REFUSALS or cause is _LOGIN
    if plain and (login or cause is _RELAY):
        return FailureKind.CONFIGURATION, _(PLAIN_MEND)
    if cause is not None and (cause is _NO_PASSWORDS or not login):
        return cause.kind, _(cause.mend)
    if login or step is SmtpStep.LOGIN:
        return FailureKind.CONFIGURATION, _(LOGIN_MEND)
    return _classify_by_step(step, code, answer)


def _classify_by_step(step: SmtpStep, code: int, answer: str) -> tuple[FailureKind, str]:
    """Return the kind and the mend of a refusal that says nothing about its cause."""
    if step in _BEFORE_THE_MAIL or code not in PERMANENT or code in PROTOCOL_ERRORS:
        return FailureKind.CONFIGURATION, _(SERVER_MEND)
    if code == TOO_MUCH:
        if step is SmtpStep.RECIPIENT:
            return FailureKind.QUOTA, _(FULL_MEND)
        return FailureKind.MESSAGE, _(SIZE_MEND)
    if step is SmtpStep.SENDER:
        return FailureKind.CONFIGURATION, _(SENDER_MEND)
    if step is SmtpStep.TEXT:
        return FailureKind.MESSAGE, _(POLICY_MEND)
    detail = _ENHANCED.match(answer)
    if detail is not None and detail[1].startswith("7."):
        return FailureKind.CONFIGURATION, _(RULES_MEND)
    return FailureKind.RECIPIENT, _(ADDRESS_MEND)
