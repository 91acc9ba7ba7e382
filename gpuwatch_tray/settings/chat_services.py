"""
The services that chats may be on: those that are reached over the network by HTTP, and by nothing else.

Apprise knows some 170 and loads what an address names, this computer's log and its desktop too. So an
address counts only where its scheme is in this list.
"""

from __future__ import annotations

import re
from urllib.parse import parse_qs, urlsplit

from msgspec import Struct

from gpuwatch_tray.settings.validators import is_loopback


class ChatService(Struct, frozen=True):
    """
    A service by its name for people; `secure` is the scheme of https, where this one is of plain http.

    `server`: the address begins with a server, and not with a token, so that it may be shown in part.
    """

    title: str
    server: bool = False
    secure: str = ""


def _with_server(title: str, scheme: str) -> dict[str, ChatService]:
    secure = f"{scheme}s"
    return {scheme: ChatService(title, server=True, secure=secure), secure: ChatService(title, server=True)}


WEBHOOK, PLAIN_WEBHOOK = "webhook", "webhook+http"  # ours, not Apprise's
KEYRING = "keyring"  # stands in place of an address that is in the keyring
SERVICES: dict[str, ChatService] = {
    **_with_server("ntfy", "ntfy"),
    **_with_server("Gotify", "gotify"),
    **_with_server("Matrix", "matrix"),
    **_with_server("Mattermost", "mmost"),
    **_with_server("Rocket.Chat", "rocket"),
    **_with_server("Nextcloud Talk", "nctalk"),
    **_with_server("Signal", "signal"),
    **_with_server("Synology Chat", "synology"),
    **_with_server("Home Assistant", "hassio"),
    **_with_server("Bark", "bark"),
    **_with_server("PushDeer", "pushdeer"),
    **_with_server("Apprise API", "apprise"),
    WEBHOOK: ChatService("webhook", server=True),
    PLAIN_WEBHOOK: ChatService("webhook", server=True, secure=WEBHOOK),
    "workflow": ChatService("Microsoft Teams", server=True),
    "workflows": ChatService("Microsoft Teams", server=True),
    "tgram": ChatService("Telegram"),
    "slack": ChatService("Slack"),
    "discord": ChatService("Discord"),
    "pover": ChatService("Pushover"),
    "pbul": ChatService("Pushbullet"),
    "prowl": ChatService("Prowl"),
    "gchat": ChatService("Google Chat"),
    "wxteams": ChatService("Webex"),
    "webex": ChatService("Webex"),
    "zulip": ChatService("Zulip"),
    "line": ChatService("LINE"),
    "ifttt": ChatService("IFTTT"),
    "twilio": ChatService("Twilio"),
    "wecombot": ChatService("WeChat Work"),
    "dingtalk": ChatService("DingTalk"),
    "feishu": ChatService("Feishu"),
    "lark": ChatService("Lark"),
    "schan": ChatService("ServerChan"),
    "pushplus": ChatService("PushPlus"),
}
# The servers whose addresses, as the service's own page shows them, Apprise reads too.
_NATIVE = {
    "hooks.slack.com": "slack",
    "discord.com": "discord",
    "discordapp.com": "discord",
    "ntfy.sh": "ntfys",
    "qyapi.weixin.qq.com": "wecombot",
    "open.larksuite.com": "lark",
    "chat.googleapis.com": "gchat",
    "webexapis.com": "wxteams",
    "maker.ifttt.com": "ifttt",
}
_TEAMS = (".logic.azure.com", ".powerplatform.com", ".webhook.office.com")
_DINGTALK, _FEISHU = "oapi.dingtalk.com", "open.feishu.cn"
_FEISHU_PATH = re.compile(r"/open-apis/bot/v\d/hook/([\w-]+)")
_CLOUDS = ("ntfy.sh",)  # which Apprise asks by https, whatever the scheme


def scheme_of(url: str) -> str:
    """Return the scheme in SERVICES that an address is of; empty where it is of none."""
    parts = urlsplit(url)
    if parts.scheme != "https":
        return parts.scheme if parts.scheme in SERVICES else ""
    host = parts.hostname or ""
    return "workflows" if host.endswith(_TEAMS) else _NATIVE.get(host, "")


def as_address(url: str) -> str:
    """Return an address that a service's page shows in the form that Apprise reads, where it needs one."""
    parts = urlsplit(url)
    if parts.scheme == "https" and parts.hostname == _DINGTALK:
        token = parse_qs(parts.query).get("access_token", [""])[0]
        return f"dingtalk://{token}" if token else url
    if parts.scheme == "https" and parts.hostname == _FEISHU and (found := _FEISHU_PATH.match(parts.path)):
        return f"feishu://{found[1]}"
    return url


def is_plain_http(url: str) -> bool:
    """Tell whether this address would send in plain text to another computer."""
    parts = urlsplit(url)
    service = SERVICES.get(parts.scheme)
    if service is None or not service.secure:
        return False
    host = parts.hostname or ""
    in_cloud = host in _CLOUDS or (parts.scheme == "ntfy" and not parts.path.strip("/"))
    return not in_cloud and not is_loopback(host)


def masked_place(url: str, service: ChatService) -> str:
    """Return the service and as much of its server as is no secret, such as `ntfy, p***.example.org`."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    # Without a path the name in the server's place may be a topic or a token.
    if not service.server or not host or not parts.path.strip("/"):
        return service.title
    if not is_loopback(host):
        first, _dot, rest = host.partition(".")
        is_number = first.isdecimal() or ":" in first  # an IP address
        host = f"{first[:1]}***.{rest}" if rest and not is_number else f"{first[:1]}***"
    return f"{service.title}, {host}"
