"""Files and thumbnails: by item only, inside the mounted folders only."""

import io
from pathlib import Path

import pytest
from aiohttp.test_utils import TestClient
from PIL import Image

from daemon.services import Services
from daemon.store.models import public_id
from tests.household import Household, item_at, run_step
from tests.media import make_audio, make_document, make_picture, picture_bytes, write
from tests.web_client import open_site


async def address(services: Services, path: Path) -> str:
    return public_id(await item_at(services, path))


async def test_a_file_is_sent_whole_and_in_parts(household: Household) -> None:
    path = household.folder("music") / "a.mp3"
    make_audio(path)
    content = path.read_bytes()
    async with open_site(household) as (services, client):
        await run_step(services, "sync")
        media = f"/media/{await address(services, path)}"
        whole = await client.get(media)
        assert whole.headers["Content-Type"] == "audio/mpeg"
        assert await whole.read() == content
        part = await client.get(media, headers={"Range": "bytes=10-19"})
        assert part.status == 206
        assert await part.read() == content[10:20]
        assert (await client.get(media, headers={"Range": "bytes=99999999-"})).status == 416
        assert (await client.head(media)).headers["Content-Length"] == str(len(content))
        path.unlink()
        assert (await client.get(media)).status == 404


@pytest.mark.parametrize("name", ["a.html", "a.md", "a.txt", "a.pdf"])
async def test_a_text_of_the_library_cannot_run_scripts_in_our_name(
    household: Household, name: str
) -> None:
    path = household.folder("text") / name
    make_document(path, "<script>alert(1)</script>")
    async with open_site(household) as (services, client):
        await run_step(services, "sync")
        response = await client.get(f"/media/{await address(services, path)}")
        assert response.status == 200
        assert response.headers["Content-Security-Policy"].startswith("sandbox;")
        assert response.headers["X-Content-Type-Options"] == "nosniff"


async def test_a_link_that_leads_out_of_the_folders_is_not_followed(
    household: Household, tmp_path: Path
) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("a secret of the house")
    folder = household.folder("text")
    (folder / "link.txt").symlink_to(secret)
    make_document(folder / "real.txt", "A text.")
    (folder / "inner.txt").symlink_to(folder / "real.txt")
    async with open_site(household) as (services, client):
        await run_step(services, "sync")
        outside = await client.get(f"/media/{await address(services, folder / 'link.txt')}")
        assert outside.status == 404
        inside = await client.get(f"/media/{await address(services, folder / 'inner.txt')}")
        assert await inside.text() == "A text."


async def thumbnail(client: TestClient, item: str, query: str = "") -> Image.Image | None:
    response = await client.get(f"/thumbnail/{item}{query}")
    if response.status == 204:
        return None
    assert response.headers["Content-Type"] == "image/webp"
    return Image.open(io.BytesIO(await response.read()))


async def test_a_thumbnail_is_made_once_and_anew_when_the_file_changes(
    household: Household,
) -> None:
    path = household.folder("images") / "a.jpg"
    make_picture(path, size=(800, 600))
    async with open_site(household) as (services, client):
        await run_step(services, "sync")
        item = await address(services, path)
        small = await thumbnail(client, item)
        assert small is not None
        assert max(small.size) == 256
        large = await thumbnail(client, item, "?size=512&v=1")
        assert large is not None
        assert max(large.size) == 512
        made = {
            p: p.stat().st_mtime_ns for p in (household.data_dir / "thumbnails").rglob("*.webp")
        }
        assert len(made) == 2
        await services.workers.pages.close()
        await thumbnail(client, item)
        assert services.workers.pages.process_id is None  # it was there
        make_picture(path, size=(400, 800), seed=5)
        await run_step(services, "sync")
        changed = await thumbnail(client, await address(services, path))
        assert changed is not None
        assert changed.height == 256
        assert (await client.get(f"/thumbnail/{item}?size=999")).status == 400
        assert not list(household.folder("images").glob("*thumb*"))


async def test_what_has_no_picture_has_no_thumbnail_and_is_not_tried_again(
    household: Household,
) -> None:
    folder = household.folder("music")
    make_audio(folder / "plain.mp3", frequency=300)
    make_audio(folder / "covered.mp3", frequency=500, cover=picture_bytes((300, 300)))
    write(household.folder("images") / "broken.jpg", picture_bytes((300, 200))[:2000])
    async with open_site(household) as (services, client):
        await run_step(services, "sync")
        plain = await address(services, folder / "plain.mp3")
        assert await thumbnail(client, plain) is None
        await services.workers.pages.close()
        assert await thumbnail(client, plain) is None
        assert services.workers.pages.process_id is None
        cover = await thumbnail(client, await address(services, folder / "covered.mp3"))
        assert cover is not None


async def test_real_media_have_thumbnails(household: Household, shared_media: Path) -> None:
    photo = shared_media / "images" / "Walls" / "sunset_by_Aitzol_Berasategi.jpg"
    clip = shared_media / "videos" / "Clips" / "sunset-pan.mp4"
    write(household.folder("images") / photo.name, photo.read_bytes())
    write(household.folder("videos") / clip.name, clip.read_bytes())
    async with open_site(household) as (services, client):
        await run_step(services, "sync")
        for folder, name in (("images", photo.name), ("videos", clip.name)):
            path = household.home / "media" / folder / "Main" / name
            found = await thumbnail(client, await address(services, path))
            assert found is not None
            assert max(found.size) == 256
            assert len(set(found.convert("L").tobytes())) > 50  # not a blank
