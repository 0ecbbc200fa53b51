"""A bundle's file <-> its members, and how a hostile maker seals one: with hashes that fit what it holds."""

import contextlib
import hashlib
import io
import json
import zipfile

from edge_agent.bundle import FEATURES, MANIFEST, NET_NAMES

Members = dict[str, bytes]


def members_of(data: bytes) -> Members:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def packed(members: Members, method: int = zipfile.ZIP_STORED) -> bytes:
    """As our own bundles are packed, where `method` is."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, content in members.items():
            about = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            about.compress_type = method
            archive.writestr(about, content)
    return out.getvalue()


def sealed(members: Members) -> bytes:
    """With the hashes of what it holds, where its manifest is one still."""
    # One that is no manifest its maker cannot seal either.
    with contextlib.suppress(ValueError, KeyError, TypeError, AttributeError, RecursionError):
        manifest = json.loads(members[MANIFEST])
        manifest["nets"] = {net: _sha256(members[f"nets/{net}.onnx"]) for net in NET_NAMES}
        if FEATURES in members:
            manifest["features"] = _sha256(members[FEATURES])
        for case in manifest.get("golden", ()):
            case["sha256"] = _sha256(members[f"golden/{case['name']}.twclip"])
        members = members | {MANIFEST: json.dumps(manifest).encode()}
    return packed(members)


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
