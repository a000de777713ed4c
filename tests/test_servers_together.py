"""One person, four places: a folder, Jellyfin, Plex and a real supysonic over the same music."""

import shutil
import subprocess
import sys
from pathlib import Path

import mutagen
import yaml

from tests.household import Household
from tests.stand_ins.jellyfin import FakeJellyfin
from tests.stand_ins.plex import FakePlex
from tests.stand_ins.supysonic_server import run_supysonic
from tests.verbs import environment, json_rows, run_verb

TARGETS = ("Jellyfin", "Plex", "Sub")


def say(household: Household, words: list[str], spoken: str) -> subprocess.CompletedProcess[str]:
    """Carry out a verb that reads from standard input."""
    return subprocess.run(
        [sys.executable, "-m", "daemon", *words], input=spoken, capture_output=True, text=True,
        timeout=60, check=False, cwd=household.home, env=environment(household, models=True),
    )  # fmt: skip


def test_one_run_takes_all_in_once_and_writes_the_same_list_to_all(
    household: Household, shared_media: Path, tmp_path: Path
) -> None:
    music = household.folder("music")
    shutil.copytree(shared_media / "music", music, dirs_exist_ok=True)
    files = sorted(music.rglob("*.ogg"))
    jellyfin, plex = FakeJellyfin(), FakePlex()
    jellyfin.add_user("Anna", "secret")
    library = jellyfin.add_library("Music", "music", "/media/music")
    section = plex.add_section("Music", "artist", "/data/music")
    album = plex.add_album(plex.add_artist(section, "Wesnoth"), "OST")
    for n, file in enumerate(files):
        inside, size = file.relative_to(music), file.stat().st_size
        length = mutagen.File(file).info.length
        if n != 0:  # Jellyfin lacks the first, Plex the last
            jellyfin.add_item(
                library, "Audio", file.stem, f"/media/music/{inside}", runtime=length, size=size
            )
        if n != len(files) - 1:
            plex.add_track(album, n, file.stem, f"/data/music/{inside}", duration=length, size=size)
    plex.rate(plex.owner, next(i for i in plex.items.values() if i.type == "track"), 9.0)
    with (
        jellyfin.run_in_thread(),
        plex.run_in_thread(),
        run_supysonic(tmp_path / "supysonic", music, {"anna": "secret"}) as supysonic,
    ):
        settings = {
            "profiles": ["anna"],
            "sources": [
                {"name": "Music", "media": "music", "path": str(music)},
                {"kind": "jellyfin", "name": "Jellyfin", "url": jellyfin.url,
                 "users": {"anna": "Anna"}, "path_map": {"/media/music": str(music)}},
                {"kind": "plex", "name": "Plex", "url": plex.url, "users": {"anna": "owner"},
                 "token": plex.owner.token, "path_map": {"/data/music": str(music)}},
                {"kind": "subsonic", "name": "Sub", "url": supysonic.url,
                 "users": {"anna": "anna"}, "path_map": {"/": str(music)}},
            ],
            "playlists": [
                {"name": "Evening", "order": "radio", "limit": "20 tracks",
                 "write_to": [*TARGETS, str(household.home / "lists")]},
            ],
        }  # fmt: skip
        household.data_dir.mkdir(parents=True, exist_ok=True)
        (household.data_dir / "config.yaml").write_text(yaml.safe_dump(settings))
        for name in ("Jellyfin", "Sub"):
            done = say(household, ["connect", name, "--password-stdin"], "secret\n")
            assert done.returncode == 0, done.stderr
        done = run_verb(household, "run", models=True)
        assert done.returncode == 0, done.stderr
        items = json_rows(household, "rank", models=True)
        assert len(items) == len(files)
        rows = json_rows(household, "playlist", "preview", "Evening", models=True)
        wanted = [row["title"] for row in rows]
        assert len(wanted) == len(files)
        names = {i.id: i.name for i in jellyfin.items.values()}
        on_jellyfin = [names[i] for i in jellyfin.playlist_items("Evening")]
        (on_plex,) = plex.playlists_of(plex.owner, "Evening")
        on_plex_titles = [entry.item.title for entry in on_plex.entries]
        by_title = {row["title"]: Path(row["path"]).stem for row in items}
        stems = [by_title[title] for title in wanted]
        assert on_jellyfin == [s for s in stems if s != files[0].stem]
        assert on_plex_titles == [s for s in stems if s != files[-1].stem]
        listed = (household.home / "lists" / "Evening.m3u8").read_text().splitlines()
        on_disk = [Path(line).stem for line in listed if not line.startswith("#")]
        assert on_disk == stems
        again = run_verb(household, "playlist", "write", "Evening", models=True)
        assert again.returncode == 0, again.stderr
        assert again.stderr.count("unchanged") == 4, again.stderr
        assert "cannot be understood" not in done.stderr + again.stderr
        told = run_verb(household, "doctor", models=True)
        assert "sampled paths are found here" in told.stdout
        log = "".join(p.read_text(errors="replace") for p in household.data_dir.rglob("*.log*"))
        for secret in ("secret", plex.owner.token):
            assert secret not in done.stderr + again.stderr + told.stdout + told.stderr + log
