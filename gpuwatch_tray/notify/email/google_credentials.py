"""
The two files of the Gmail sign-in: credentials.json, downloaded from Google, and token.json, written by us.

The token is as good as a password: mode 0600, replaced in one step and under a lock, so that no renewal of an
old sign-in undoes a new one; refused where others can read it.
"""

from __future__ import annotations

import contextlib
import json
import logging
import stat
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from filelock import FileLock, Timeout

from gpuwatch_tray.common.private import is_open_to_others
from gpuwatch_tray.i18n import N_, _
from gpuwatch_tray.notify.transport import FailureKind, TransportError, configuration_error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


log = logging.getLogger(__name__)

SCOPE = "https://www.googleapis.com/auth/gmail.send"
_WIDER = ("https://mail.google.com/", SCOPE.replace("send", "modify"), SCOPE.replace("send", "compose"))
SENDING_SCOPES = frozenset({SCOPE, *_WIDER})
TOKEN_URI = "https://oauth2.googleapis.com/token"  # noqa: S105  # an address
LOGIN_MEND = N_("sign in with `gpuwatch-tray mail login`")
DOWNLOAD_MEND = N_("download it again from the Google Cloud console: an OAuth client of the type Desktop app")
LOCK_TIMEOUT = 20.0  # seconds: its holder waits for one answer of Google's


def sign_in_error(text: str, mend: str = "") -> TransportError:
    """Return an error that a new sign-in corrects, or what `mend` says."""
    return TransportError(FailureKind.SIGN_IN, text, mend or _(LOGIN_MEND))


def read_credentials(path: Path | None) -> dict[str, Any]:
    """Return the OAuth client of credentials.json, as Google's libraries take it; TransportError."""
    if path is None:
        raise configuration_error(
            _("GMAIL_API_CREDENTIALS is not set"), _("set it in notify.env to the file credentials.json")
        )
    config = _read_json(path, "GMAIL_API_CREDENTIALS", _download_again)
    if "web" in config:
        raise configuration_error(
            _("{path}: this client is of type 'web', not 'installed'").format(path=path), _(DOWNLOAD_MEND)
        )
    client = config.get("installed")
    needed = ("client_id", "client_secret", "auth_uri", "token_uri")
    if not isinstance(client, dict) or not all(isinstance(client.get(key), str) for key in needed):
        raise configuration_error(
            _("{path}: it has no OAuth client of type 'installed'").format(path=path), _(DOWNLOAD_MEND)
        )
    for key in ("auth_uri", "token_uri"):
        _check_address(path, key, client[key], _download_again)
    return config


def read_token(path: Path) -> dict[str, Any]:
    """Return what token.json holds, its fields checked; TransportError names what is wrong."""
    token = load_token(path)
    for key in ("client_id", "client_secret", "refresh_token"):
        if not isinstance(token.get(key), str) or not token[key]:
            raise sign_in_error(_("{path}: {key} is missing").format(path=path, key=key))
    for key in ("token", "token_uri", "expiry"):
        if not isinstance(token.get(key, ""), str | None):
            raise sign_in_error(_("{path}: {key} is not text").format(path=path, key=key))
    granted = token_scopes(token)
    if granted and not SENDING_SCOPES.intersection(granted):
        raise sign_in_error(_("{path}: this sign-in does not allow sending mail").format(path=path))
    _check_address(path, "token_uri", token.get("token_uri") or TOKEN_URI, sign_in_error)
    return token


def load_token(path: Path) -> dict[str, Any]:
    """Return what token.json holds, unchecked; TransportError where it is no JSON or others can read it."""
    _check_private(path)
    return _read_json(path, "GMAIL_API_TOKEN", sign_in_error)


def token_scopes(token: dict[str, Any]) -> list[str]:
    """Return the scopes granted, as far as the file says."""
    scopes = token.get("scopes") or []
    return scopes.split() if isinstance(scopes, str) else [str(scope) for scope in scopes]


def token_expiry(token: dict[str, Any]) -> datetime | None:
    """Return when the access token expires; None where the file does not say."""
    try:
        return datetime.fromisoformat(str(token.get("expiry"))).replace(tzinfo=UTC)
    except ValueError:
        return None


@contextlib.contextmanager
def token_lock(path: Path) -> Iterator[None]:
    """Hold the lock of token.json; where none can be had, go on: sending the mail matters more."""
    if not path.parent.is_dir():  # FileLock would make it
        yield
        return
    lock = FileLock(path.with_name(f"{path.name}.lock"), timeout=LOCK_TIMEOUT, mode=0o600)
    try:
        lock.acquire()
    except (Timeout, OSError, NotImplementedError) as error:
        log.warning("%s is not locked: %s", path, type(error).__name__)
    try:
        yield
    finally:
        lock.release()


def _download_again(text: str) -> TransportError:
    return configuration_error(text, _(DOWNLOAD_MEND))


def _read_json(path: Path, key: str, wrong: Callable[[str], TransportError]) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise wrong(_("{path} is missing ({key})").format(path=path, key=key)) from None
    except OSError as error:
        raise configuration_error(
            _("{path} cannot be read: {why}").format(path=path, why=error.strerror),
            _("make it readable by you"),
        ) from None
    except ValueError:  # neither UTF-8 nor JSON; the text is not shown, since it holds secrets
        raise wrong(_("{path} is not a JSON file").format(path=path)) from None
    if not isinstance(content, dict):
        raise wrong(_("{path} is not a JSON object").format(path=path))
    return content


def _check_private(path: Path) -> None:
    try:
        mode = path.lstat().st_mode
    except OSError:
        return  # reading it will say why
    if stat.S_ISLNK(mode):
        raise configuration_error(
            _("{path} is a link").format(path=path), _("set GMAIL_API_TOKEN to the file itself")
        )
    if is_open_to_others(mode):
        raise configuration_error(_("{path} can be read by others").format(path=path), f"chmod 600 {path}")


def _check_address(path: Path, key: str, address: str, wrong: Callable[[str], TransportError]) -> None:
    """Raise `wrong` unless this address, to which tokens go, is https or on this machine."""
    parts = urlsplit(address)
    loopback = parts.scheme == "http" and parts.hostname in ("127.0.0.1", "localhost", "::1")
    if parts.scheme == "https" or loopback:
        return
    raise wrong(_("{path}: {key} is not an https address").format(path=path, key=key))
