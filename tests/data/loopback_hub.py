"""A hub on loopback: the part of the hub's HTTP interface that loading a dataset needs, over a folder of copies."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import unquote, urlsplit


class _Hub(BaseHTTPRequestHandler):
    root: ClassVar[Path]
    gated: ClassVar[frozenset[str]]
    asked: ClassVar[list[str]]

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        wanted = json.loads(self.rfile.read(length) or b"{}").get("paths", [])
        repository, _, _ = self._parts()
        self._json([entry for entry in self._files(repository) if entry["path"] in wanted])

    def do_GET(self) -> None:
        self.asked.append(f"{self.command} {self.path}")
        repository, verb, rest = self._parts()
        if repository in self.gated:
            self._refuse(401, "GatedRepo")
        elif not (self.root / repository).is_dir():
            self._refuse(404, "RepoNotFound")
        elif verb == "resolve":
            revision, _, name = rest.partition("/")
            self._file(self.root / repository / name, revision)
        elif verb == "tree":
            self._json(self._listed(repository, rest.partition("/")[2]))
        else:
            files = [{"rfilename": entry["path"]} for entry in self._files(repository)]
            self._json({"id": repository, "sha": rest or "0" * 40, "siblings": files, "tags": [], "private": False})

    def _parts(self) -> tuple[str, str, str]:
        path = unquote(urlsplit(self.path).path).removeprefix("/api").removeprefix("/datasets/")
        owner, name, verb, rest = [*path.split("/", 3), "", "", ""][:4]
        return f"{owner}/{name}", verb, rest

    def _files(self, repository: str) -> list[dict[str, Any]]:
        folder = self.root / repository
        return [
            {"type": "file", "path": str(path.relative_to(folder)), "size": path.stat().st_size, "oid": _etag(path)}
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        ]

    def _listed(self, repository: str, inside: str) -> list[dict[str, Any]]:
        """What stands directly in a folder."""
        folder = self.root / repository
        files = {entry["path"]: entry for entry in self._files(repository)}
        paths = (str(path.relative_to(folder)) for path in sorted((folder / inside).glob("*")))
        return [files.get(path, {"type": "directory", "path": path, "oid": "0" * 40}) for path in paths]

    def _file(self, path: Path, revision: str) -> None:
        if not path.is_file():
            self._refuse(404, "EntryNotFound")
            return
        commit = revision if len(revision) == 40 else "0" * 40
        self._answer(200, path.read_bytes(), {"ETag": f'"{_etag(path)}"', "X-Repo-Commit": commit})

    def _json(self, value: Any) -> None:
        self._answer(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _refuse(self, status: int, code: str) -> None:
        self._answer(status, b"{}", {"X-Error-Code": code, "X-Error-Message": code})

    def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def _etag(path: Path) -> str:
    return hashlib.sha1(path.read_bytes()).hexdigest()


@contextmanager
def serving(root: Path, gated: frozenset[str] = frozenset()) -> Iterator[tuple[str, list[str]]]:
    """Serve the copies under `root`; yields the address and the list of what is asked."""
    asked: list[str] = []
    handler = type("Hub", (_Hub,), {"root": root, "gated": gated, "asked": asked})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
