"""A registry of npm's on a free port, with packages of a test's own: what npm asks for by a lock file."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import tarfile
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import unquote

VERSION = "1.2.3"


def tarball(name: str, files: Mapping[str, str]) -> bytes:
    """Return a package as npm has it."""
    manifest = json.dumps({"name": name, "version": VERSION, "license": "MIT"})
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for path, text in {"package.json": manifest, **files}.items():
            member = tarfile.TarInfo(f"package/{path}")
            member.size = len(text.encode())
            tar.addfile(member, io.BytesIO(text.encode()))
    return packed.getvalue()


class NpmRegistry:
    """Serves ``{package: {path: text}}``; `asked` are the paths of all requests."""

    def __init__(self, packages: Mapping[str, Mapping[str, str]]) -> None:
        self.asked: list[str] = []
        self._tarballs = {name: tarball(name, files) for name, files in packages.items()}
        registry = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                registry.asked.append(self.path)
                body = registry.answer(unquote(self.path.lstrip("/")))
                self.send_response(404 if body is None else 200)
                self.send_header("Content-Length", str(len(body or b"")))
                self.end_headers()
                self.wfile.write(body or b"")

            def log_message(self, *args: Any) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    def __enter__(self) -> NpmRegistry:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def integrity(self, name: str) -> str:
        """Return the hash of a package as lock files have it."""
        digest = hashlib.sha512(self._tarballs[name]).digest()
        return "sha512-" + base64.b64encode(digest).decode()

    def lock(self) -> dict[str, Any]:
        """Return the lock file for all packages."""
        asked = dict.fromkeys(self._tarballs, VERSION)
        locked = {
            f"node_modules/{name}": {"version": VERSION, "integrity": self.integrity(name)} for name in asked
        }
        return {
            "name": "pages",
            "lockfileVersion": 3,
            "requires": True,
            "packages": {"": {"name": "pages", "dependencies": asked}, **locked},
        }

    def answer(self, path: str) -> bytes | None:
        """Return what is at a path, None for nothing."""
        name, _, is_tarball = path.partition("/-/")
        if name not in self._tarballs:
            return None
        if is_tarball:
            return self._tarballs[name]
        dist = {"tarball": f"{self.url}{name}/-/{name}.tgz", "integrity": self.integrity(name)}
        version = {"name": name, "version": VERSION, "dist": dist}
        packument = {"name": name, "dist-tags": {"latest": VERSION}, "versions": {VERSION: version}}
        return json.dumps(packument).encode()
