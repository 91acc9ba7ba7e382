"""The main job in Chinese: what a person sees on the desktop and in the terminal, and what stays as it is."""

from __future__ import annotations

import json
import re

import pytest
from msgspec.structs import replace

from gpuwatch_tray import drawing
from gpuwatch_tray.model import Level
from tests.driver.scenario import GIB, Scenario
from tests.e2e import rig
from tests.support.installed import busy
from tests.support.mailserver import MailServer
from tests.support.timing import wait_until
from tests.support.workers import workers

pytestmark = [
    pytest.mark.desktop,
    pytest.mark.driver,
    pytest.mark.configured(POLL_SEC=0.3, notify="EMAIL_WHEN=always\nUI_LANGUAGE=zh_CN\n", greeted=True),
]

ENGLISH = re.compile(r"\b[a-z]{2,} [a-z]{2,}\b", re.IGNORECASE)  # two words beside each other
CHINESE = re.compile(r"[\u4e00-\u9fff]")
NAMES = re.compile(r"gpuwatch-tray \S+|NVIDIA Test \d+|`[^`]*`|PID \d+|GPU \d|/\S*|train\.py|--\S+")


def english(lines):
    """Return the lines that hold untranslated text."""
    return [line for line in lines if ENGLISH.search(NAMES.sub("", line))]


def test_the_desktop_speaks_chinese(installed, desk, start, tmp_path):
    """Menu, popup and commands are Chinese throughout; the mail's text and the JSON's keys are not."""
    shots = rig.shots(tmp_path / "shots")
    before = len(desk.notifications())
    with workers(tmp_path, ["train.py"], ["train.py"]) as (one, two), MailServer() as server:
        installed.mail_through(server)
        gpus = [
            replace(gpu, memory_total=24 * GIB, memory_used=3 * GIB, temperature=61, power=180.0)
            for gpu in busy(one.pid, two.pid).gpus
        ]
        installed.play(Scenario(gpus=gpus))
        start()
        position = desk.icon_position(drawing.COLOURS[Level.WARNING])
        popup = wait_until(lambda: desk.notifications()[before:], "the popup")[0]
        assert "使用的 GPU 数超过上限" in popup.title
        assert popup.body.splitlines()[0] == "正在使用 2 个 GPU，上限为 1"
        assert popup.actions[1::2][:3] == ["确认", "静默 1 小时", "显示"]

        (mail,) = wait_until(lambda: server.messages, "the mail", timeout=60)
        assert "Triggered:\n- GPU_COUNT(2) > GPU_LIMIT(1)" in mail.text
        assert mail.message["Subject"].startswith("[GPU Watchdog] ada@")
        html = mail.message.get_body(("html",)).get_content()
        assert 'lang="zh-CN"' in html
        assert "使用的 GPU 数超过上限" in html

        desk.right_click(position)
        rig.settle()
        desk.screenshot(shots / "chinese-menu.png")
        desk.key("Down", "Down", "Right", "Right")
        rig.settle()
        desk.screenshot(shots / "chinese-process.png")
        desk.close_menu()
        desk.close_menu()
        desk.close_menu()
        rows = [row.label for top in desk.menu() for row in top.walk()]
        assert english(rows) == []
        assert {"退出", "打开设置", "全部静默", "立即检查"} <= set(rows)

        status = installed.run("status")
        assert status.stdout.startswith("警告: 正在使用 2 个 GPU")
        assert english(status.stdout.splitlines()) == []
        told = json.loads(installed.run("status", "--json").stdout)
        assert (told["state"], told["alerts"][0]["phase"]) == ("warning", "firing")
        for words in (
            ["alerts"],
            ["alerts", "explain"],
            ["mail", "queue"],
            ["when", "free", "1"],
            ["doctor"],
        ):
            said = installed.run(*words)
            assert CHINESE.search(said.stdout), words
        assert english(installed.run("alerts", "explain").stdout.splitlines()) == []
        assert installed.run("ps").stdout.startswith("GPU=0  MEM=2828MiB  PID=")


def test_the_terminal_speaks_chinese(installed):
    """Help and mistakes are Chinese; a wrong setting is named in Chinese, with its file and line first."""
    said = installed.run("--help").stdout
    assert "监控本机的 NVIDIA GPU" in said
    assert "列出 GPU 进程" in said
    installed.write("gpu-watch.env", "TO_EMAIL=ada@example.org\nGPU_LIMIT=two\n")
    wrong = installed.run("check")
    assert wrong.returncode == 2
    assert "gpu-watch.env:2: GPU_LIMIT: 应为大于等于 0 的整数，实际为 'two'" in wrong.stderr
