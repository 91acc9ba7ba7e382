"""The file of the chats: names, services, filters, and that no error shows an address."""

from __future__ import annotations

import re
import traceback

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuwatch_tray.model import Severity
from gpuwatch_tray.settings import Changes, load
from gpuwatch_tray.settings.chat_addresses import MOST_CHATS, parse_line, read_chats
from gpuwatch_tray.settings.chat_services import SERVICES

SECRET = "hushhush"


@pytest.fixture
def file(tmp_path):
    """The file of the addresses, private."""
    path = tmp_path / "chats"

    def write(*lines, mode=0o600):
        path.write_text("\n".join(lines) + "\n")
        path.chmod(mode)
        return path

    return write


@pytest.mark.parametrize(
    ("line", "service", "place"),
    [
        (f"ntfys://ntfy.sh/{SECRET}", "ntfy", "ntfy, n***.sh"),
        (f"ntfy://{SECRET}", "ntfy", "ntfy"),
        (f"https://ntfy.sh/{SECRET}", "ntfy", "ntfy, n***.sh"),
        (f"ntfys://{SECRET}@push.example.org:8443/t", "ntfy", "ntfy, p***.example.org"),
        (f"tgram://{SECRET}:x/1", "Telegram", "Telegram"),
        (f"https://hooks.slack.com/services/T/B/{SECRET}", "Slack", "Slack"),
        (f"slack://T/B/{SECRET}/#gpus", "Slack", "Slack"),
        (f"https://discord.com/api/webhooks/1/{SECRET}", "Discord", "Discord"),
        (f"https://prod-1.westus.logic.azure.com:443/workflows/{SECRET}/x", "Microsoft Teams",
         "Microsoft Teams, p***.westus.logic.azure.com"),
        (f"matrixs://ada:{SECRET}@matrix.example.org/#gpus", "Matrix", "Matrix"),
        (f"https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key={SECRET}", "WeChat Work", "WeChat Work"),
        (f"https://oapi.dingtalk.com/robot/send?access_token={SECRET}", "DingTalk", "DingTalk"),
        (f"https://open.feishu.cn/open-apis/bot/v2/hook/{SECRET}", "Feishu", "Feishu"),
        (f"gotifys://10.1.2.3/{SECRET}", "Gotify", "Gotify, 1***"),
        (f"gotify://127.0.0.1/{SECRET}", "Gotify", "Gotify, 127.0.0.1"),
        (f"gotify://box/{SECRET} plain", "Gotify", "Gotify, b***"),
        (f"webhook://hooks.example.org/{SECRET}?secret={SECRET}", "webhook", "webhook, h***.example.org"),
    ],
)  # fmt: skip
def test_an_address_is_shown_by_service_and_masked_server(line, service, place):
    """As much as tells two apart; the token, the topic and the room are in none of it."""
    chat = parse_line(f"mine {line}")
    assert (chat.name, chat.service, chat.place) == ("mine", service, place)
    assert SECRET not in repr(chat)
    assert SECRET not in str(chat)
    assert SECRET in chat.url.reveal()


def test_what_a_service_shows_as_its_webhook_becomes_the_form_that_is_read():
    """DingTalk's and Feishu's are the two that Apprise does not read as they are."""
    assert parse_line("a https://oapi.dingtalk.com/robot/send?access_token=k").url.reveal() == "dingtalk://k"
    assert parse_line("a https://open.feishu.cn/open-apis/bot/v2/hook/k-1").url.reveal() == "feishu://k-1"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (f"syslog://{SECRET}", "syslog:// is no service that is known here"),
        (f"mailto://{SECRET}@example.org", "mailto:// is no service"),
        (f"file:///{SECRET}", "file:// is no service"),
        (f"exec://{SECRET}", "exec:// is no service"),
        (f"https://example.org/{SECRET}", "for a JSON webhook write webhook://"),
        (f"http://hooks.slack.com/services/{SECRET}", "for a JSON webhook write webhook://"),
        (f"{SECRET}", "expected NAME ADDRESS"),
        (f"my phone! ntfys://ntfy.sh/{SECRET}", "expected an address such as"),
        ("a ntfys://", "ends after ntfys://"),
        (f"a ntfys://[{SECRET}", "expected an address such as"),
        (f"a ntfy://push.example.org/{SECRET}", "would go unencrypted: write ntfys://"),
        (f"a webhook+http://push.example.org/{SECRET}", "would go unencrypted: write webhook://"),
        (f"a ntfys://ntfy.sh/{SECRET} severity=high", "severity= takes one of info, warning, critical"),
        (f"a ntfys://ntfy.sh/{SECRET} rule=gpu_lst", "rule= takes names of rules"),
        (f"a ntfys://ntfy.sh/{SECRET} rule=", "rule= takes names of rules"),
        (f"a ntfys://ntfy.sh/x {SECRET}", "behind the address only severity=, rule= and plain"),
        (f"{SECRET}:{SECRET}", "expected an address such as"),
        ("keyring:ntfy", "needs a name before it"),
        ("a keyring:syslog", "an address in the keyring is written"),
        (f"a ntfys://ntfy.sh/\x07{SECRET}", "control character"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_without_the_address(line, said):
    """And what loads something else than a service over the network is not read at all."""
    with pytest.raises(ValueError, match=re.escape(said)) as caught:
        parse_line(line)
    assert SECRET not in "".join(traceback.format_exception(caught.value)).replace(line, "")
    assert SECRET not in str(caught.value)


@given(st.text(st.characters(blacklist_characters="\n\r"), max_size=60))
def test_no_line_makes_it_stumble(text):
    """Whatever a file holds: a chat, or one line of what is wrong."""
    if not text.split():
        return
    said = []
    try:
        parse_line(f"name {text}")
    except ValueError as error:
        said = str(error).splitlines()
    assert len(said) <= 1


def test_filters():
    """The severity from which on, the rules, and plain http."""
    chat = parse_line("a ntfy://push.example.org/x severity=critical rule=gpu_lost,when plain")
    assert chat.route.least is Severity.CRITICAL
    assert chat.route.rules == {"gpu_lost", "when"}
    assert chat.plain_text


def test_an_address_in_the_keyring():
    """The file then has its name, its service and its filters alone."""
    chat = parse_line("phone keyring:tgram severity=warning")
    assert (chat.name, chat.place, chat.url.reveal()) == ("phone", "Telegram", "")


def test_lines_without_a_name_get_their_services(file):
    """A second one of a service needs its own; comments and blank lines are none."""
    chats, problems, warnings = read_chats(
        file(
            "# mine", "", "ntfys://ntfy.sh/a", "b ntfys://ntfy.sh/b", "team slack://T/B/c", "\tgchat://a/b/c"
        )
    )
    assert [(chat.name, chat.line) for chat in chats] == [
        ("ntfy", 3),
        ("b", 4),
        ("team", 5),
        ("google-chat", 6),
    ]
    assert (problems, warnings) == ((), ())


def test_a_second_one_of_a_service_needs_a_name(file):
    """By a number it would get what waits for another, once that one's line is gone."""
    chats, problems, _warnings = read_chats(file("ntfys://ntfy.sh/a", f"ntfys://ntfy.sh/{SECRET}"))
    assert [chat.name for chat in chats] == ["ntfy"]
    assert "needs a name" in str(problems[0])
    assert SECRET not in str(problems[0])


def test_one_address_is_told_once(file):
    """Two lines of one address would send all twice, unless they are for different rules."""
    address = f"ntfys://ntfy.sh/{SECRET}"
    chats, problems, _ = read_chats(file(f"a {address} rule=gpu_lost", f"b {address}"))
    assert [chat.name for chat in chats] == ["a"]
    assert str(problems[0]).endswith("2: the same address as in line 1: one line is enough")
    chats, problems, _ = read_chats(file(f"a {address} rule=gpu_lost", f"b {address} rule=when"))
    assert (len(chats), problems) == (2, ())
    chats, problems, _ = read_chats(file("a keyring:ntfys", "b keyring:ntfys"))
    assert (len(chats), problems) == (2, ())


def test_each_mistake_is_named_with_file_and_line(file):
    """The lines that are right count."""
    path = file("a ntfys://ntfy.sh/a", f"a ntfys://ntfy.sh/{SECRET}", f"b syslog://{SECRET}")
    chats, problems, _warnings = read_chats(path)
    assert [chat.name for chat in chats] == ["a"]
    assert [str(problem).removeprefix(f"{path}:") for problem in problems] == [
        "2: the name a is taken: give each chat its own",
        "3: syslog:// is no service that is known here: docs/chat.md lists them",
    ]


def test_so_many_chats_and_no_more(file):
    """Each that is due is sent to by a process of its own."""
    chats, problems, _ = read_chats(file(*(f"n{n} ntfys://ntfy.sh/{n}" for n in range(MOST_CHATS + 2))))
    assert len(chats) == MOST_CHATS
    assert "more than 20 chats" in str(problems[0])


@pytest.mark.parametrize(("mode", "warned"), [(0o600, False), (0o640, True), (0o644, True), (0o400, False)])
def test_a_file_that_others_can_read_is_a_warning(file, mode, warned):
    """As that of the mail's password is, with the command that mends it."""
    path = file("ntfys://ntfy.sh/a", mode=mode)
    assert read_chats(path)[2] == (
        (f"NOTIFY_URLS_FILE: others can read {path}: chmod 600 {path}",) if warned else ()
    )


def test_a_file_that_is_no_text_or_not_there(tmp_path):
    """One line, and no chat."""
    missing = read_chats(tmp_path / "none")
    assert "there is no such file: `gpuwatch-tray setup chat` writes it" in str(missing[1][0])
    odd = tmp_path / "odd"
    odd.write_bytes(b"ntfys://\xff\xfe")
    odd.chmod(0o600)
    assert "not UTF-8" in str(read_chats(odd)[1][0])
    (tmp_path / "folder").mkdir()
    assert "is a folder" in str(read_chats(tmp_path / "folder")[1][0])


def test_every_service_can_be_reached_without_plain_text():
    """A scheme of plain http names one of https, which is in the list as well."""
    assert {service.secure for service in SERVICES.values() if service.secure} <= SERVICES.keys()


def test_a_change_of_the_file_is_taken_over(file, installed_house):
    """It is read again as the three files are, once it is at rest, from the first time on."""
    path = file("ntfys://ntfy.sh/a")
    installed_house.write("notify.env", f"NOTIFY_URLS_FILE={path}\n", user=True)
    changes = Changes({}, installed_house.places)
    settings, problems = settled(changes)
    assert ([chat.name for chat in settings.chats], problems) == (["ntfy"], ())
    assert settings.routing.chats == (settings.chats[0].route,)
    settled(changes)
    assert settled(changes) is None
    file("ntfys://ntfy.sh/a", "team slack://T/B/c")
    settings, _problems = settled(changes)
    assert [chat.name for chat in settings.chats] == ["ntfy", "team"]
    path.unlink()
    settings, problems = settled(changes)
    assert settings.chats == ()
    assert "there is no such file" in str(problems[0])
    assert load({}, installed_house.places)[1] == problems


def settled(changes):
    """The answer of the polls until they agree."""
    return next(filter(None, (changes.check() for _ in range(3))), None)
