"""Kill a real daemon again and again, and see that nothing is lost or doubled.

By hand: python -m benchmarks.soak [--kills 50] [--seconds 900] [--seed N]

It, or one of its worker processes, is killed (-9) at random moments while it takes in texts and
pictures, a model looks at the pictures, ratings come over HTTP, and files come, move and go. At
the end an undisturbed daemon must have the catalogue that the files make, every rating that was
acknowledged, once, and of every item what the models make of it, once.
"""

import argparse
import json
import os
import random
import signal
import sqlite3
import sys
import tempfile
import time
import urllib.error
from contextlib import AbstractContextManager, closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from PIL import Image

from tests.daemon_process import DaemonProcess, running_daemon

FILES = 60
PICTURES = 40
MODEL = "efficientnet-lite0"
QUIET_SECONDS = 180.0
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
    painted: int = 0
    worker_kills: int = 0

    @property
    def folder(self) -> Path:
        """The mounted folder of texts."""
        return self.home / "media" / "text" / "Main"

    def make_files(self, count: int) -> None:
        """Write texts, no two alike."""
        for number in range(self.made, self.made + count):
            path = self.folder / f"{number % 7}" / f"{number}.txt"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"Text {number}: {self.chance.random()} " + "word " * (number % 90))
        self.made += count

    def paint(self, count: int) -> None:
        """Make pictures, no two alike."""
        folder = self.home / "media" / "images" / "Main"
        folder.mkdir(parents=True, exist_ok=True)
        for number in range(self.painted, self.painted + count):
            noise = Image.frombytes("RGB", (24, 16), self.chance.randbytes(24 * 16 * 3))
            noise.resize((480, 320)).save(folder / f"{number}.jpg")
        self.painted += count

    def move_a_file(self) -> None:
        """Give one file another name and folder."""
        path = self.chance.choice(sorted(self.folder.rglob("*.txt")))
        target = self.folder / "moved" / f"{path.stem}-{self.chance.randrange(10**6)}.txt"
        target.parent.mkdir(exist_ok=True)
        path.rename(target)

    def disturb(self, seconds: float) -> None:
        """Run a daemon for a while, rate, change files, and kill it in the middle.

        One time in three a worker is killed first, and the daemon has to go on without it.
        """
        with self._daemon() as daemon:
            end = time.monotonic() + seconds
            try:
                while time.monotonic() < end:
                    self._rate_something(daemon)
                    if self.chance.random() < 0.1:
                        self.move_a_file()
                    if self.chance.random() < 0.05:
                        self.make_files(1)
                        self.paint(1)
                    if self.chance.random() < 0.02:
                        self._kill_a_worker(daemon)
            except UNREACHABLE as error:
                if daemon.process.poll() is not None:
                    raise AssertionError("the daemon ended by itself") from error
            daemon.process.kill()

    def _daemon(self) -> AbstractContextManager[DaemonProcess]:
        return running_daemon(self.home, ANAGNORISIS_MODELS__IMAGES=MODEL)

    def _kill_a_worker(self, daemon: DaemonProcess) -> None:
        with suppress(psutil.Error, ProcessLookupError):
            workers = psutil.Process(daemon.process.pid).children(recursive=True)
            if workers:
                os.kill(self.chance.choice(workers).pid, signal.SIGKILL)
                self.worker_kills += 1

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
        with self._daemon() as daemon:
            self._wait_until_quiet(daemon)
        problems = []
        expected = self.made + self.painted
        database = self.home / "data" / "anagnorisis.db"
        with closing(sqlite3.connect(database)) as catalogue:
            if catalogue.execute("PRAGMA quick_check").fetchone() != ("ok",):
                problems.append("the database is damaged")
            present = catalogue.execute(
                "SELECT count(*) FROM item WHERE gone_at IS NULL"
            ).fetchone()
            if present != (expected,):
                problems.append(f"{present[0]} items of {expected} files")
            problems += self._wrong_work(catalogue)
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
        data = self.home / "data"
        if scraps := [*data.rglob("*.partial"), *(data / "scratch").glob("*")]:
            problems.append(f"left behind: {scraps}")
        return problems

    def _wrong_work(self, catalogue: sqlite3.Connection) -> list[str]:
        """Return what is missing or doubled of what the models make."""
        seen = "FROM item_vector JOIN item ON item.id = item_id WHERE space LIKE 'efficientnet%'"
        vectors = catalogue.execute(f"SELECT count(*), count(DISTINCT item_id) {seen}").fetchone()
        labels = catalogue.execute(
            "SELECT count(*), count(DISTINCT item_id) FROM description WHERE producer = ?",
            (f"seen:{MODEL}",),
        ).fetchone()
        looked_at = catalogue.execute(
            "SELECT count(*) FROM work WHERE worker LIKE 'perceive:%' AND error IS NULL"
        ).fetchone()
        without_words = catalogue.execute(
            "SELECT count(*) FROM item WHERE NOT EXISTS (SELECT 1 FROM item_vector v WHERE"
            " v.item_id = item.id AND v.space LIKE 'gt-all%')"
        ).fetchone()
        faults = catalogue.execute(
            "SELECT worker, error FROM work WHERE error IS NOT NULL LIMIT 3"
        ).fetchall()
        problems = []
        if vectors != (self.painted, self.painted):
            problems.append(f"{vectors[0]} vectors of {vectors[1]} in {self.painted} pictures")
        if labels[0] != labels[1]:
            problems.append(f"{labels[0]} descriptions of what is in {labels[1]} pictures")
        if looked_at != (self.painted,):
            problems.append(f"the model is done with {looked_at[0]} of {self.painted} pictures")
        if without_words != (0,):
            problems.append(f"{without_words[0]} items have no vector of their words")
        return problems + [f"{worker}: {error}" for worker, error in faults]

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
    trial.paint(PICTURES)
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
    parser.add_argument("--seconds", type=float, default=900)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        trial, problems, kills = soak(
            Path(folder), kills=arguments.kills, seconds=arguments.seconds, seed=arguments.seed
        )
    print(
        f"{kills} kills of the daemon, {trial.worker_kills} of workers (seed {arguments.seed}), "
        f"{len(trial.events)} ratings acknowledged, {trial.made} texts, {trial.painted} pictures: "
        f"{'; '.join(problems) or 'nothing lost, nothing doubled'}"
    )
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
