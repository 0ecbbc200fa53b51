"""Bundles that may not be opened, by name: hostile nets with hashes that fit, hostile manifests, hostile boxes."""

import json
import struct
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import msgspec

from benchmarks import hostile_nets
from benchmarks.sealing import Members, members_of, packed, sealed
from edge_agent.bundle import FEATURES, LARGEST_FILE, MANIFEST, NET_NAMES, Bundle, write_bundle

NET = "nets/water.onnx"


def small(like: Bundle) -> bytes:
    """A bundle of the smallest nets: few enough bits to turn every one of them."""
    net = hostile_nets.sound().SerializeToString()
    manifest = msgspec.structs.replace(like.manifest, golden=(), certificates=(), card="small", name="small")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "small.bundle"
        write_bundle(path, manifest, dict.fromkeys(NET_NAMES, net))
        return path.read_bytes()


def hostile(sound: bytes) -> dict[str, bytes]:
    """Name -> bytes; `sound` is a bundle that opens."""
    members = members_of(sound)
    nets = {f"net: {name}": sealed(members | {NET: data}) for name, data in hostile_nets.hostile().items()}
    five = {f"nets/{net}.onnx": hostile_nets.hostile()["a million empty words"] for net in NET_NAMES}
    manifests = {
        f"manifest: {name}": packed(members | {MANIFEST: make(members[MANIFEST])}) for name, make in _MANIFESTS.items()
    }
    boxes = {f"file: {name}": make(sound, members) for name, make in BOXES.items()}
    return nets | {"net: a million empty words in each": sealed(members | five)} | manifests | boxes


def _with(manifest: bytes, **changes: object) -> bytes:
    return json.dumps(json.loads(manifest) | changes).encode()


_MANIFESTS: dict[str, Callable[[bytes], bytes]] = {
    "deep": lambda _: b'{"a":' * 40_000 + b"1" + b"}" * 40_000,
    "deep lists": lambda _: b"[" * 250_000,
    "not UTF-8": lambda _: b'{"name": "\xff"}',
    "a number of 200,000 digits": lambda said: said.replace(b'"version": 1', b'"version": ' + b"9" * 200_000),
    "no number": lambda said: _with(said, version=None),
    "another schema": lambda said: _with(said, schema="tankwatch/bundle/2"),
    "unknown word": lambda said: _with(said, run="rm -rf /"),
    "a net's name that is a path": lambda said: _with(said, nets={"../../detector": "0" * 64}),
    "golden names that are paths": lambda said: _with(
        said,
        golden=[{"name": "../../x", "sha256": "0" * 64, "leaky": True, "verdict": "ok", "score": 1, "tolerance": 0.01}],
    ),
    "a thousand certificates": lambda said: _with(said, certificates=[{}] * 1000),
    "empty": lambda _: b"",
}


def _more(name: str, content: bytes = b"x") -> Callable[[bytes, Members], bytes]:
    return lambda _, members: packed(members | {name: content})


def _crowd(_: bytes, members: Members) -> bytes:
    """A directory of half a million names in a file of the largest allowed size."""
    count = (LARGEST_FILE - 10_000) // 47
    entry = struct.pack("<4s6H3I5H2I", b"PK\1\2", 20, 20, 0, 0, 0, 33, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0) + b"a"
    local = packed({"a": b""})[:31]
    directory = entry * count
    end = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, len(directory), len(local), 0)
    return local + directory + end


def _lying(at: int, value: int) -> Callable[[bytes, Members], bytes]:
    """One number of the first member's place in the directory says something else."""

    def make(sound: bytes, _: Members) -> bytes:
        begin = sound.index(b"PK\1\2") + at
        return sound[:begin] + struct.pack("<I", value) + sound[begin + 4 :]

    return make


BOXES: dict[str, Callable[[bytes, Members], bytes]] = {
    "compressed": lambda _, members: packed(members, zipfile.ZIP_DEFLATED),
    "bomb": lambda _, members: packed(members | {FEATURES: bytes(64 << 20)}, zipfile.ZIP_DEFLATED),
    "nested bomb": lambda _, members: packed(members | {"nets/more.onnx": packed({"x": bytes(1 << 20)}, 8)}),
    "half a million names": _crowd,
    "up": _more("../../outside"),
    "absolute": _more("/etc/passwd"),
    "backwards": _more("..\\..\\outside"),
    "zero in a name": _more("manifest.json\0.exe"),
    "name of 60,000 letters": _more("n" * 60_000),
    "golden up": _more("golden/../../x.twclip"),
    "folder": _more("nets/"),
    "large net": _more(NET, bytes(8 << 20)),
    "large manifest": _more(MANIFEST, b" " * (1 << 20)),
    "says that it is larger": _lying(24, 2**32 - 1),
    "says that it lies elsewhere": _lying(42, 2**31),
    "says another checksum": _lying(16, 0),
    "page before it": lambda sound, _: b"<html><script>" + sound,
    "program before it": lambda sound, _: b"\x7fELF" + bytes(4096) + sound,
    "page behind it": lambda sound, _: sound + b"<html><script>",
    "words behind it": lambda sound, _: sound[:-2] + struct.pack("<H", 60_000) + b"x" * 60_000,
    "cut in the middle": lambda sound, _: sound[: len(sound) // 2],
    "cut at its end": lambda sound, _: sound[:-1],
    "nothing but an end": lambda _, __: b"PK\5\6" + bytes(18),
    "nothing": lambda _, __: b"",
    "too large": lambda sound, _: sound + bytes(LARGEST_FILE),
}
