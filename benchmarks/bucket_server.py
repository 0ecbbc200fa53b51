"""A small S3-compatible server in memory that can be told to be full, or to be away: for drills of the clip store."""

import hashlib
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal, Self
from urllib.parse import parse_qs, urlsplit
from xml.sax.saxutils import escape

Mood = Literal["well", "full", "away"]
INSUFFICIENT_STORAGE, UNAVAILABLE = 507, 503
STAMP = "Sun, 29 Nov 2026 12:00:00 GMT"


class BucketServer:
    """Serves on this machine as long as the block lasts. `mood`: full refuses what is put, away everything."""

    def __init__(self) -> None:
        self.mood: Mood = "well"
        self.refused = 0
        self.objects: dict[str, bytes] = {}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"bucket": self}))
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    """PUT, GET and HEAD of an object, and the list of a bucket; intake removes nothing."""

    bucket: BucketServer
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_PUT(self) -> None:
        data = self._body()
        mood = self.bucket.mood
        if mood != "well":
            self._refuse(INSUFFICIENT_STORAGE if mood == "full" else UNAVAILABLE)
            return
        self.bucket.objects[self._name()] = data
        self._answer(200, b"", ETag=_tag(data))

    def do_GET(self) -> None:
        if self._is_away():
            return
        asked = urlsplit(self.path)
        if "list-type" in parse_qs(asked.query):
            self._answer(200, self._listed(parse_qs(asked.query).get("prefix", [""])[0]))
        elif (data := self.bucket.objects.get(self._name())) is not None:
            self._answer(200, data, ETag=_tag(data))
        else:
            self._answer(404, b"<Error><Code>NoSuchKey</Code></Error>")

    do_HEAD = do_GET

    def log_message(self, *_: object) -> None:
        """Nothing: the drill counts."""

    def _is_away(self) -> bool:
        away = self.bucket.mood == "away"
        if away:
            self._refuse(UNAVAILABLE)
        return away

    def _refuse(self, status: int) -> None:
        self.bucket.refused += 1
        self._answer(status, b"<Error><Code>InsufficientStorage</Code></Error>")

    def _name(self) -> str:
        """Without the bucket's own."""
        return urlsplit(self.path).path.split("/", 2)[-1]

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _listed(self, prefix: str) -> bytes:
        found = {name: data for name, data in self.bucket.objects.items() if name.startswith(prefix)}
        rows = "".join(
            f"<Contents><Key>{escape(name)}</Key><Size>{len(data)}</Size><ETag>{_tag(data)}</ETag>"
            f"<LastModified>2026-11-29T12:00:00.000Z</LastModified></Contents>"
            for name, data in sorted(found.items())
        )
        return f"<ListBucketResult><IsTruncated>false</IsTruncated>{rows}</ListBucketResult>".encode()

    def _answer(self, status: int, body: bytes, **headers: str) -> None:
        with suppress(ConnectionError):
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), "Last-Modified": STAMP, **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)


def _tag(data: bytes) -> str:
    return f'"{hashlib.md5(data, usedforsecurity=False).hexdigest()}"'
