"""A hub of models on loopback, as far as huggingface_hub's client and a download ask it."""

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

COMMIT = "1234567890abcdef1234567890abcdef12345678"
LATER = "fedcba0987654321fedcba0987654321fedcba09"


class FakeHub:
    """One repository; can be told to fail."""

    def __init__(self, repository: str, files: dict[str, bytes]) -> None:
        self.repository = repository
        self.commits = {COMMIT: files}
        self.head = COMMIT
        self.requests: list[tuple[str, str]] = []
        """Path and Range of every request for a file."""
        self.cut_after: int | None = None
        """Bytes after which the next body breaks off."""
        self.corrupt: set[str] = set()
        """Files whose bytes are wrong on the way."""
        self.status = 200
        """What everything is answered with instead."""
        self.url = ""

    def push(self, files: dict[str, bytes]) -> None:
        """Move `main` to another commit."""
        self.commits[LATER], self.head = files, LATER

    def _commit(self, revision: str) -> str | None:
        revision = self.head if revision == "main" else revision
        return revision if revision in self.commits else None

    def model(self, revision: str) -> dict[str, Any] | None:
        """Return what the API says of the model at a revision."""
        commit = self._commit(revision)
        if commit is None:
            return None
        siblings = []
        for name, data in self.commits[commit].items():
            blob = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
            sibling: dict[str, Any] = {"rfilename": name, "size": len(data), "blobId": blob}
            if name.endswith((".safetensors", ".bin", ".pt")):
                sha256 = hashlib.sha256(data).hexdigest()
                sibling["lfs"] = {"sha256": sha256, "size": len(data), "pointerSize": 134}
            siblings.append(sibling)
        return {"id": self.repository, "modelId": self.repository, "sha": commit,
                "siblings": siblings, "private": False, "tags": []}  # fmt: skip

    @contextmanager
    def serving(self) -> Iterator[str]:
        """Serve while the context is open; yield the URL."""
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                hub._answer(self)

            def log_message(self, *_: Any) -> None:
                return None

        with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            thread = threading.Thread(target=server.serve_forever, daemon=True)
            thread.start()
            self.url = f"http://127.0.0.1:{server.server_port}"
            try:
                yield self.url
            finally:
                server.shutdown()
                thread.join()

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        path = unquote(urlsplit(handler.path).path)
        if self.status != 200:
            code = {"X-Error-Code": "GatedRepo"} if self.status == 403 else {}
            return _send(handler, self.status, b"{}", code)
        api, files = f"/api/models/{self.repository}", f"/{self.repository}/resolve/"
        if path == api or path.startswith(f"{api}/revision/"):
            revision = path.removeprefix(f"{api}/revision/") if path != api else "main"
            model = self.model(revision)
            if model is None:
                return _send(handler, 404, b"{}", {"X-Error-Code": "RevisionNotFound"})
            return _send(handler, 200, json.dumps(model).encode(), {})
        if path.startswith(files):
            revision, _, name = path.removeprefix(files).partition("/")
            return self._send_file(handler, revision, name)
        return _send(handler, 404, b"{}", {"X-Error-Code": "RepoNotFound"})

    def _send_file(self, handler: BaseHTTPRequestHandler, revision: str, name: str) -> None:
        asked = handler.headers.get("Range") or ""
        self.requests.append((name, asked))
        commit = self._commit(revision)
        data = self.commits[commit].get(name) if commit else None
        if data is None:
            return _send(handler, 404, b"", {})
        if name in self.corrupt:
            data = bytes([data[0] ^ 1]) + data[1:]
        first = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
        body = data[first:]
        cut, self.cut_after = self.cut_after, None
        return _send(handler, 206 if asked else 200, body, {}, cut)


def _send(
    handler: BaseHTTPRequestHandler,
    status: int,
    body: bytes,
    headers: dict[str, str],
    cut: int | None = None,
) -> None:
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name, value)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body if cut is None else body[:cut])
    if cut is not None:
        handler.close_connection = True
