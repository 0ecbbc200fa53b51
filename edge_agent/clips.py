"""Tank views and lamp crops of a case <-> one append-only file, `.twclip`.

Magic, then records of kind (1 byte), length (u32), payload, CRC32 over all three: a header, frames as they come, near
the end one piece of evidence, and an end record. Numbers are little-endian. A reader trusts no length and no picture.
What is stored is the rectified grey tank view, never the whole picture.
"""

import hashlib
import io
import os
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

import cv2
import msgspec
import numpy as np

from edge_agent import clip_bytes, durable, pictures
from edge_agent.clip_bytes import MAGIC
from edge_agent.errors import StoreError
from edge_agent.messages import CLIP_BYTES, CLIP_SUFFIX
from edge_agent.pictures import MAX_SIDE_PX
from edge_agent.records import BundleRef, ClipRef, Composite, Evidence, FramingStatus, TankView, Visibility

SUFFIX = CLIP_SUFFIX
MAX_FRAMES = 20_000
MOST_EVIDENCE, MOST_LAMPS, MOST_SPANS = 16, 16, 5000
SCALES_PX_PER_MM = 1e-3, 1e3
FILMED_BYTES = 256_000_000
"""No more is filmed: the cloud takes no larger clip unless somebody raises its `max_clip_mb`."""
END_BYTES = 32 << 20
"""Kept free below that for a last frame, the evidence and the end record."""
_FRAMINGS: tuple[FramingStatus, ...] = ("ok", "shifted", "lost", "unchecked")
_FRAME = struct.Struct("<QddB9dB")
_FRAMING_AT = struct.calcsize("<Qdd")


class ClipHeader(msgspec.Struct, frozen=True, kw_only=True):
    """What a clip is of; with the bundle and the profile that it names, it replays."""

    schema: Literal["tankwatch/clip/1"] = "tankwatch/clip/1"
    case_id: str
    station: str
    view_size_px: tuple[int, int]
    """Tank view, width and height."""
    px_per_mm: float | None = None
    lamps: tuple[str, ...] = ()
    """What each lamp crop means when lit, in the order of the crops."""
    codec: Literal["jpeg", "png"] = "jpeg"
    """`png` is lossless, for gold clips."""
    bundle: BundleRef | None = None
    profile_sha256: str | None = None


class ClipEvidence(msgspec.Struct, frozen=True, kw_only=True):
    """The strongest evidence of a case, in numbers; its pictures are beside it."""

    monotonic_s: float
    spacing_s: float
    score: float
    bubbles: tuple[tuple[float, float, float, float, float], ...]
    """x_px, y_px (tank view), score, vx_px_s, vy_px_s, strongest first."""
    origin_px: tuple[float, float] | None = None
    """Where the bubbles rise from, tank view."""


@dataclass(frozen=True, slots=True, eq=False)
class ClipFrame:
    """One stored frame. `lamp_crops`: (h, w, 3) uint8 BGR each, in the header's order."""

    view: TankView
    taken_at: float
    framing: FramingStatus
    lamp_crops: tuple[np.ndarray, ...]


@dataclass(frozen=True, slots=True, eq=False)
class EvidencePictures:
    """`composite`: (h, w, 3) uint8, R, G, B = oldest, middle, newest. `heat`: (h/4, w/4) float32, 0..1 by 1/255."""

    numbers: ClipEvidence
    composite: np.ndarray
    heat: np.ndarray


class Watch(msgspec.Struct, frozen=True):
    """What was watched of a clip, so that it replays: capture times (monotonic), and words where nothing was shown."""

    settled_s: float | None = None
    """When the unit came to rest; None = it never did."""
    spans_s: tuple[tuple[float, float], ...] = ()
    """First and last usable frame of each stretch in which the unit was seen at rest."""
    usable_s: float = 0.0
    not_tested: str = ""
    """The reason for `not_tested`; empty where the nets decided."""
    visibility: Visibility | None = None


class _End(msgspec.Struct, frozen=True):
    frames: int
    watch: Watch = Watch()


class ClipWriter:
    """Writes one clip; after a StoreError (disk full) the file is gone and the writer is closed."""

    def __init__(self, path: Path, header: ClipHeader, quality: int = 90) -> None:
        self.path = path
        self.frames = 0
        self._size = header.view_size_px
        self._hash = hashlib.sha256()
        self._bytes = 0
        suffix, option = (
            (".png", cv2.IMWRITE_PNG_COMPRESSION) if header.codec == "png" else (".jpg", cv2.IMWRITE_JPEG_QUALITY)
        )
        self._encoding = (suffix, [option, 1 if header.codec == "png" else quality])
        try:
            self._file: io.FileIO | None = io.FileIO(path, "xb")
        except OSError as error:
            raise durable.failure(path, error) from error
        self._write(MAGIC)
        self._write(clip_bytes.record(b"H", msgspec.json.encode(header)))

    @property
    def is_full(self) -> bool:
        """One more frame, and a reader or the cloud would take none of it."""
        return self.frames >= MAX_FRAMES or self._bytes > FILMED_BYTES - END_BYTES

    def frame(
        self,
        view: TankView,
        taken_at: float,
        lamp_crops: Sequence[np.ndarray] = (),
        *,
        framing: FramingStatus = "unchecked",
    ) -> None:
        """One more tank view, of the header's size, with its capture time and the lamps beside it."""
        self.add(self.encoded(view, taken_at, lamp_crops, framing=framing))

    def add(self, record: bytes) -> None:
        """One more frame, as `encoded` gave it."""
        self._write(record)
        self.frames += 1

    def encoded(
        self, view: TankView, taken_at: float, lamp_crops: Sequence[np.ndarray] = (), *, framing: FramingStatus
    ) -> bytes:
        """A frame's record; nothing is written."""
        height, width = view.grey.shape
        if (width, height) != self._size:
            raise ValueError(f"tank view is {width}x{height}, the clip's header says {self._size}")
        parts = [
            _FRAME.pack(
                view.sequence,
                view.monotonic_s,
                taken_at,
                _FRAMINGS.index(framing),
                *view.homography.ravel(),
                len(lamp_crops),
            )
        ]
        for picture in (view.grey, *lamp_crops):
            parts.append(clip_bytes.blob(pictures.encoded(picture, *self._encoding)))
        return clip_bytes.record(b"F", b"".join(parts))

    def evidence(self, composite: Composite, evidence: Evidence, origin_px: tuple[float, float] | None) -> None:
        """The strongest evidence; the last one written counts."""
        numbers = ClipEvidence(
            monotonic_s=composite.monotonic_s,
            spacing_s=composite.spacing_s,
            score=float(evidence.score),
            bubbles=tuple((x, y, score, vx, vy) for x, y, score, vx, vy, _ in evidence.bubbles.tolist()),
            origin_px=None if origin_px is None else (float(origin_px[0]), float(origin_px[1])),
        )
        heat = np.rint(np.clip(evidence.heat, 0, 1) * 255).astype(np.uint8)
        shown = [pictures.encoded(picture, ".png", []) for picture in (composite.image[:, :, ::-1], heat)]
        blobs = [msgspec.json.encode(numbers), *shown]
        self._write(clip_bytes.record(b"E", b"".join(map(clip_bytes.blob, blobs))))

    def close(self, watch: Watch = Watch(), *, synced: bool = True) -> ClipRef:  # noqa: B008 - frozen
        """The clip is whole and, where `synced`, on the disk; else the spool syncs it when it keeps it."""
        self._write(clip_bytes.record(b"Z", msgspec.json.encode(_End(self.frames, watch))))
        file = self._open_file()
        try:
            if synced:
                os.fsync(file.fileno())
        except OSError as error:
            self.discard()
            raise durable.failure(self.path, error) from error
        file.close()
        self._file = None
        return ClipRef(self._hash.hexdigest(), self._bytes)

    def discard(self) -> None:
        """The clip is not wanted: nothing is left of it."""
        if self._file is not None:
            self._file.close()
            self._file = None
        durable.remove(self.path)

    def _open_file(self) -> io.FileIO:
        if self._file is None:
            raise StoreError(f"clip {self.path} was closed after an earlier fault: begin a new one")
        return self._file

    def _write(self, data: bytes) -> None:
        file, rest = self._open_file(), memoryview(data)
        self._hash.update(data)
        self._bytes += len(data)
        try:
            while rest:
                rest = rest[file.write(rest) :]
        except OSError as error:
            self.discard()
            raise durable.failure(self.path, error) from error


class Clip:
    """A stored clip; pictures are decoded as they are asked for. `whole` is False where the file breaks off."""

    def __init__(self, source: Path | bytes) -> None:
        self._source = source
        self._frames: list[tuple[int, int]] = []
        self._evidence: list[tuple[int, int]] = []
        self.whole = False
        self.watch = Watch()
        with self._open() as file:
            self.header = self._scan(file)

    @property
    def frame_count(self) -> int:
        return len(self._frames)

    def frames(self) -> Iterator[ClipFrame]:
        """Every whole frame in order. Raises StoreError at a picture that is none."""
        with self._open() as file:
            for at, length in self._frames:
                file.seek(at)
                yield self._frame(file.read(length))

    def views(self) -> Iterator[TankView]:
        """The tank views alone; no lamp is decoded."""
        with self._open() as file:
            for at, length in self._frames:
                file.seek(at)
                yield self._view(file.read(length))

    def check_pictures(self) -> None:
        """Looks at the headers of every picture, and decodes none. Raises StoreError."""
        with self._open() as file:
            for at, length in self._frames:
                file.seek(at)
                grey, *lamps = self._pictures(file.read(length))
                pictures.checked_size(grey, self.header.view_size_px)
                for lamp in lamps:
                    pictures.checked_size(lamp)

    def taken_s(self) -> list[float]:
        """Monotonic capture time of each whole frame, in order; no picture is read. Raises StoreError."""
        found = []
        with self._open() as file:
            for at, _ in self._frames:
                file.seek(at)
                found.append(_monotonic_s(file.read(_FRAME.size)))
        return found

    def tank_pictures(self, numbers: Iterable[int]) -> Iterator[bytes]:
        """The tank views of these frames (from 0) as they are stored, JPEG or PNG, undecoded and without the lamps.

        Raises IndexError for a frame that is not there, StoreError for a picture of another size than the header says.
        """
        with self._open() as file:
            for number in numbers:
                at, length = self._frames[number]
                file.seek(at)
                yield self._tank_picture(file.read(length))

    def evidence(self) -> EvidencePictures | None:
        """The strongest evidence; None where the clip has none. Raises StoreError where it is damaged."""
        found = self.evidence_bytes()
        if found is None:
            return None
        numbers, composite_png, heat_png = found
        return EvidencePictures(
            clip_bytes.decode(numbers, ClipEvidence),
            pictures.decoded(composite_png, cv2.IMREAD_COLOR)[:, :, ::-1],
            pictures.decoded(heat_png, cv2.IMREAD_GRAYSCALE).astype(np.float32) / 255,
        )

    def evidence_bytes(self) -> tuple[bytes, bytes, bytes] | None:
        """Its numbers as JSON, its composite and its heat map as PNG, undecoded. None and StoreError as `evidence`."""
        if not self._evidence:
            return None
        at, length = self._evidence[-1]
        with self._open() as file:
            file.seek(at)
            numbers, composite_png, heat_png = clip_bytes.blobs(file.read(length), 3)
        for picture in (composite_png, heat_png):
            pictures.checked_size(picture)
        return numbers, composite_png, heat_png

    def _open(self) -> BinaryIO:
        if isinstance(self._source, bytes):
            return io.BytesIO(self._source)
        try:
            return open(self._source, "rb")
        except OSError as error:
            raise StoreError(f"clip {self._source} cannot be read ({error.strerror}): check the name") from error

    def _scan(self, file: BinaryIO) -> ClipHeader:
        size = file.seek(0, io.SEEK_END)
        if size > CLIP_BYTES:
            raise StoreError(f"clip has {size} bytes, limit {CLIP_BYTES}: refused")
        file.seek(0)
        if file.read(len(MAGIC)) != MAGIC:
            raise StoreError(f"{self._name} is no clip: give a {SUFFIX} file")
        header: ClipHeader | None = None
        for kind, at, payload in clip_bytes.records(file, size):
            if header is None:
                header = _header(kind, payload)
            elif kind == b"Z":
                self.whole, self.watch = self._end(payload, size - at)
                break
            else:
                self._keep(kind, at, len(payload))
        if header is None:
            raise StoreError(f"{self._name} breaks off in its header: nothing can be shown")
        return header

    def _keep(self, kind: bytes, at: int, length: int) -> None:
        """Where a record's payload lies."""
        places = {b"F": self._frames, b"E": self._evidence}.get(kind)
        if places is None:
            raise StoreError(f"{self._name} holds a record of unknown kind {kind!r}: made by a newer version?")
        places.append((at, length))
        if len(self._frames) > MAX_FRAMES or len(self._evidence) > MOST_EVIDENCE:
            raise StoreError(f"{self._name} has more than {MAX_FRAMES} frames, or {MOST_EVIDENCE} evidences: refused")

    def _end(self, payload: bytes, rest: int) -> tuple[bool, Watch]:
        """`rest`: bytes of the file from here on."""
        end = clip_bytes.decode(payload, _End)
        behind = rest - len(payload) - clip_bytes.CHECKSUM_BYTES
        if behind:
            raise StoreError(f"{self._name} holds {behind} bytes behind its end: refused")
        if len(end.watch.spans_s) > MOST_SPANS:
            raise StoreError(f"{self._name} was watched in over {MOST_SPANS} stretches: refused")
        return end.frames == len(self._frames), end.watch

    @property
    def _name(self) -> str:
        return "clip" if isinstance(self._source, bytes) else f"clip {self._source}"

    def _tank_picture(self, payload: bytes) -> bytes:
        picture = self._pictures(payload)[0]
        pictures.checked_size(picture, self.header.view_size_px)
        return picture

    def _pictures(self, payload: bytes) -> list[bytes]:
        """The tank view and the lamps of a frame, undecoded."""
        if len(payload) < _FRAME.size:
            raise StoreError(f"{self._name} has a frame of {len(payload)} bytes: damaged")
        framing, lamps = payload[_FRAMING_AT], payload[_FRAME.size - 1]
        if framing >= len(_FRAMINGS) or lamps > len(self.header.lamps):
            raise StoreError(f"{self._name} has a frame that does not fit its header: damaged")
        return clip_bytes.blobs(payload[_FRAME.size :], 1 + lamps)

    def _view(self, payload: bytes) -> TankView:
        grey = pictures.decoded(self._pictures(payload)[0], cv2.IMREAD_GRAYSCALE, self.header.view_size_px)
        sequence, monotonic_s, _, _, *matrix, _ = _FRAME.unpack_from(payload)
        return TankView(grey, sequence, monotonic_s, np.array(matrix, np.float64).reshape(3, 3))

    def _frame(self, payload: bytes) -> ClipFrame:
        view = self._view(payload)
        crops = tuple(pictures.decoded(blob, cv2.IMREAD_COLOR) for blob in self._pictures(payload)[1:])
        _, _, taken_at, framing, *_ = _FRAME.unpack_from(payload)
        return ClipFrame(view, taken_at, _FRAMINGS[framing], crops)


def read(source: Path | bytes) -> Clip:
    """A file or its bytes -> Clip. Raises StoreError for what is no clip, over the limits, or hostile."""
    return Clip(source)


def _monotonic_s(head: bytes) -> float:
    if len(head) < _FRAME.size:
        raise StoreError(f"clip has a frame of {len(head)} bytes: damaged")
    return _FRAME.unpack(head)[1]


def _header(kind: bytes, payload: bytes) -> ClipHeader:
    header = clip_bytes.decode(payload, ClipHeader)
    if kind != b"H" or not all(0 < side <= MAX_SIDE_PX for side in header.view_size_px):
        raise StoreError(f"clip's header is unusable (view {header.view_size_px}, limit {MAX_SIDE_PX} px): refused")
    scale, lamps = header.px_per_mm, len(header.lamps)
    if lamps > MOST_LAMPS or not (scale is None or SCALES_PX_PER_MM[0] <= scale <= SCALES_PX_PER_MM[1]):
        raise StoreError(f"clip's header is unusable ({lamps} lamps, {scale} px a mm): refused")
    return header
