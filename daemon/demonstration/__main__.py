"""Make the demonstration library: ``python -m daemon.demonstration FOLDER``."""

import argparse
import sys
from pathlib import Path

from daemon.demonstration.library import FolderInUse, make_library


def main() -> int:
    """Make the library and say what is in it; 1 where something is there already."""
    parser = argparse.ArgumentParser(prog="python -m daemon.demonstration", description=__doc__)
    parser.add_argument("folder", type=Path, help="where music, images, text and videos will be")
    folder = parser.parse_args().folder
    try:
        made = make_library(folder)
    except FolderInUse as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except OSError as error:
        sys.stderr.write(f"{folder} cannot be written: {error.strerror or error}\n")
        return 1
    counts = ", ".join(f"{count} {what}" for what, count in made.items())
    sys.stdout.write(f"Made {counts} in {folder}.\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
