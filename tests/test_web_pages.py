"""Every page renders, escapes what the library says, and works by plain forms."""

import asyncio
import re
import shutil
import stat
from collections.abc import AsyncIterator
from http.cookies import SimpleCookie
from pathlib import Path

import pytest
from aiohttp import ClientResponse
from aiohttp.test_utils import TestClient
from sqlalchemy import select

from daemon.services import Services
from daemon.store.models import JobRun, Source, public_id
from daemon.store.profiles import add_profile
from tests.household import Household, find_items, item_at, ratings, run_steps
from tests.media import make_audio, make_document, make_picture, make_video, write
from tests.web_client import open_site
from web.wiki import render_page

Site = tuple[Services, TestClient]

HOSTILE = '<script>alert("title")</script>'
PAGES = ("/", "/browse/music", "/browse/text?sort=predicted&rated=unrated", "/rate", "/rate/music",
         "/jobs", "/wiki", "/wiki/taste")  # fmt: skip


@pytest.fixture(scope="module")
def taken_in(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home whose media were taken in; every test gets a copy."""
    household = Household(tmp_path_factory.mktemp("house"))
    music = household.folder("music")
    make_audio(music / "hostile.mp3", seconds=0.3, title=HOSTILE, artist='"><img src=x>')
    for n in range(3):
        make_audio(music / f"{n}.mp3", seconds=0.3, frequency=300 + 50 * n, title=f"Track {n}")
    make_picture(household.folder("images") / "a.jpg")
    make_video(household.folder("videos") / "b.mp4", seconds=0.4)
    make_document(household.folder("text") / "c.md", f"# A heading\n\n{HOSTILE} and *more*.")
    make_document(household.folder("text") / "d.txt", f"{HOSTILE} & the like")
    write(household.folder("images") / "broken.jpg", b"this is no picture")

    async def take_in() -> None:
        async with household.open() as services:
            await run_steps(services, "sync", "describe")

    asyncio.run(take_in())
    return household.home


@pytest.fixture
async def site(taken_in: Path, household: Household) -> AsyncIterator[Site]:
    shutil.copytree(taken_in, household.home, dirs_exist_ok=True)
    async with open_site(household) as (services, client):
        yield services, client


async def read(client: TestClient, path: str, **headers: str) -> str:
    response = await client.get(path, headers=headers)
    assert response.status == 200, await response.text()
    return await response.text()


async def send(client: TestClient, path: str, **form: str) -> ClientResponse:
    return await client.post(
        path, data=form, headers={"Origin": str(client.make_url("/")).rstrip("/")},
        allow_redirects=False,
    )  # fmt: skip


async def address(services: Services, path: Path) -> str:
    return f"/items/{public_id(await item_at(services, path))}"


async def test_every_page_renders_in_an_empty_house(household: Household) -> None:
    async with open_site(household) as (_, client):
        for path in PAGES:
            assert "<main" in await read(client, path)
        assert "Nothing is known yet" in await read(client, "/")


async def test_no_page_has_inline_script_style_or_handlers(site: Site) -> None:
    services, client = site
    paths = [f"/items/{public_id(item.id)}" for item in await find_items(services)]
    for path in [*PAGES, *paths, *(f"{path}/similar" for path in paths)]:
        page = await read(client, path)
        assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=", page), path


async def test_what_the_library_says_is_escaped_everywhere(site: Site) -> None:
    services, client = site
    paths = ["/", "/browse/music", "/?q=script&mode=name", "/?q=alert&mode=words"]
    paths += [f"/items/{public_id(item.id)}" for item in await find_items(services)]
    shown = 0
    for path in [*paths, "/rate/music", "/rate/text"]:
        page = await read(client, path)
        assert "<script>" not in page
        assert "<img src=x" not in page
        shown += "&lt;script&gt;" in page
    assert shown >= 5


async def test_a_search_that_is_hostile_is_shown_as_it_was_typed(site: Site) -> None:
    page = await read(site[1], "/?mode=words&q=%22%3E%3Cscript%3Ex")
    assert "<script>" not in page
    assert "&#34;&gt;&lt;script&gt;x" in page


async def test_a_search_keeps_to_the_source_that_was_chosen(site: Site) -> None:
    assert "Track 1" in await read(site[1], "/?q=track&mode=words&source=music")
    assert "Track 1" not in await read(site[1], "/?q=track&mode=words&source=images")


async def test_markdown_is_rendered_and_plain_text_is_not(site: Site, household: Household) -> None:
    services, client = site
    markdown = await read(client, await address(services, household.folder("text") / "c.md"))
    assert "<h1>A heading</h1>" in markdown
    assert "<em>more</em>" in markdown
    plain = await read(client, await address(services, household.folder("text") / "d.txt"))
    assert "&amp; the like" in plain


async def test_htmx_gets_the_list_alone_and_everyone_else_the_page_around_it(site: Site) -> None:
    fragment = await client_fragment(site[1], "/browse/music?sort=title")
    assert fragment.lstrip().startswith('<section id="items"')
    page = await read(site[1], "/browse/music?sort=title")
    assert "<html" in page
    assert fragment.strip() in page


async def client_fragment(client: TestClient, path: str) -> str:
    return await read(client, path, **{"HX-Request": "true"})


async def test_search_by_meaning_says_kindly_that_nothing_is_embedded_yet(site: Site) -> None:
    page = await read(site[1], "/?q=calm")
    assert "only words and names can be searched" in page
    assert "/?q=calm&amp;mode=words" in page


async def test_an_item_is_rated_and_taken_back_by_plain_forms(site: Site) -> None:
    services, client = site
    item = (await find_items(services))[0]
    path = f"/items/{public_id(item.id)}"
    response = await send(client, f"{path}/rating", value="7,5")
    assert (response.status, response.headers["Location"]) == (303, path)
    assert await ratings(services) == {item.id: 7.5}
    assert "★&#8239;7.5" in await read(client, path)
    assert (await send(client, f"{path}/rating", value="11")).status == 422
    assert await ratings(services) == {item.id: 7.5}
    await send(client, f"{path}/rating", value="")
    assert await ratings(services) == {}


async def test_rating_goes_on_by_plain_forms_and_undo_restores_what_was(site: Site) -> None:
    services, client = site
    page = await read(client, "/rate/music")
    item = re.findall(r'name="item" value="(\w+)"', page)[0]
    response = await send(client, "/rate/music", item=item, value="9", trail="")
    assert response.status == 303
    assert list((await ratings(services)).values()) == [9.0]
    trail = response.headers["Location"].partition("trail=")[2]
    following = await read(client, response.headers["Location"])
    assert f'name="item" value="{item}"' not in following
    response = await send(client, "/rate/music", item=item, value="2", trail=trail)
    trail = response.headers["Location"].partition("trail=")[2]
    response = await send(client, "/rate/music/undo", trail=trail)
    assert list((await ratings(services)).values()) == [9.0]
    assert f"item={item}" in response.headers["Location"]
    trail = response.headers["Location"].partition("trail=")[2]
    await send(client, "/rate/music/undo", trail=trail)
    assert await ratings(services) == {}


async def test_what_was_skipped_does_not_come_again_until_all_was_seen(site: Site) -> None:
    _, client = site
    path, seen = "/rate/music", []
    while item := re.findall(r'name="item" value="(\w+)"', page := await read(client, path)):
        seen.append(item[0])
        path = re.findall(r'href="(/rate/music\?trail=[^"]+)" data-skip', page)[0]
    assert len(set(seen)) == len(seen) == 4
    assert "That was all for now" in page


@pytest.mark.parametrize("trail", ["zz", "r", "s~", "r1~nan", "r1~-3", ",,,", "r" + "f" * 99])
async def test_a_trail_that_nobody_wrote_does_no_harm(site: Site, trail: str) -> None:
    _, client = site
    assert (await client.get("/rate/music", params={"trail": trail})).status == 200
    response = await send(client, "/rate/music/undo", trail=trail)
    assert response.status in (303, 404, 503), await response.text()


async def test_a_note_lies_beside_the_file_and_the_folder_is_looked_at(
    site: Site, household: Household
) -> None:
    services, client = site
    file = household.folder("music") / "0.mp3"
    path = await address(services, file)
    response = await send(client, f"{path}/note", note="for\r\nrainy days", before="")
    assert response.status == 303
    note = file.with_name("0.mp3.meta")
    assert note.read_text() == "for\nrainy days"
    assert stat.S_IMODE(note.stat().st_mode) == 0o644
    async with services.database.read() as session:
        [run] = await session.scalars(select(JobRun).where(JobRun.step == "sync"))
    assert run.options == {"under": {"music": [""]}}
    assert [p.name for p in file.parent.iterdir() if p.name.startswith(".")] == []


async def test_a_note_that_was_changed_elsewhere_is_not_overwritten(
    site: Site, household: Household
) -> None:
    services, client = site
    file = household.folder("music") / "0.mp3"
    path = await address(services, file)
    write(file.with_name("0.mp3.meta"), b"from another window")
    response = await send(client, f"{path}/note", note="mine & yours", before="")
    assert response.status == 422
    page = await response.text()
    assert "changed elsewhere" in page
    assert "mine &amp; yours" in page
    assert file.with_name("0.mp3.meta").read_text() == "from another window"


@pytest.mark.parametrize("size", [32 * 1024, 32 * 1024 + 1])
async def test_a_note_holds_32_kib_and_no_more(site: Site, household: Household, size: int) -> None:
    services, client = site
    file = household.folder("music") / "0.mp3"
    path = await address(services, file)
    response = await send(client, f"{path}/note", note="x" * size, before="")
    assert response.status == (303 if size == 32 * 1024 else 422)
    assert file.with_name("0.mp3.meta").exists() == (size == 32 * 1024)


async def test_jobs_are_started_and_cancelled_by_plain_forms(site: Site) -> None:
    services, client = site
    assert (await send(client, "/jobs", step="backup")).status == 303
    assert (await send(client, "/jobs", step="nonsense")).status == 422
    async with services.database.read() as session:
        [run] = await session.scalars(select(JobRun))
    assert (run.step, run.origin) == ("backup", "person")
    assert f"/jobs/{run.id}/cancel" in await read(client, "/jobs")
    assert (await send(client, f"/jobs/{run.id}/cancel")).status == 303
    page = await read(client, "/jobs")
    assert "cancelled" in page
    assert "/cancel" not in page


async def test_what_was_set_aside_is_listed_with_its_reason(site: Site) -> None:
    page = await read(site[1], "/jobs")
    assert "broken.jpg" in page
    assert "Waits until the file changes." in page


async def test_what_was_set_aside_can_be_tried_again(site: Site) -> None:
    services, client = site
    assert "Try all of it again" in await read(client, "/jobs")
    assert (await send(client, "/jobs/try-again")).status == 303
    assert "broken.jpg" not in await read(client, "/jobs")
    async with services.database.read() as session:
        queued = await session.scalars(select(JobRun.step).where(JobRun.state == "queued"))
        assert list(queued) == ["sync", "describe", "embed"]
    await run_steps(services, "sync")
    assert "broken.jpg" in await read(client, "/jobs")


async def test_a_source_that_lost_much_is_shown_and_the_loss_can_be_confirmed(site: Site) -> None:
    services, client = site
    async with services.database.write() as session:
        source = (await session.scalars(select(Source).where(Source.name == "music"))).one()
        source.problem = "half of its <files> are missing"
    for path in ("/", "/jobs"):
        assert "half of its &lt;files&gt; are missing" in await read(client, path)
    assert (await send(client, "/jobs/accept-loss", source="music")).status == 303
    assert (await send(client, "/jobs/accept-loss", source="other")).status == 422
    async with services.database.read() as session:
        [run] = await session.scalars(select(JobRun))
    assert (run.step, run.options) == ("sync", {"accept_loss": ["music"]})


@pytest.mark.parametrize("name", ["Ben", "Zoë", "Лев; a=b"])
async def test_each_profile_sees_its_own_ratings(site: Site, name: str) -> None:
    services, client = site
    async with services.database.write() as session:
        await add_profile(session, name)
    item = (await find_items(services))[0]
    await send(client, f"/items/{public_id(item.id)}/rating", value="3")
    assert "★" in await read(client, "/")
    response = await send(client, "/profile", profile=name, next="/browse/music")
    assert (response.status, response.headers["Location"]) == (303, "/browse/music")
    assert isinstance(response.cookies, SimpleCookie)
    page = await read(client, "/")
    assert "★" not in page
    assert re.search(rf"selected>{name}<", page)


@pytest.mark.parametrize("target", ["//evil.example", "https://evil.example", "/\\evil", ""])
async def test_switching_profiles_leads_to_no_other_site(site: Site, target: str) -> None:
    response = await send(site[1], "/profile", profile="me", next=target)
    assert response.headers["Location"] == "/"


@pytest.mark.parametrize(
    "path", ["/browse/nothing", "/rate/nothing", "/items/zz", "/items/1", "/wiki/nothing",
             "/wiki/..%2Fpyproject", "/wiki/__init__"],
)  # fmt: skip
async def test_what_is_not_there_is_a_page_that_says_so(site: Site, path: str) -> None:
    response = await site[1].get(path)
    assert response.status == 404
    assert "Back to the library" in await response.text()


@pytest.mark.parametrize(
    "query", ["after=zz", "after=1", "sort=nonsense", "rated=x", "mode=y", "source=nowhere",
              "q=%00", "q=%22%22%22", "q=" + "a" * 3000],
)  # fmt: skip
async def test_a_strange_question_is_answered_calmly(site: Site, query: str) -> None:
    for path in ("/", "/browse/music"):
        assert (await site[1].get(f"{path}?mode=words&{query}")).status == 200


async def test_every_link_of_the_wiki_leads_somewhere(site: Site) -> None:
    _, client = site
    start = await read(client, "/wiki")
    pages = ["/wiki", *sorted(set(re.findall(r'href="(/wiki/[a-z-]+)"', start)))]
    assert len(pages) > 4
    for path in pages:
        page = await read(client, path)
        for target, anchor in re.findall(r'href="(/wiki(?:/[a-z-]+)?)?#([^"]+)"', page):
            if anchor != "main":
                assert f'id="{anchor}"' in await read(client, target or path), (path, anchor)


def test_the_wiki_makes_anchors_and_takes_no_html() -> None:
    html = render_page("# A `b` & c\n\n[x](taste.md#figures) <b>bold</b>")
    assert 'id="a-b--c"' in html
    assert 'href="/wiki/taste#figures"' in html
    assert "<b>" not in html
