"""What is said over MQTT, as bytes: topics and messages, in one place for the device, the cloud and the schema.

Bytes in, checked records out: whatever does not fit is a LinkError that says why. Unknown fields are ignored, because
stations may lag behind the cloud. Sending is left to `uplink`, receiving in the cloud to `cloud_sync.ingest`.
A case's hash is that of its payload as the outbox stores and publishes it; nobody encodes it a second time.
"""

import functools
import hashlib
import re
from typing import Literal, TypeVar

import msgspec

from edge_agent.errors import LinkError
from edge_agent.messages import (
    CLIP_BYTES,
    IDENTIFIER,
    SHA256,
    Alarm,
    ClipManifest,
    Command,
    Desired,
    Disposition,
    Metrics,
    Receipt,
    Reply,
    Status,
)
from edge_agent.records import Case
from edge_agent.station import STATION_ID

ROOT = "tankwatch/v1"
CASE_BYTES = 64 * 1024
MESSAGE_BYTES = 256 * 1024
SITE = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$"
TopicKind = Literal[
    "status",
    "case",
    "clip_manifest",
    "clip_part",
    "metrics",
    "alarm",
    "disposition",
    "receipt",
    "desired",
    "command",
    "reply",
]
Message = Status | Case | ClipManifest | Metrics | Alarm | Disposition | Receipt | Desired | Command | Reply
MESSAGES: dict[str, type] = {
    "status": Status,
    "case": Case,
    "clip_manifest": ClipManifest,
    "metrics": Metrics,
    "alarm": Alarm,
    "disposition": Disposition,
    "receipt": Receipt,
    "desired": Desired,
    "command": Command,
    "reply": Reply,
}
"""The message on each kind of topic; `clip_part` carries bytes."""
M = TypeVar("M", bound=msgspec.Struct)


class Topic(msgspec.Struct, frozen=True):
    """A topic taken apart; `id` is an alarm's, a command's or a clip's hash, `part` counts from 0."""

    site: str
    station: str
    kind: TopicKind
    id: str | None = None
    part: int | None = None


class Topics(msgspec.Struct, frozen=True):
    """The topics of one station."""

    site: str
    station: str
    root: str = ROOT

    def _below(self, name: str) -> str:
        return f"{self.root}/{self.site}/{self.station}/{name}"

    @property
    def status(self) -> str:
        return self._below("status")

    @property
    def case(self) -> str:
        return self._below("case")

    @property
    def metrics(self) -> str:
        return self._below("metrics")

    @property
    def disposition(self) -> str:
        return self._below("disposition")

    @property
    def receipt(self) -> str:
        return self._below("receipt")

    @property
    def desired(self) -> str:
        return self._below("desired")

    @property
    def commands(self) -> str:
        """The device's subscription to all commands."""
        return self._below("command/+")

    def clip_manifest(self, sha256: str) -> str:
        return self._below(f"clip/{sha256}/manifest")

    def clip_part(self, sha256: str, part: int) -> str:
        return self._below(f"clip/{sha256}/{part}")

    def alarm(self, id: str) -> str:
        return self._below(f"alarm/{id}")

    def command(self, id: str) -> str:
        return self._below(f"command/{id}")

    def reply(self, id: str) -> str:
        return self._below(f"reply/{id}")


def device_filters(root: str = ROOT) -> tuple[str, ...]:
    """What the cloud subscribes to: everything that devices say."""
    names = (
        "status",
        "case",
        "clip/+/+",
        "metrics",
        "alarm/+",
        "disposition",
        "reply/+",
    )
    return tuple(f"{root}/+/+/{name}" for name in names)


def parse_topic(topic: str, root: str = ROOT) -> Topic:
    """`tankwatch/v1/<site>/<station>/…` -> Topic. Raises LinkError for anything that is none of ours."""
    prefix, levels = topic[: len(root) + 1], topic[len(root) + 1 :].split("/")
    if prefix != root + "/" or len(levels) < 3:
        raise LinkError(f"topic {topic[:80]!r} is none of {root}/<site>/<station>/…: ignored")
    site, station, *rest = levels
    kind = _kind(rest)
    if kind is None or not (re.fullmatch(SITE, site) and re.fullmatch(STATION_ID, station)):
        raise LinkError(f"topic {topic[:80]!r} is none that this version knows: ignored")
    return Topic(site, station, *kind)


def encode(message: msgspec.Struct) -> bytes:
    """Message -> UTF-8 JSON, the same bytes for equal messages. Raises LinkError over the size limit."""
    payload = msgspec.json.encode(message)
    _check_size(payload, type(message))
    return payload


def decode(payload: bytes, kind: type[M]) -> M:
    """UTF-8 JSON -> message of type `kind`. Raises LinkError with the reason for anything else."""
    _check_size(payload, kind)
    name = _schema_name(kind)
    try:
        if not payload.isascii():
            payload.decode()  # what stands in unknown fields is skipped unread, and whoever keeps the payload reads it
        schema = msgspec.json.decode(payload, type=_Envelope).schema
        if schema != name:
            raise LinkError(
                f"message says schema {schema[:40]!r}, wanted {name!r}: sender and receiver differ in version"
            )
        message = msgspec.json.decode(payload, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise LinkError(f"not a {name} message: {_short(str(error))}") from error
    if isinstance(message, Case):
        _check_identifiers(message)
    return message


def sha256_of(data: bytes) -> str:
    """Hash by which payloads and clips are known, 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def schemas() -> dict[str, dict]:
    """JSON Schema (2020-12) of every message and of the records in them, by type name."""
    _, components = msgspec.json.schema_components(list(MESSAGES.values()), ref_template="#/components/schemas/{name}")
    for kind in MESSAGES.values():
        required = components[kind.__name__].setdefault("required", [])
        required.insert(0, "schema")
    return components


class _Envelope(msgspec.Struct, frozen=True):
    """The one field that every message must have, also where the record has a default for it."""

    schema: str


def _kind(rest: list[str]) -> tuple[TopicKind, str | None, int | None] | None:
    match rest:
        case ["status" | "case" | "metrics" | "disposition" | "receipt" | "desired" as kind]:
            return kind, None, None
        case ["alarm" | "command" | "reply" as kind, id] if re.fullmatch(IDENTIFIER, id):
            return kind, id, None
        case ["clip", sha256, "manifest"] if re.fullmatch(SHA256, sha256):
            return "clip_manifest", sha256, None
        case ["clip", sha256, part] if re.fullmatch(SHA256, sha256) and re.fullmatch(r"0|[1-9][0-9]{0,5}", part):
            return "clip_part", sha256, int(part)
    return None


@functools.cache
def _schema_name(kind: type[msgspec.Struct]) -> str:
    (field,) = (field for field in msgspec.structs.fields(kind) if field.name == "schema")
    return field.default


def _short(words: str) -> str:
    """Errors quote what they do not like, whatever its length; where it stands comes last."""
    return words if len(words) <= 200 else f"{words[:100]} … {words[-80:]}"


def _check_size(payload: bytes, kind: type[msgspec.Struct]) -> None:
    limit = CASE_BYTES if kind is Case else MESSAGE_BYTES
    if len(payload) > limit:
        raise LinkError(f"{kind.__name__} message has {len(payload)} bytes, limit {limit}: refused")


def _check_identifiers(case: Case) -> None:
    """A case's names become file names and keys in the cloud: nothing but the agreed alphabet gets through."""
    hashes = [case.bundle.sha256] + ([case.clip.sha256] if case.clip else [])
    fits = (
        re.fullmatch(IDENTIFIER, case.case_id)
        and re.fullmatch(SITE, case.site)
        and re.fullmatch(STATION_ID, case.station)
    )
    if not fits or case.sequence < 0 or (case.clip and not 0 < case.clip.bytes <= CLIP_BYTES):
        raise LinkError(f"case {case.case_id[:80]!r} has a name or number outside the agreed limits: refused")
    if not all(re.fullmatch(SHA256, text) for text in hashes):
        raise LinkError(f"case {case.case_id[:80]!r} names a hash that is none: refused")
