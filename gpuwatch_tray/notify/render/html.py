"""
The HTML part of mails, pure: short, for a phone first, translated, nothing fetched.

Tables and inline styles, as mail programs know little else; a state is never a colour alone.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from msgspec import Struct

from gpuwatch_tray import i18n
from gpuwatch_tray.common import redact
from gpuwatch_tray.common.late_pattern import late_pattern
from gpuwatch_tray.common.proclist import elapsed_text
from gpuwatch_tray.i18n import N_, _, ngettext
from gpuwatch_tray.model import GpuProcess, Message, MessageKind, Missing, ReminderNotice, Severity
from gpuwatch_tray.model.units import MIB, duration, local_time
from gpuwatch_tray.rules.every_rule import rule_title

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gpuwatch_tray.model import Alert


CHART = "chart@gpuwatch-tray"  # the Content-ID of the picture
MOST_ROWS = 20  # of a table: the text part has them all
MOST_MAILS = 60  # that a digest lists
LONGEST = 240  # characters of a command or a reason

_PICTURE = late_pattern(r"<!--picture-->.*?<!--/picture-->", re.DOTALL)
# White text on these colours has a contrast of 4.5 or more (WCAG 2.2, 1.4.3).
CRITICAL, WARNING, INFO, RESOLVED, NEUTRAL = "#b3261e", "#8a5a00", "#005a9c", "#1a6e3c", "#46525f"
SEVERITY_STYLES = {
    Severity.CRITICAL: ("◆", N_("critical"), CRITICAL),
    Severity.WARNING: ("▲", N_("warning"), WARNING),
    Severity.INFO: ("●", N_("info"), INFO),
}
TEXT, MUTED, BORDER, PANEL, BACKGROUND = "#16202a", "#52606d", "#d9dfe5", "#ffffff", "#eef1f4"
SANS = "font-family:-apple-system,'Segoe UI',Roboto,Helvetica,Arial,sans-serif"
WRAP = (
    "word-break:break-word;overflow-wrap:anywhere"  # a name of 64 letters has no gap, and a phone 390 pixels
)
MONO = "font-family:ui-monospace,Menlo,Consolas,monospace"
# For dark themes: mail programs that know `prefers-color-scheme` also keep classes.
STYLE = (
    ":root{color-scheme:light dark;supported-color-schemes:light dark}"
    "@media (prefers-color-scheme:dark){"
    ".g{background:#0f1418!important}.p{background:#1a2127!important}"
    ".i{color:#e6ebf0!important}.q{color:#adb8c3!important}.r{border-color:#37424d!important}}"
)


class MailIdentity(Struct, frozen=True):
    """
    The sender of a mail: the machine's short name, the user, and the path of the settings.

    With `threading` (MAIL_THREADING) all mails about an incident have the subject of the first.
    `watched_from` is the computer that watches the lab, where the mails are about that.
    """

    host: str
    user: str
    config: str
    threading: bool = False
    watched_from: str = ""

    @property
    def popup_host(self) -> str:
        """The host that a popup names; empty for the lab."""
        return "" if self.watched_from else self.host


class Band(Struct, frozen=True):
    """The coloured band at the top: the state as a shape and words, the title, where and when."""

    shape: str
    state: str
    colour: str
    title: str
    where: str


def without_picture(text: str) -> str:
    """Return the HTML without the place for the picture."""
    return _PICTURE.sub("", text)


def alerts_html(
    identity: MailIdentity,
    alerts: Sequence[Alert],
    processes: Sequence[GpuProcess],
    lost: Sequence[str],
    *,
    now: float,
    kind: MessageKind,
    is_repeat: bool,
) -> str:
    """Return the page about firing alerts and the processes that count; `lost` is what could not be read."""
    ordered = sorted(alerts, key=lambda alert: -alert.severity)
    if not ordered:
        shape, state, colour = "○", _("test: nothing is firing"), NEUTRAL
    else:
        shape, word, colour = SEVERITY_STYLES[ordered[0].severity]
        what = _("still firing") if is_repeat else _("firing")
        if kind is MessageKind.TEST:
            what = _("test")
        state = f"{_(word)} · {what}"
    band = Band(shape, state, colour, _headline(ordered) or _("Test mail"), _where(identity, now))
    parts = [_rows(_("Reasons"), [_reason(alert, now) for alert in ordered])]
    parts.append(_rows(_("Could not be read"), [_plain(line) for line in lost]))
    parts.append(_picture(ordered))
    if processes:
        parts.append(_rows(_("GPU processes"), [_process(process) for process in processes]))
    elif not lost and not identity.watched_from:  # no process of a lab is in a mail
        parts.append(_rows(_("GPU processes"), [_plain(_("none"))]))
    return _page(identity, band, parts)


def resolved_html(identity: MailIdentity, alerts: Sequence[Alert], *, now: float) -> str:
    """Return the page about alerts that are over."""
    ordered = sorted(alerts, key=lambda alert: -alert.severity)
    band = Band("✔", _("resolved"), RESOLVED, _headline(ordered), _where(identity, now))
    rows = [_resolved(alert, now) for alert in ordered]
    return _page(identity, band, [_rows(_("Over"), rows), _picture(ordered)])


def digest_html(
    identity: MailIdentity, mails: Sequence[tuple[Message, Sequence[str]]], *, now: float, late: bool
) -> str:
    """Return the page about several mails, each with its points."""
    if late:
        why = ngettext(
            "{count} mail could not be sent earlier", "{count} mails could not be sent earlier", len(mails)
        )
    else:
        why = ngettext("{count} mail was held back", "{count} mails were held back", len(mails))
    worst = max((mail.details.severity for mail, _points in mails if mail.details.severity), default=None)
    shape, word, colour = SEVERITY_STYLES[worst] if worst else ("≡", "", NEUTRAL)
    state = _("digest")
    if word:
        state = f"{state} · {_(word)}"
    band = Band(shape, state, colour, why.format(count=len(mails)), _where(identity, now))
    rows = [_mail(mail, points) for mail, points in mails]
    return _page(identity, band, [_rows(_("Mails in this digest"), rows, MOST_MAILS)])


def notice_html(identity: MailIdentity, notice: ReminderNotice) -> str:
    """Return the page of a notice that a person asked for."""
    shape, _word, colour = SEVERITY_STYLES[notice.severity]
    band = Band(shape, _("you asked to be notified"), colour, notice.title, _where(identity, notice.at))
    lines = [_plain(line) for line in (notice.text, *notice.details)]
    output = [_cell(_code(line)) for line in notice.output]
    picture = _picture_place() if notice.gpus else ""
    return _page(identity, band, [_rows(_("What happened"), lines), picture, _rows(_("Last lines"), output)])


def _page(identity: MailIdentity, band: Band, parts: Iterable[str]) -> str:
    """Return the whole document: one column of at most 600 pixels, which begins with state and title."""
    foot = _("Settings: {file}. What fires and why: `gpuwatch-tray alerts`.").format(file=identity.config)
    return (
        f'<!DOCTYPE html><html lang="{i18n.current_language().replace("_", "-")}">'
        '<head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>{_escape(band.title)}</title><style>{STYLE}</style></head>"
        f'<body class="g" style="margin:0;padding:0;background:{BACKGROUND}">'
        f'<table role="presentation" class="g" width="100%" cellpadding="0" cellspacing="0"'
        f' style="background:{BACKGROUND}"><tr><td align="center" style="padding:12px 8px">'
        f'<table role="presentation" class="p" width="100%" cellpadding="0" cellspacing="0"'
        f' style="max-width:600px;background:{PANEL};border-radius:10px;overflow:hidden;table-layout:fixed">'
        f'<tr><td style="background:{band.colour};color:#ffffff;padding:14px 16px;{SANS};{WRAP}">'
        f'<div style="font-size:15px;line-height:20px"><span style="font-size:18px">{band.shape}</span>'
        f'&nbsp; <b style="letter-spacing:.02em">{_escape(band.state)}</b></div>'
        f'<div style="font-size:20px;line-height:26px;font-weight:600;padding-top:4px">'
        f"{_escape(_shorten(band.title))}</div>"
        f'<div style="font-size:13px;line-height:18px;padding-top:4px">{_escape(band.where)}</div></td></tr>'
        f"{''.join(parts)}"
        f'<tr><td class="q" style="padding:14px 16px;color:{MUTED};font-size:12px;line-height:17px;{SANS};'
        f'{WRAP}">{_escape(foot)}</td></tr></table></td></tr></table></body></html>'
    )


def _rows(heading: str, cells: Sequence[str], most: int = MOST_ROWS) -> str:
    """Return a heading and a table of `most` rows at most, with the rest counted; '' without rows."""
    if not cells:
        return ""
    shown = list(cells[:most])
    if rest := len(cells) - len(shown):
        shown.append(_plain(_("… and {count} more: see the plain-text part").format(count=rest)))
    style = f"color:{MUTED};font-size:12px;line-height:16px;padding-bottom:2px;font-weight:600;{SANS}"
    title = f'<div class="q" style="{style}">{_escape(heading)}</div>'
    rows = "".join(f"<tr>{cell}</tr>" for cell in shown)
    return (
        f'<tr><td style="padding:14px 16px 0">{title}<table width="100%" cellpadding="0" cellspacing="0"'
        f' style="table-layout:fixed">{rows}</table></td></tr>'
    )


def _cell(content: str) -> str:
    style = (
        f"padding:7px 0;border-top:1px solid {BORDER};color:{TEXT};font-size:14px;line-height:20px;{SANS};"
        f"{WRAP}"
    )
    return f'<td class="i r" style="{style}">{content}</td>'


def _plain(line: str) -> str:
    return _cell(_escape(_shorten(line)))


def _muted(line: str) -> str:
    return f'<div class="q" style="color:{MUTED};font-size:13px;line-height:18px">{_escape(line)}</div>'


def _code(line: str) -> str:
    style = f"color:{MUTED};font-size:12px;line-height:17px;{MONO}"
    return f'<div class="q" style="{style}">{_escape(_shorten(line))}</div>'


def _reason(alert: Alert, now: float) -> str:
    shape, word, _colour = SEVERITY_STYLES[alert.severity]
    since = _("{shape} {severity}, for {time}").format(
        shape=shape, severity=_(word), time=duration(max(0.0, now - alert.since))
    )
    return _cell(f"<b>{_escape(rule_title(alert.rule))}</b><br>{_message(alert)}{_muted(since)}")


def _resolved(alert: Alert, now: float) -> str:
    lasted = _("✔ over after {time}").format(time=duration(max(0.0, now - alert.since)))
    return _cell(f"<b>{_escape(rule_title(alert.rule))}</b><br>{_message(alert)}{_muted(lasted)}")


def _message(alert: Alert) -> str:
    return _escape(_shorten(redact.text(alert.message)))


def _process(process: GpuProcess) -> str:
    gpu = "?" if process.gpu is None else process.gpu
    memory = "?" if isinstance(process.memory, Missing) else f"{process.memory // MIB} MiB"
    first = f"<b>GPU {gpu}</b> &nbsp;{memory} &nbsp;PID {process.pid} &nbsp;{_elapsed(process)}"
    lines = [_code(redact.command(process))]
    if process.mine and not isinstance(process.cwd, Missing):
        lines.append(_code(redact.text(process.cwd)))
    return _cell(first + "".join(lines))


def _elapsed(process: GpuProcess) -> str:
    return _escape(elapsed_text(process.elapsed))


def _mail(mail: Message, points: Sequence[str]) -> str:
    severity = mail.details.severity
    if mail.kind is MessageKind.RESOLVED:
        shape, word = "✔", _("resolved")
    elif severity is None:
        shape, word = "○", mail.kind.value
    else:
        shape, word = SEVERITY_STYLES[severity][0], _(SEVERITY_STYLES[severity][1])
    first = f"<b>{_escape(local_time(mail.created))}</b> &nbsp;{shape} {_escape(word)}"
    few = points[:3]
    lines = "".join(f"<div>{_escape(_shorten(point))}</div>" for point in few)
    more = (
        _muted(_("and {count} more").format(count=len(points) - len(few))) if len(points) > len(few) else ""
    )
    return _cell(first + lines + more)


def _picture(alerts: Sequence[Alert]) -> str:
    """Return the place for the picture; `without_picture` removes it where there is none at sending."""
    return _picture_place() if any(alert.subject for alert in alerts) else ""


def _picture_place() -> str:
    alt = _("The last hours of the GPU: memory, utilisation and temperature")
    return (
        '<!--picture--><tr><td style="padding:14px 16px 0">'
        f'<img src="cid:{CHART}" alt="{_escape(alt)}" width="568"'
        ' style="width:100%;max-width:568px;height:auto;border:0;border-radius:6px;display:block">'
        "</td></tr><!--/picture-->"
    )


def _headline(alerts: Sequence[Alert]) -> str:
    """Return the title of the first alert, and how many more there are."""
    if not alerts:
        return ""
    first = rule_title(alerts[0].rule)
    rest = len(alerts) - 1
    return _("{title}, and {count} more").format(title=first, count=rest) if rest else first


def _where(identity: MailIdentity, at: float) -> str:
    if identity.watched_from:
        whose = _("the lab, watched from {host}").format(host=f"{identity.user}@{identity.watched_from}")
        return f"{whose} · {local_time(at)}"
    return f"{identity.user}@{identity.host} · {local_time(at)}"


def _shorten(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def _escape(text: str) -> str:
    """Return foreign text as HTML, without tags and without characters that reorder what is read."""
    from html import escape  # late: its table of entities is of no use to an idle tray

    return escape(redact.visible(text))
