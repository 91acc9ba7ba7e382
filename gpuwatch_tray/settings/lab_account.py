"""The lab: what is missing of it, what contradicts itself, and what would show a secret."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from gpuwatch_tray.i18n import _
from gpuwatch_tray.model import schema
from gpuwatch_tray.settings.mail_account import warn_of_exposed
from gpuwatch_tray.settings.model import LabLogin
from gpuwatch_tray.settings.validators import is_loopback

if TYPE_CHECKING:
    from gpuwatch_tray.model.schema import Setting
    from gpuwatch_tray.settings.model import LabSettings
    from gpuwatch_tray.settings.reader import SettingsReader


MOST_HOSTS = 20  # asked by ssh: beyond them the processes of ssh cost more than a Prometheus


def check_lab(reader: SettingsReader, lab: LabSettings) -> None:
    """Note a problem for each key that does not fit the others, and warn of each secret at risk."""
    if len(lab.hosts) > MOST_HOSTS:
        text = _("{count} machines, and ssh is for {most} at most: use LAB_PROMETHEUS for more")
        _problem(reader, schema.LAB_HOSTS, text.format(count=len(lab.hosts), most=MOST_HOSTS))
    if lab.hosts and lab.prometheus:
        # Those by ssh are judged here, those by a Prometheus there: the terms differ, and what is unknown.
        text = _(
            "LAB_PROMETHEUS is set too: keep one of the two, and have that Prometheus read these machines"
        )
        _problem(reader, schema.LAB_HOSTS, text)
    named = {*lab.hosts, *(host.rpartition("@")[2] for host in lab.hosts)}
    strange = [pin for pin in lab.pins if pin not in named]
    if lab.hosts and strange:  # it would never be asked, and so never keep the icon from being green
        text = _("{host} is not in LAB_HOSTS").format(host=strange[0])
        _problem(reader, schema.LAB_PIN, text)
    if lab.alertmanager and not lab.prometheus:
        text = _("needs LAB_PROMETHEUS, which alone tells whether alerts reach the Alertmanager")
        _problem(reader, schema.LAB_ALERTMANAGER, text)
    if lab.silence and not lab.alertmanager:
        _problem(reader, schema.LAB_SILENCE, _("needs LAB_ALERTMANAGER: that is where silences are kept"))
    if lab.client_key is not None and lab.client_cert is None:
        _problem(reader, schema.LAB_CLIENT_KEY, _("needs LAB_CLIENT_CERT: a key alone proves nothing"))
    _check_login(reader, lab)


def _check_login(reader: SettingsReader, lab: LabSettings) -> None:
    if lab.login is not LabLogin.NONE:
        # Without LAB_PASS_FILE the system's keyring is asked.
        if lab.login is LabLogin.BASIC and not lab.user and schema.LAB_USER.key not in reader.broken:
            text = _("LAB_AUTH={login} needs {key}: set it")
            text = text.format(login=lab.login.value, key=schema.LAB_USER.key)
            _problem(reader, schema.LAB_AUTH, text)
        for address in (*lab.prometheus, *lab.alertmanager):
            parts = urlsplit(address)
            if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
                text = _("{address} is not encrypted: anyone on the way can read the password of LAB_AUTH")
                reader.warnings.append(text.format(address=address))
    elif lab.password_file is not None or lab.user:
        text = _("{key} is set and LAB_AUTH is none: no login is sent; set LAB_AUTH=basic or bearer")
        key = schema.LAB_USER.key if lab.password_file is None else schema.LAB_PASS_FILE.key
        reader.warnings.append(text.format(key=key))
    warn_of_exposed(reader, schema.LAB_PASS_FILE, lab.password_file)
    warn_of_exposed(reader, schema.LAB_CLIENT_KEY, lab.client_key)


def _problem(reader: SettingsReader, setting: Setting, text: str) -> None:
    given = reader.given(setting)
    if given is not None:
        reader.problem(given.file, given.line, setting.key, text)
