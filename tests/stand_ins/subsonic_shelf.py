"""The songs of the Subsonic stand-in, listed at the price of a page."""

from typing import Any

Song = dict[str, Any]


class Shelf(dict[str, Song]):
    """Songs by id; their order is kept until one comes or goes."""

    def __init__(self) -> None:
        super().__init__()
        self._lists: dict[str | None, list[Song]] = {}

    def __setitem__(self, song_id: str, song: Song) -> None:
        self._forget()
        super().__setitem__(song_id, song)

    def __delitem__(self, song_id: str) -> None:
        self._forget()
        super().__delitem__(song_id)

    def pop(self, song_id: str, *default: Any) -> Any:
        """Take a song away."""
        self._forget()
        return super().pop(song_id, *default)

    def clear(self) -> None:
        """Take all songs away."""
        self._forget()
        super().clear()

    def _forget(self) -> None:
        self._lists.clear()

    def in_folder(self, folder: str | None) -> list[Song]:
        """Return the songs of a music folder (by their `folder`, else "1"); None: all."""
        if folder not in self._lists:
            songs = self.values()
            self._lists[folder] = [
                song for song in songs if folder is None or song.get("folder", "1") == folder
            ]
        return self._lists[folder]

    def albums(self) -> dict[str, Song]:
        """Return albums by id, with the latest moment at which a song of theirs was played."""
        albums: dict[str, Song] = {}
        for song in self.values():
            album = albums.setdefault(
                f"al-{song['album']}", {"id": f"al-{song['album']}", "name": song["album"]}
            )
            if "played" in song:
                album["played"] = max(song["played"], album.get("played", ""))
        return dict(sorted(albums.items()))


def numbers_as_text(value: Any) -> Any:
    """Return an answer with all numbers as strings."""
    if isinstance(value, dict):
        return {name: numbers_as_text(v) for name, v in value.items()}
    if isinstance(value, list):
        return [numbers_as_text(v) for v in value]
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value
