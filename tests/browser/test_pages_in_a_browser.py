"""The pages in a real Chromium, before a real daemon."""

import json
import re
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

from tests.daemon_process import DaemonProcess, running_daemon
from tests.media import make_audio, make_document, make_picture, make_video

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

PAGES = ("/", "/browse/music", "/rate", "/rate/music", "/rate/images", "/jobs", "/wiki/settings",
         "/playlists", "/playlist-editor", "/taste", "/wiki/rules", "/nowhere")  # fmt: skip


LONG, SHORT = 5, 0
"""Numbers of tracks."""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("house")
    music = home / "media" / "music" / "Main"
    for n in range(6):
        make_audio(music / f"{n}.mp3", seconds=60 if n == LONG else 1.5, frequency=300 + 50 * n,
                   title=f"Track {n}", artist="An artist of a rather long name " * 3)  # fmt: skip
    make_picture(home / "media" / "images" / "Main" / f"{'wide' * 30}.jpg", size=(900, 500))
    make_video(home / "media" / "videos" / "Main" / "b.mp4")
    make_document(home / "media" / "text" / "Main" / "c.md", "# A\n\n" + "unbroken" * 40)
    return home


@pytest.fixture(scope="module")
def daemon(home: Path) -> Iterator[DaemonProcess]:
    with running_daemon(home) as daemon:
        deadline = time.monotonic() + 60
        while len(items(daemon)) < 9:
            assert time.monotonic() < deadline, (home / "daemon.log").read_text()
            time.sleep(0.2)
        yield daemon


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("there is no Chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium,
            args=["--no-sandbox", "--disable-gpu", "--autoplay-policy=no-user-gesture-required"],
        )
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser, daemon: DaemonProcess) -> Iterator[Page]:
    """A page in which nothing may go wrong: no script error, no breach of the policy."""
    page = browser.new_page(base_url=daemon.url)
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda message: _note(message, complaints))
    yield page
    page.close()
    assert complaints == []


def _note(message: ConsoleMessage, complaints: list[str]) -> None:
    """Keep what is wrong; that something is not there, or is refused, is not."""
    if message.type in ("error", "warning") and not re.search(
        r"[Ss]tatus.* (404|422|503)", message.text
    ):
        complaints.append(message.text)


def items(daemon: DaemonProcess) -> list[Any]:
    kinds = ("music", "images", "videos", "text")
    answers = [json.loads(daemon.get(f"/api/items?kind={kind}")) for kind in kinds]
    return [item for answer in answers for item in answer["items"]]


def track(daemon: DaemonProcess, number: int) -> str:
    return next(str(row["id"]) for row in items(daemon) if row["title"] == f"Track {number}")


def journal(home: Path) -> list[Any]:
    path = home / "data" / "ratings.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 15
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_key_rates_and_the_journal_has_it_before_the_next_item_comes(
    page: Page, home: Path
) -> None:
    page.goto("/rate/music")
    first = page.locator(".rate h1").inner_text()
    before = len(journal(home))
    page.keyboard.press("8")
    expect(page.locator(".rate h1")).not_to_have_text(first)
    last = journal(home)[before:]
    assert [(entry["value"], entry["item"]["title"]) for entry in last] == [(8.0, first)]
    assert "trail=r" in page.url
    page.keyboard.press("u")
    expect(page.locator(".rate h1")).to_have_text(first)
    assert [entry["value"] for entry in journal(home)[before:]] == [8.0, None]


def test_minus_is_ten_and_s_skips_and_typing_a_number_is_no_key(page: Page, home: Path) -> None:
    page.goto("/rate/music")
    first = page.locator(".rate h1").inner_text()
    before = len(journal(home))
    page.keyboard.press("s")
    expect(page.locator(".rate h1")).not_to_have_text(first)
    second = page.locator(".rate h1").inner_text()
    page.locator("input[type=number]").press_sequentially("3.5")
    assert len(journal(home)) == before
    page.locator("input[type=number]").press("Enter")
    expect(page.locator(".rate h1")).not_to_have_text(second)
    third = page.locator(".rate h1").inner_text()
    page.keyboard.press("-")
    expect(page.locator(".rate h1")).not_to_have_text(third)
    assert [entry["value"] for entry in journal(home)[before:]] == [3.5, 10.0]


def test_a_rating_that_cannot_be_kept_is_said_and_nothing_moves_on(
    page: Page,
) -> None:
    page.goto("/rate/music")
    title = page.locator(".rate h1").inner_text()
    page.route("**/rate/music", lambda route: route.fulfill(
        status=503, content_type="text/html",
        body="<main><h1>x</h1><p>The rating was not kept: no space.</p></main>"))  # fmt: skip
    with page.expect_response("**/rate/music"):
        page.locator("[data-rate='5']").click()
    expect(page.get_by_role("alert")).to_have_text("The rating was not kept: no space.")
    expect(page.locator(".rate h1")).to_have_text(title)


def test_an_item_is_rated_and_cleared_in_place(page: Page, daemon: DaemonProcess) -> None:
    item = items(daemon)[-1]["id"]
    page.goto(f"/items/{item}")
    page.get_by_role("button", name="7", exact=True).click()
    expect(page.locator(".verdict .rating")).to_contain_text("7")
    page.keyboard.press("Delete")
    expect(page.locator(".verdict")).to_contain_text("Not rated")
    assert json.loads(daemon.get(f"/api/items/{item}"))["rating"] is None


def test_a_search_as_it_is_typed_is_in_the_address(page: Page) -> None:
    page.goto("/browse/music?mode=name")
    page.get_by_role("searchbox").press_sequentially("track 3")
    expect(page.locator(".card .name")).to_have_text(["Track 3"])
    expect(page).to_have_url(re.compile(r"/browse/music\?q=track\+3&mode=name"))
    expect(page.locator(".why")).to_contain_text("Track 3")
    page.reload()
    expect(page.locator(".card .name")).to_have_text(["Track 3"])


def test_another_sort_comes_at_once(page: Page) -> None:
    page.goto("/browse/music")
    page.get_by_label("sort").select_option("title")
    expect(page.locator(".card .name")).to_have_text([f"Track {n}" for n in range(6)])
    expect(page).to_have_url(re.compile(r"sort=title"))


def test_a_track_that_was_heard_is_kept_as_a_play(page: Page, daemon: DaemonProcess) -> None:
    item = track(daemon, SHORT)
    page.goto(f"/items/{item}")
    with page.expect_response("**/api/plays") as answer:
        page.locator("audio").evaluate("player => player.play()")
    assert answer.value.status == 201
    sent = json.loads(answer.value.request.post_data or "")
    assert sent["outcome"] == "finished"
    assert 1 < sent["position"] < 2
    page.reload()
    expect(page.get_by_text("played to the end")).to_be_visible()


def test_leaving_early_is_kept_as_a_skip(page: Page, daemon: DaemonProcess) -> None:
    item = track(daemon, LONG)
    page.goto(f"/items/{item}")
    page.locator("audio").evaluate("player => player.play()")
    wait_until(lambda: page.locator("audio").evaluate("player => player.currentTime") > 2)
    page.goto("/jobs")
    wait_until(lambda: "skipped" in daemon.get(f"/items/{item}").decode())


def test_a_run_shows_itself_while_the_page_is_open(page: Page, daemon: DaemonProcess) -> None:
    page.goto("/jobs")
    rows = page.locator("#runs tbody tr")
    before = rows.count()
    page.get_by_role("button", name="Back up").click()
    expect(rows.first).to_contain_text("Back up")
    wait_until(lambda: rows.count() > before)
    expect(page.get_by_text("Nothing runs now")).to_be_visible()


def test_a_picture_is_enlarged_and_put_away(page: Page, daemon: DaemonProcess) -> None:
    picture = next(item["id"] for item in items(daemon) if item["kind"] == "images")
    page.goto(f"/items/{picture}")
    page.locator(".picture img").click()
    expect(page.locator("dialog.large")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("dialog.large")).to_have_count(0)


def test_a_rule_is_tried_mended_and_kept(page: Page) -> None:
    page.goto("/playlists")
    page.get_by_role("link", name="Make a new one").click()
    page.get_by_label("Name").fill("Short ones")
    page.get_by_label("Which of them").fill("duration << 10 s")
    page.get_by_label("In which order").fill("title desc")
    page.get_by_role("button", name="Try it").click()
    expect(page.get_by_role("alert")).to_contain_text("column 11")
    page.get_by_label("Which of them").fill("duration < 10 s")
    page.get_by_role("button", name="Try it").click()
    expect(page.locator("ol li")).to_have_count(5)
    expect(page.locator("ol li").first).to_contain_text("Track 4")
    page.get_by_role("button", name="Keep it").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Short ones")
    page.goto("/playlists")
    page.get_by_role("button", name="Switch it off").click()
    expect(page.get_by_text("None is on")).to_be_visible()


def test_nothing_is_wider_than_a_phone(page: Page, daemon: DaemonProcess) -> None:
    page.set_viewport_size({"width": 360, "height": 740})
    for path in [*PAGES, *(f"/items/{item['id']}" for item in items(daemon)[4:])]:
        page.goto(path)
        wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert wide <= 0, path


def test_on_a_phone_playlists_are_switched_on_without_scrolling_sideways(page: Page) -> None:
    page.set_viewport_size({"width": 360, "height": 740})
    beyond = """(where) => [...document.querySelectorAll(where)]
        .filter((e) => e.getBoundingClientRect().right > innerWidth
                       || e.scrollWidth > e.clientWidth + 1).map((e) => e.textContent)"""
    page.goto("/playlists")
    assert page.get_by_role("button", name="Switch it on").count() > 5
    assert page.evaluate(beyond, "main td, main button, .top nav a") == []
    page.goto("/playlist-editor")
    assert page.evaluate(beyond, "main td, main button, main input") == []


def test_every_page_has_one_heading_and_labels_for_all_that_can_be_filled_in(
    page: Page, daemon: DaemonProcess
) -> None:
    unnamed = """[...document.querySelectorAll("input, select, textarea, button, a, img")].filter(
        (e) => e.type !== "hidden" && !e.hasAttribute("alt") && !e.closest("[hidden]")
          && !(e.labels?.length || e.ariaLabel || e.textContent.trim() || e.querySelector("[alt]")))
      .map((e) => e.outerHTML)"""
    for path in [*PAGES, *(f"/items/{item['id']}" for item in items(daemon)[5:])]:
        page.goto(path)
        assert page.locator("h1").count() >= 1, path
        assert page.evaluate(unnamed) == [], path
        page.keyboard.press("Tab")
        expect(page.get_by_text("Skip to the content")).to_be_focused()
