"""
The mail servers of large providers, by the domain of the address.

Names and ports are those of the providers' own help pages, as in Mozilla's public list of them
(https://autoconfig.thunderbird.net/v1.1/DOMAIN).
"""

from __future__ import annotations

from msgspec import Struct

from gpuwatch_tray.i18n import N_


class KnownServer(Struct, frozen=True):
    """A provider's server; `note` says which password it takes, or with `refused` why it takes none."""

    host: str
    port: int
    domains: frozenset[str]
    note: str = ""
    refused: bool = False


STARTTLS, TLS = 587, 465
_APP_PASSWORD = N_("Use an app password, not your usual one; create it on your account's security page.")
_ALLOW = N_("Switch on SMTP in your mailbox's settings first; some want a password for programs.")
_CODE = N_("Use an authorization code, not your password; create it in your mailbox's settings.")
_GMAIL = N_("Use an app password, not your usual one: https://myaccount.google.com/apppasswords")
_MICROSOFT = N_(
    "Outlook.com and Hotmail no longer let programs sign in with a password: use another account to send."
)

KNOWN_SERVERS = tuple(
    KnownServer(host, port, frozenset(domains.split()), note, note == _MICROSOFT)
    for host, port, domains, note in (
        ("smtp.gmail.com", STARTTLS, "gmail.com googlemail.com", _GMAIL),
        ("smtp-mail.outlook.com", STARTTLS, "outlook.com hotmail.com live.com msn.com", _MICROSOFT),
        ("smtp.mail.yahoo.com", TLS, "yahoo.com ymail.com yahoo.co.uk yahoo.de yahoo.fr", _APP_PASSWORD),
        ("smtp.mail.me.com", STARTTLS, "icloud.com me.com mac.com", _APP_PASSWORD),
        ("smtp.fastmail.com", TLS, "fastmail.com fastmail.fm", _APP_PASSWORD),
        ("mail.gmx.net", STARTTLS, "gmx.net gmx.de gmx.at gmx.ch", _ALLOW),
        ("mail.gmx.com", STARTTLS, "gmx.com", _ALLOW),
        ("smtp.web.de", STARTTLS, "web.de", _ALLOW),
        ("securesmtp.t-online.de", TLS, "t-online.de", _ALLOW),
        ("posteo.de", STARTTLS, "posteo.de posteo.net", ""),
        ("smtp.mailbox.org", STARTTLS, "mailbox.org", ""),
        ("smtp.yandex.com", TLS, "yandex.com yandex.ru ya.ru", _APP_PASSWORD),
        ("smtp.mail.ru", TLS, "mail.ru bk.ru inbox.ru list.ru", _APP_PASSWORD),
        ("smtp.zoho.com", TLS, "zoho.com zohomail.com", _APP_PASSWORD),
        ("smtp.qq.com", TLS, "qq.com foxmail.com", _CODE),
        ("smtp.163.com", TLS, "163.com", _CODE),
        ("smtp.126.com", TLS, "126.com", _CODE),
        ("smtp.sina.com", TLS, "sina.com", _CODE),
        ("smtp.aliyun.com", TLS, "aliyun.com", ""),
    )
)


def known_server(domain: str) -> KnownServer | None:
    """Return the server of the provider with this domain of addresses, None where it is not known."""
    name = domain.lower().rstrip(".")
    return next((server for server in KNOWN_SERVERS if name in server.domains), None)
