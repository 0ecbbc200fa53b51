"""What a hostile server may answer, and what a hostile signer may sign: the material of `update_attacks`."""

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import MetaFile, TargetFile

from benchmarks.update_lab import Lab, Reply
from cloud_sync.signed_state import Books

PIECE = 32 * 1024


def given(data: bytes, status: int = 200, **headers: str) -> Reply:
    def reply(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in ({"Content_Length": str(len(data))} | headers).items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(data)

    return reply


def endless(beginning: bytes = b"") -> Reply:
    def reply(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        handler.wfile.write(beginning)
        while True:  # until the device hangs up
            handler.wfile.write(b" " * PIECE)

    return reply


def dripping(data: bytes, every_s: float, *, head: bool = False) -> Reply:
    """A byte now and then; `head`: already the answer's first lines come like that."""

    def reply(handler: BaseHTTPRequestHandler) -> None:
        said = b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n" % len(data)
        handler.wfile.write(b"" if head else said)
        for byte in (said if head else b"") + data:
            handler.wfile.write(bytes([byte]))
            time.sleep(every_s)

    return reply


def silent(seconds: float, *, promised: int = 1000) -> Reply:
    def reply(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(promised))
        handler.end_headers()
        handler.wfile.flush()
        time.sleep(seconds)

    return reply


def spoken(raw: bytes) -> Reply:
    """No HTTP, or what passes for it."""

    def reply(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(raw)

    return reply


@dataclass
class Forger:
    """The honest metadata in hostile hands: changed, and signed with stolen keys, or with the forger's own."""

    lab: Lab
    stolen: frozenset[str] = frozenset()
    own: CryptoSigner = field(default_factory=CryptoSigner.generate_ed25519)

    def __post_init__(self) -> None:
        self.books = Books.load(self.lab.config)

    def signed(self, role: str) -> Any:
        return self.books.parts[role].signed

    def sign(self, role: str, *, by: Iterable[CryptoSigner] | None = None) -> bytes:
        part = self.books.parts[role]
        part.signatures.clear()
        theirs = self.books.keys.signers(role).values() if role in self.stolen else [self.own]
        for signer in theirs if by is None else by:
            part.sign(signer, append=True)
        return part.to_bytes()

    def replies(self, *changed: str, hashes: bool = True) -> dict[str, Reply]:
        """The changed roles as the next versions, with the snapshot and timestamp that name them."""
        out: dict[str, bytes] = {}
        for role in changed:
            self.signed(role).version += 1
            out[f"{self.signed(role).version}.{role}"] = self.sign(role)
            self.signed("snapshot").meta[f"{role}.json"] = self._meta(role, hashes)
        self.signed("snapshot").version += 1
        out[f"{self.signed('snapshot').version}.snapshot"] = self.sign("snapshot")
        self.signed("timestamp").snapshot_meta = self._meta("snapshot", hashes)
        self.signed("timestamp").version += 1
        out["timestamp"] = self.sign("timestamp")
        return {f"/metadata/{name}.json": given(data) for name, data in out.items()}

    def offers(self, path: str, data: bytes, role: str = "bundles") -> dict[str, Reply]:
        """`role` names a target, and the server has its bytes."""
        info = TargetFile.from_data(path, data, ["sha256"])
        self.signed(role).targets[path] = info
        return self.replies(role) | {f"/targets/{info.get_prefixed_paths()[0]}": given(data)}

    def _meta(self, role: str, hashes: bool) -> MetaFile:
        part = self.books.parts[role]
        if not hashes:
            return MetaFile(part.signed.version)
        return MetaFile.from_data(part.signed.version, part.to_bytes(), ["sha256"])
