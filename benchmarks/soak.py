"""Kill a real daemon again and again, and see that nothing is lost or doubled.

By hand: python -m benchmarks.soak [--kills 50] [--seconds 600] [--seed N]

It is killed (-9) at random moments while it takes in a library, is given ratings over HTTP, and
files come, move and go. At the end an undisturbed daemon must have the catalogue that the files
make, and every rating that was acknowledged, once.
"""

import argparse
import json
import random
import sqlite3
import sys
import tempfile
import time
import urllib.error
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from tests.daemon_process import DaemonProcess, running_daemon

FILES = 60
QUIET_SECONDS = 90.0
UNREACHABLE = (urllib.error.URLError, ConnectionError, TimeoutError, json.JSONDecodeError)


@dataclass
class Trial:
    """What was done to the daemon, and what it must know at the end."""

    home: Path
    chance: random.Random
    acknowledged: dict[str, float] = field(default_factory=dict)
    """Item id to the last rating that was acknowledged."""
    events: set[str] = field(default_factory=set)
    made: int = 0

    @property
    def folder(self) -> Path:
        """The mounted folder."""
        return self.home / "media" / "text" / "Main"

    def make_files(self, count: int) -> None:
        """Write texts, no two alike."""
        for number in range(self.made, self.made + count):
            path = self.folder / f"{number % 7}" / f"{number}.txt"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"Text {number}: {self.chance.random()} " + "word " * (number % 90))
        self.made += count

    def move_a_file(self) -> None:
        """Give one file another name and folder."""
        path = self.chance.choice(sorted(self.folder.rglob("*.txt")))
        target = self.folder / "moved" / f"{path.stem}-{self.chance.randrange(10**6)}.txt"
        target.parent.mkdir(exist_ok=True)
        path.rename(target)

    def disturb(self, seconds: float) -> None:
        """Run a daemon for a while, rate, change files, and kill it in the middle."""
        with running_daemon(self.home) as daemon:
            end = time.monotonic() + seconds
            try:
                while time.monotonic() < end:
                    self._rate_something(daemon)
                    if self.chance.random() < 0.1:
                        self.move_a_file()
                    if self.chance.random() < 0.05:
                        self.make_files(1)
            except UNREACHABLE as error:
                if daemon.process.poll() is not None:
                    raise AssertionError("the daemon ended by itself") from error
            daemon.process.kill()

    def _rate_something(self, daemon: DaemonProcess) -> None:
        items = json.loads(daemon.get("/api/items?kind=text&limit=200"))["items"]
        if not items:
            time.sleep(0.05)
            return
        item = self.chance.choice(items)["id"]
        value = round(self.chance.uniform(0, 10), 1)
        body = json.dumps({"value": value}).encode()
        answer = json.loads(daemon.put(f"/api/items/{item}/rating", body))
        self.acknowledged[item] = value
        self.events.add(answer["event"])

    def check(self) -> list[str]:
        """Let a daemon work undisturbed; return what is wrong, nothing if all is well."""
        with running_daemon(self.home) as daemon:
            self._wait_until_quiet(daemon)
        problems = []
        database = self.home / "data" / "anagnorisis.db"
        with closing(sqlite3.connect(database)) as catalogue:
            if catalogue.execute("PRAGMA quick_check").fetchone() != ("ok",):
                problems.append("the database is damaged")
            present = catalogue.execute(
                "SELECT count(*) FROM item WHERE gone_at IS NULL"
            ).fetchone()
            if present != (self.made,):
                problems.append(f"{present[0]} items of {self.made} files")
            ratings = {
                format(item, "x"): value
                for item, value in catalogue.execute("SELECT item_id, value FROM rating")
            }
            events = [row[0] for row in catalogue.execute("SELECT id FROM rating_event")]
        wrong = {i: v for i, v in self.acknowledged.items() if ratings.get(i) != v}
        if wrong:
            problems.append(f"{len(wrong)} of {len(self.acknowledged)} ratings are not as given")
        if not self.events <= set(events) or len(events) != len(set(events)):
            problems.append("rating events are missing or doubled")
        if partial := list((self.home / "data").rglob("*.partial")):
            problems.append(f"left behind: {partial}")
        return problems

    def _wait_until_quiet(self, daemon: DaemonProcess) -> None:
        deadline = time.monotonic() + QUIET_SECONDS
        while time.monotonic() < deadline:
            runs = json.loads(daemon.get("/api/jobs"))["runs"]
            if runs and all(run["state"] not in ("queued", "running") for run in runs):
                return
            time.sleep(0.3)
        raise AssertionError("the daemon does not come to rest")


def soak(home: Path, *, kills: int, seconds: float, seed: int) -> tuple[Trial, list[str], int]:
    """Disturb until enough; return the trial, its problems, and how many kills there were."""
    trial = Trial(home, random.Random(seed))
    trial.make_files(FILES)
    end = time.monotonic() + seconds
    done = 0
    while done < kills and time.monotonic() < end:
        trial.disturb(trial.chance.uniform(0.05, 4.0))
        done += 1
    return trial, trial.check(), done


def main() -> int:
    """Soak for a while, and say how it went."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        trial, problems, kills = soak(
            Path(folder), kills=arguments.kills, seconds=arguments.seconds, seed=arguments.seed
        )
    print(
        f"{kills} kills (seed {arguments.seed}), {len(trial.events)} ratings acknowledged, "
        f"{trial.made} files: {'; '.join(problems) or 'nothing lost, nothing doubled'}"
    )
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
