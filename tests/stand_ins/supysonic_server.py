"""A real supysonic, started in this process on a folder of music."""

import threading
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from supysonic import db
    from supysonic.config import DefaultConfig
    from supysonic.managers.folder import FolderManager
    from supysonic.managers.user import UserManager
    from supysonic.scanner import Scanner
    from supysonic.web import create_application
from werkzeug.serving import WSGIRequestHandler, make_server


class _Quiet(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: object) -> None:
        return None


class Supysonic:
    """What the tests do to it beside its API."""

    def __init__(self, url: str, music: Path) -> None:
        self.url = url
        self.music = music

    def scan(self) -> None:
        """Look for new, changed and removed files."""
        with _open():
            scanner = Scanner()
            scanner.queue_folder("Music")
            scanner.run()

    def wait_for_another_second(self) -> None:
        """Pause until a scan has another date than the last: it keeps whole seconds."""
        time.sleep(1.0 - time.time() % 1.0 + 0.01)

    def reissue_ids(self) -> None:
        """Forget the library and read it again: every song has another id."""
        with _open():
            FolderManager.delete_by_name("Music")
            FolderManager.add("Music", str(self.music))
        self.scan()


@contextmanager
def _open() -> Iterator[None]:
    db.open_connection(True)
    try:
        yield
    finally:
        db.close_connection()


@contextmanager
def run_supysonic(home: Path, music: Path, users: Mapping[str, str]) -> Iterator[Supysonic]:
    """Serve the folder on loopback; `users`: name to password. One at a time in a process."""

    config: Any = DefaultConfig()
    config.BASE = {**config.BASE, "database_uri": f"sqlite:///{home / 'supysonic.db'}"}
    config.WEBAPP = {**config.WEBAPP, "cache_dir": str(home / "cache"), "mount_webui": False}
    config.TESTING = True
    home.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        application = create_application(config)
        with _open():
            for name, password in users.items():
                UserManager.add(name, password)
            FolderManager.add("Music", str(music))
        server = make_server("127.0.0.1", 0, application, threaded=True, request_handler=_Quiet)
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        supysonic = Supysonic(f"http://127.0.0.1:{server.server_port}", music)
        try:
            supysonic.scan()
            yield supysonic
        finally:
            server.shutdown()
            thread.join()
            server.server_close()
            db.release_database()
