"""Which playlists were made on servers: a journal that outlives the catalogue.

It finds them again after the catalogue was restored from an older backup, also where a server can
hold no mark.
"""

import json
from pathlib import Path

JOURNAL_NAME = "playlists.jsonl"


def read_made(data_dir: Path, playlist: str, target: str) -> dict[str, str]:
    """Return what a smart playlist was at a target: id: moment of making."""
    try:
        lines = (data_dir / JOURNAL_NAME).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return {}
    noted: dict[str, str] = {}
    for line in lines:
        try:
            said = json.loads(line)
            if said["target"] != target:
                continue
            if said["playlist"] == playlist:
                noted[said["id"]] = said["created"]
            else:  # it was given another name
                noted.pop(said["id"], None)
        except (ValueError, KeyError, TypeError):
            continue  # cut short by a kill
    return noted


def note_made(data_dir: Path, playlist: str, target: str, remote_id: str, created: str) -> None:
    """Append what was made, or was given this name."""
    said = {"playlist": playlist, "target": target, "id": remote_id, "created": created}
    path = data_dir / JOURNAL_NAME
    with path.open("a", encoding="utf-8") as file:
        file.write("\n" + json.dumps(said) + "\n" if _is_cut(path) else json.dumps(said) + "\n")


def _is_cut(path: Path) -> bool:
    content = path.read_bytes() if path.exists() else b""
    return bool(content) and not content.endswith(b"\n")
