"""All benchmarks, or the named ones: python -m benchmarks [NAME…].

Every figure stands beside its baseline, measured in the same run; the exit status tells whether
all limits were kept.
"""

import sys

from benchmarks import (
    browse,
    event_loop,
    models,
    playlists,
    search,
    servers,
    start,
    sync,
    taste_refit,
)
from benchmarks.figures import machine, print_figure, print_head

BENCHMARKS = {
    "sync": sync.measure,
    "search": search.measure,
    "taste": taste_refit.measure,
    "browse": browse.measure,
    "start": start.measure,
    "loop": event_loop.measure,
    "servers": servers.measure,
    "playlists": playlists.measure,
    "models": models.measure,
}


def main() -> int:
    """Run what was asked for."""
    names = sys.argv[1:] or list(BENCHMARKS)
    unknown = [name for name in names if name not in BENCHMARKS]
    if unknown:
        print(f"There is no benchmark {unknown[0]}; there are {', '.join(BENCHMARKS)}.")
        return 2
    print(machine())
    print_head()
    figures = []
    for name in names:
        for figure in BENCHMARKS[name]():
            print_figure(figure)
            figures.append(figure)
    return 0 if all(figure.is_kept for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
