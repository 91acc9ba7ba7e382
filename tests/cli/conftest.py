"""What the tests of the installed commands share."""

from __future__ import annotations

import pytest

from tests.support.installed import Installed
from tests.support.mailserver import MailServer


@pytest.fixture
def installed(tmp_path):
    """The program as a user has it, in folders of the test's own."""
    return Installed(tmp_path)


@pytest.fixture
def server(installed):
    """A mail server that the `installed` program of the test mails through."""
    with MailServer() as running:
        installed.mail_through(running)
        yield running
