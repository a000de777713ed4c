"""The journal: on disk before the reply, whole lines or none, from any number of processes."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from daemon.store.journal import Journal, JournalError, parse_line


def entry(event: Any = "x", **changes: Any) -> dict[str, Any]:
    return {
        "event": event, "profile": "me", "value": 7.5, "at": "2026-01-31T20:15:00+00:00",
        "origin": "person", "item": {"id": "1f", "locations": []},
    } | changes  # fmt: skip


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "ratings.jsonl")


def events(journal: Journal) -> list[str]:
    return [line["event"] for line in journal.read()]


async def test_no_journal_reads_as_an_empty_one(journal: Journal) -> None:
    assert list(journal.read()) == []
    assert journal.size() == 0


async def test_what_was_appended_reads_back(journal: Journal) -> None:
    lines = [entry("a", value=None), entry("b", value=0, item={"path": "\udcff\n\u2028"})]
    await journal.append(lines)
    assert list(journal.read()) == lines
    assert journal.size() == journal.path.stat().st_size > 0
    assert journal.path.stat().st_mode & 0o777 == 0o600


def test_an_entry_is_synced_to_the_disk_before_append_returns(tmp_path: Path) -> None:
    """Looked at from outside: the order of the system calls of a real process."""
    script = (
        "import asyncio, os, sys\n"
        "calls = []\n"
        "def audit(fsync=os.fsync):\n"
        "    def call(descriptor):\n"
        "        where = os.readlink(f'/proc/self/fd/{descriptor}')\n"
        "        calls.append((os.path.basename(where), os.stat(where).st_size > 100))\n"
        "        return fsync(descriptor)\n"
        "    return call\n"
        "os.fsync = audit()\n"
        "from pathlib import Path\n"
        "from daemon.store.journal import Journal\n"
        "journal = Journal(Path(sys.argv[1]))\n"
        "asyncio.run(journal.append([{'event': 'x' * 100}]))\n"
        "import json; print(json.dumps(calls))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "ratings.jsonl")],
        capture_output=True, text=True, check=True, timeout=30,
    )  # fmt: skip
    calls = json.loads(done.stdout)
    assert calls[0] == ["ratings.jsonl", True]
    assert calls[1][0] == tmp_path.name, "the folder that has a new name in it"


async def test_a_line_that_a_power_cut_tore_is_left_out_and_ended(journal: Journal) -> None:
    await journal.append([entry("a"), entry("b")])
    journal.path.write_bytes(journal.path.read_bytes()[:-20])
    assert events(journal) == ["a"]
    await journal.append([entry("c")])
    assert events(journal) == ["a", "c"]


async def test_zeros_that_a_power_cut_left_do_no_harm(journal: Journal) -> None:
    await journal.append([entry("a")])
    with journal.path.open("ab") as file:
        file.write(b"\0" * 4096)
    await journal.append([entry("b")])
    assert events(journal) == ["a", "b"]


@pytest.mark.parametrize(
    "line",
    [
        b"", b"{}", b"[]", b"null", b'"event"', b"\xff", b"{" * 100_000, b"[" * 100_000,
        *(
            json.dumps(entry(**changes)).encode()
            for changes in (
                {"event": 5}, {"event": None}, {"profile": ["me"]}, {"at": "yesterday"},
                {"at": 5}, {"at": "9999-12-31T23:59:59-14:00"}, {"value": "7"}, {"value": 11},
                {"value": -1}, {"value": float("nan")}, {"value": float("inf")}, {"value": True},
                {"value": [1]}, {"item": None}, {"item": "1f"}, {"origin": "robot"},
                {"removed": "yes", "item": None},
            )
        ),
    ],
)  # fmt: skip
async def test_lines_that_a_hand_spoilt_are_passed_over(journal: Journal, line: bytes) -> None:
    await journal.append([entry("a")])
    with journal.path.open("ab") as file:
        file.write(line + b"\n")
    await journal.append([entry("b")])
    assert parse_line(line) is None
    assert events(journal) == ["a", "b"]


async def test_several_processes_append_whole_lines(journal: Journal) -> None:
    script = (
        "import asyncio, sys\n"
        "from pathlib import Path\n"
        "from daemon.store.journal import Journal\n"
        "async def write(journal, name):\n"
        "    for n in range(40):\n"
        "        await journal.append([{'event': f'{name}-{n}', 'profile': 'p' * 5000,\n"
        "            'value': 1, 'at': '2026-01-01', 'origin': 'person', 'item': {}}])\n"
        "asyncio.run(write(Journal(Path(sys.argv[1])), sys.argv[2]))\n"
    )
    processes = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", script, str(journal.path), str(name)
        )
        for name in range(3)
    ]
    assert [await process.wait() for process in processes] == [0, 0, 0]
    written = events(journal)
    assert len(written) == 120
    for name in range(3):
        mine = [event for event in written if event.startswith(f"{name}-")]
        assert mine == [f"{name}-{n}" for n in range(40)]


def test_a_full_disk_is_told_and_leaves_no_half_line(journal: Journal) -> None:
    asyncio.run(journal.append([entry("a")]))
    before = journal.path.read_bytes()
    room = len(before) + 100
    script = (
        "import asyncio, resource, sys\n"
        "from pathlib import Path\n"
        "from daemon.store.journal import Journal, JournalError\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({room}, {room}))\n"
        "try:\n"
        "    asyncio.run(Journal(Path(sys.argv[1])).append([{'event': 'b' * 500}]))\n"
        "except JournalError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(journal.path)],
        capture_output=True, text=True, check=True, timeout=30,
    )  # fmt: skip
    assert done.stdout == f"The rating could not be written to {journal.path}: File too large\n"
    assert journal.path.read_bytes() == before
    asyncio.run(journal.append([entry("c")]))
    assert events(journal) == ["a", "c"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
async def test_a_device_without_room_is_told(tmp_path: Path) -> None:
    (tmp_path / "ratings.jsonl").symlink_to("/dev/full")
    with pytest.raises(JournalError, match="No space left on device"):
        await Journal(tmp_path / "ratings.jsonl").append([entry("a")])


async def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "gone" / "ratings.jsonl")
    with pytest.raises(JournalError) as caught:
        await journal.append([entry("a")])
    assert str(caught.value) == (
        f"The rating could not be written to {journal.path}: No such file or directory"
    )


async def test_a_writer_that_is_killed_leaves_only_whole_lines(journal: Journal) -> None:
    script = (
        "import asyncio, sys\n"
        "from pathlib import Path\n"
        "from daemon.store.journal import Journal\n"
        "async def write(journal):\n"
        "    n = 0\n"
        "    while True:\n"
        "        await journal.append([{'event': f'{n}', 'profile': 'p' * 50_000,\n"
        "            'value': 1, 'at': '2026-01-01', 'origin': 'person', 'item': {}}])\n"
        "        n += 1\n"
        "        print(n, flush=True)\n"
        "asyncio.run(write(Journal(Path(sys.argv[1]))))\n"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, str(journal.path), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout
    acknowledged = 0
    while acknowledged < 20:
        acknowledged = int(await process.stdout.readline())
    os.kill(process.pid, signal.SIGKILL)
    rest = (await process.stdout.read()).split()
    await process.wait()
    acknowledged = int(rest[-1]) if rest else acknowledged
    await journal.append([entry("after")])
    written = events(journal)
    assert written[-1] == "after"
    assert written[:acknowledged] == [str(n) for n in range(acknowledged)]
