"""The live page, in a real browser."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
import re
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest

EVIL = "<script>document.title='owned'</script>"
TURNED = "abc\u202edef"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")

try:
    from playwright.async_api import Page, async_playwright, expect
except ImportError:  # pragma: no cover
    missing = "playwright is not installed; pip install 'asyncmr[browser]'"
else:
    missing = "" if CHROMIUM else "there is no chromium (Debian: chromium)"

needs_browser = pytest.mark.skipif(bool(missing), reason=missing)

# Least contrast of all text with what is behind it, as WCAG 2 works it out.
CONTRAST = """() => {
  const canvas = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
  const rgb = color => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data]; };
  const light = ([r, g, b]) => [r, g, b].map(v => v / 255)
    .map(v => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
  const behind = node => { for (; node; node = node.parentElement) {
    const color = rgb(getComputedStyle(node).backgroundColor);
    if (color[3] > 200) return color; }
    return [255, 255, 255]; };
  const bar = rgb(getComputedStyle(document.querySelector("#top .bar")).backgroundColor);
  const found = [];
  for (const node of document.querySelectorAll("body *")) {
    const own = [...node.childNodes].some(child => child.nodeType === 3 && child.data.trim());
    if (!own || !node.checkVisibility() || node.closest(".hidden, svg")) continue;
    const ink = light(rgb(getComputedStyle(node).color));
    const back = [behind(node), ...(node.closest("#top") ? [bar] : [])];
    for (const color of back) { const other = light(color);
      found.push([(Math.max(ink, other) + .05) / (Math.min(ink, other) + .05), node.className || node.tagName]); }
  }
  return found.sort((a, b) => a[0] - b[0])[0];
}"""

Opened = Callable[..., AbstractAsyncContextManager["Page"]]


@pytest.fixture
def opened() -> Opened:
    """Opens the page of a service. What the browser's console says (an error, a breach of the policy) fails the test,
    unless it contains `expected`.
    """

    @asynccontextmanager
    async def browsing(service: Any, expected: str | None = None, **context: Any) -> AsyncIterator[Page]:
        said: list[str] = []
        async with async_playwright() as playwright:
            arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
            browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
            page = await (await browser.new_context(**context)).new_page()
            page.on("console", lambda message: said.append(message.text))
            page.on("pageerror", lambda error: said.append(str(error)))
            await page.goto(f"http://{service.address}/")
            yield page
            await browser.close()
        assert [text for text in said if expected is None or expected not in text] == []

    return browsing


async def test_the_page_is_whole_by_itself_and_its_policy_knows_it(service):
    answer = await service.get("/")
    text = answer.body.decode()
    assert "http" not in text.replace("http://www.w3.org/2000/svg", "")
    (script,) = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    known = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{known}'" in answer.headers["content-security-policy"]


@needs_browser
async def test_words_are_ranked_and_move_and_an_evil_one_is_text(service, opened):
    service.view.add({"be": 5, EVIL: 3, TURNED: 2})
    async with opened(service) as page:
        words = page.locator("#top .word")
        await expect(words).to_have_text(["be", EVIL, "abc\\u202edef"])
        service.view.add({EVIL: 10, "new": 4})
        await expect(words).to_have_text([EVIL, "be", "new", "abc\\u202edef"])
        await expect(page.locator("#top .count").first).to_have_text("13")
        assert await page.title() == "asyncmr stream"
        assert await page.locator("script").count() == 1


@needs_browser
async def test_a_word_is_looked_up_by_keyboard_alone(service, opened):
    service.view.add({EVIL: 3, "a/b?c": 2})
    async with opened(service) as page:
        await expect(page.get_by_role("status")).to_have_text("live")
        await page.keyboard.press("Tab")
        await expect(page.get_by_role("searchbox", name="Look up a key")).to_be_focused()
        for word, count in ((EVIL, 3), ("a/b?c", 2), ("never", 0), ("..", 0)):
            await page.keyboard.press("Control+A")
            await page.keyboard.type(word)
            await page.keyboard.press("Enter")
            await expect(page.locator("#found")).to_have_text(f"{word}: {count}")
        assert await page.locator("#found").get_attribute("aria-live") == "polite"


@needs_browser
async def test_a_screen_reader_finds_what_is_there_by_its_name(service, opened):
    service.view.add({"be": 5})
    async with opened(service, reduced_motion="reduce") as page:
        await expect(page.get_by_role("list", name="Top 20").get_by_role("listitem")).to_have_text("1be5")
        await expect(page.get_by_role("meter", name="mapper, 25 percent full")).to_be_visible()
        await expect(page.get_by_role("img", name="Keys a second")).to_be_visible()
        await expect(page.get_by_role("heading", level=1)).to_have_count(1)
        await expect(page.locator("#spoken")).to_contain_text("Most frequent: be, 5.")
        moves = "getComputedStyle(document.querySelector('#top li')).transitionDuration"
        assert await page.evaluate(moves) == "0s"


@needs_browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 1280])
async def test_it_can_be_read_light_and_dark_narrow_and_wide(service, opened, scheme, width):
    service.view.add({"x" * 200: 5, "be": 4})
    viewport = {"width": width, "height": 800}
    async with opened(service, color_scheme=scheme, viewport=viewport) as page:
        await expect(page.locator("#top li")).to_have_count(2)
        assert await page.evaluate("document.documentElement.scrollWidth") == width
        least, where = await page.evaluate(CONTRAST)
        assert least >= 4.5, where


@needs_browser
async def test_a_server_with_a_token_is_asked_once_the_token_is_given(serve, opened):
    async with serve(token=b"0123456789abcdef") as service:
        service.view.add({"be": 5})
        async with opened(service, expected="401") as page:
            token, connect = (
                page.get_by_role("textbox", name="Token"),
                page.get_by_role("button", name="Connect"),
            )
            await expect(token).to_be_focused()
            await token.fill("wrong")
            await connect.click()
            await expect(page.get_by_role("alert")).to_have_text("That is not the token of this server.")
            await token.fill("0123456789abcdef")
            await connect.click()
            await expect(page.locator("#top .word")).to_have_text(["be"])
            await expect(token).to_be_hidden()


@needs_browser
async def test_a_stream_that_ends_is_not_shown_as_live(service, opened):
    service.view.add({"be": 5})
    async with opened(service) as page:
        await expect(page.get_by_role("status")).to_have_text("live")
        service.app.broadcast.close()
        await expect(page.get_by_role("status")).to_contain_text("trying again")


@needs_browser
async def test_what_is_left_out_is_told_and_a_key_is_called_what_it_is(serve, opened):
    async with serve(noun="word") as service:
        service.view.late = 1_234
        async with opened(service) as page:
            await expect(page.locator("#out")).to_have_text("1,234")
            await expect(page.locator("#why")).to_have_text("1,234 late")
            await expect(page.get_by_role("searchbox", name="Look up a word")).to_be_visible()
            await expect(page.get_by_text("Words a second", exact=True)).to_be_visible()


@needs_browser
async def test_a_page_that_is_opened_later_shows_what_was_before(service, opened):
    service.view.rate = 700.0
    while [rate for _, rate in service.app.history.told()] != [0.0, 700.0]:
        await asyncio.sleep(0.05)
    service.view.rate = 3.0
    async with opened(service) as page:
        await expect(page.locator("#peak")).to_have_text("top of the chart: 1,000 a second")
