"""The password or the token of LAB_AUTH, which lies in the file LAB_PASS_FILE."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuwatch_tray.i18n import _
from gpuwatch_tray.lab.lab_error import LabError, LabFailure
from gpuwatch_tray.settings import Secret, SecretFileError, read_secret_file

if TYPE_CHECKING:
    from gpuwatch_tray.settings import LabSettings


def read_login(settings: LabSettings) -> Secret:
    """Read it anew, so that a token that is renewed is taken over; raises LabError."""
    if settings.password_file is None:
        raise LabError(
            LabFailure.CONFIGURATION,
            _("LAB_AUTH={login} needs {key}: set it").format(login=settings.login.value, key="LAB_PASS_FILE"),
        )
    try:
        # Blanks within belong to it: this is no password of Google's, which shows its own with some.
        return read_secret_file("LAB_PASS_FILE", settings.password_file, lambda text: Secret(text.strip()))
    except SecretFileError as error:
        raise LabError(LabFailure.CONFIGURATION, error.text, error.mend) from None
