"""The HTML mail in a real browser, as wide as a phone and as a desk's screen: nothing is cut."""

from __future__ import annotations

import base64

import pytest

from gpuwatch_tray.app import deliver
from gpuwatch_tray.notify.render import CHART, MailIdentity
from tests.e2e import rig
from tests.report.histories import HOUR, history, uuid
from tests.support import mail_parts

pytestmark = pytest.mark.desktop
# The least contrast of a text with what is behind it (WCAG 2.2, 1.4.3), by the browser's own colours.
CONTRAST = """
(() => {
  const lum = c => { const [r, g, b] = c.map(v => v / 255)
      .map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const rgb = s => s.match(/[\\d.]+/g).map(Number);
  const behind = e => { for (; e; e = e.parentElement) {
    const c = rgb(getComputedStyle(e).backgroundColor);
    if (c.length < 4 || c[3] > 0) return c.slice(0, 3); } return [255, 255, 255]; };
  let least = 21;
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    if (!walk.currentNode.data.trim()) continue;
    const e = walk.currentNode.parentElement;
    const [a, b] = [lum(rgb(getComputedStyle(e).color).slice(0, 3)), lum(behind(e))].sort((x, y) => y - x);
    least = Math.min(least, (a + 0.05) / (b + 0.05));
  }
  return least;
})()
"""
# The texts of which some pixels are beside the column, which cuts them off.
CUT = """
(() => {
  const column = document.querySelector('table.p').getBoundingClientRect(), cut = [];
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const range = document.createRange();
    range.selectNodeContents(walk.currentNode);
    for (const box of range.getClientRects())
      if (box.left < column.left || box.right > column.right + 0.5) {
        cut.push(walk.currentNode.data);
        break;
      }
  }
  return cut;
})()
"""
# As long as names may be: HOST_NAME_MAX of Linux, and useradd's limit.
LONG = MailIdentity(
    "gpu" * 21 + "x", "ada" * 10 + "xy", f"/home/{'ada' * 10}xy/{'folder' * 20}/gpu-watch.env"
)


@pytest.fixture(scope="module")
def png():
    drawn = deliver.draw_picture(history(seconds=6 * HOUR), (uuid(0),))
    assert 5_000 < len(drawn) <= deliver.MAX_PICTURE_BYTES
    return drawn


def page(message, png, file):
    """Write the HTML part to a file, with its picture in it."""
    shown = f"data:image/png;base64,{base64.b64encode(png).decode('ascii')}"
    html = message.details.html.replace(f"cid:{CHART}", shown)
    file.write_text(html.replace("<body ", '<body data-drawn="yes" '), "utf-8")
    return file


@pytest.mark.parametrize("state", [*mail_parts.states(), *mail_parts.of_runs(), "hostile"])
def test_it_can_be_read_on_a_phone_and_on_a_desk(browser, png, tmp_path, state):
    """No line is wider than the screen, no letter below 12 px, contrast 4.5 in light and in dark."""
    if state == "hostile":
        made = mail_parts.hostile("".join(mail_parts.HOSTILE))
    else:
        made = (mail_parts.states() | mail_parts.of_runs())[state]
    file = page(made, png, tmp_path / "mail.html")
    for width, dark in ((390, False), (390, True), (1280, False)):
        browser.open(file, width=width, height=844, dark=dark)
        where = f"{state}, {width} px, {'dark' if dark else 'light'}"
        assert browser.run("document.documentElement.scrollWidth") == width, where
        assert browser.run(CUT) == [], where
        assert browser.problems() == [], where
        assert all(address.startswith(("file:", "data:")) for address in browser.requests()), where
        column = browser.run("document.querySelector('table.p').getBoundingClientRect().width")
        assert column == (374 if width == 390 else 600), where
        smallest = browser.run(
            "Math.min(...[...document.querySelectorAll('td,div')]"
            ".map(e => parseFloat(getComputedStyle(e).fontSize)))"
        )
        assert smallest >= 12, where
        assert browser.run(CONTRAST) >= 4.5, where
        assert browser.run("document.scripts.length") == 0
        if browser.run("document.images.length"):
            assert browser.run("document.images[0].naturalWidth") == 720, where


@pytest.mark.parametrize("state", [*mail_parts.states()])
def test_the_longest_names_are_wrapped_and_not_cut(browser, png, tmp_path, monkeypatch, state):
    """A host of 64 letters without a gap, a user of 32, a path without end: each letter is on the phone."""
    monkeypatch.setattr(mail_parts, "HEAD", LONG)
    file = page(mail_parts.states()[state], png, tmp_path / "mail.html")
    assert LONG.host in file.read_text("utf-8")
    for width in (320, 390):
        browser.open(file, width=width, height=844)
        assert browser.run(CUT) == [], width
        assert browser.run("document.documentElement.scrollWidth") == width
    browser.picture(rig.shots(tmp_path) / f"mail-long-names-{state}.png")
