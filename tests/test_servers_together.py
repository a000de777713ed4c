"""One person, four places: a folder, Jellyfin, Plex and a real supysonic over the same media."""

import json
import shutil
from pathlib import Path

import pytest

from tests.media import REAL_MEDIA
from tests.stand_ins.jellyfin import FakeJellyfin
from tests.stand_ins.plex import FakePlex
from tests.stand_ins.supysonic_server import run_supysonic
from tests.verbs import verb
