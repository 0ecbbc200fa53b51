"""Clips for the player's tests: bubbles over a moving grain, at the frame rate that is asked for, sound or spoilt."""

from pathlib import Path

import cv2
import numpy as np
from cloud_fakes import STATION, a_case, case_message, clip_messages

from cloud_sync import db
from cloud_sync.intake import Intake
from edge_agent import clips
from edge_agent.clips import ClipHeader, ClipWriter
from edge_agent.records import ClipRef, Composite, Evidence, TankView
from edge_agent.wire import sha256_of

SIZE = (320, 240)


def write(
    path: Path, *, frames: int = 60, fps: float = 15, codec: str = "jpeg", size: tuple[int, int] = SIZE
) -> ClipRef:
    """Bubbles rise from (160, 170) before a still background that no two clips share."""
    random = np.random.default_rng(frames + int(fps))
    still = cv2.blur(random.integers(0, 200, size[::-1], np.uint8), (5, 5))
    header = ClipHeader(
        case_id=path.stem, station=STATION, view_size_px=size, px_per_mm=2.0, lamps=("ok",), codec=codec
    )
    writer = ClipWriter(path, header)
    views = [TankView(_grey(still, n, random), n, 700.123 + n / fps, np.eye(3)) for n in range(frames)]
    for view in views:
        writer.frame(view, 1.7e9 + view.monotonic_s, [np.full((24, 24, 3), (40, 200, 60), np.uint8)])
    heat = np.zeros((size[1] // 4, size[0] // 4), np.float32)
    heat[10:43, 38:43] = 0.9
    bubbles = np.array([[160, 90, 0.95, 2.0, -60.0, 8.0]], np.float32)
    composite = Composite(np.stack([view.grey for view in views[-3:]], axis=2), views[-1].monotonic_s, 1 / fps)
    writer.evidence(composite, Evidence(views[-1].monotonic_s, heat, bubbles, 0.97), (160.0, 170.0))
    return writer.close()


def spoil(path: Path) -> str:
    """The frames' JPEGs become noise of the same length, with right checksums around them; gives the new hash."""
    source = clips.read(path)
    pictures = list(source.tank_pictures([3]))
    data = path.read_bytes()
    rotten = pictures[0][:200] + bytes(len(pictures[0]) - 200)
    payload_at = data.index(pictures[0])
    path.write_bytes(_sealed(data[:payload_at] + rotten + data[payload_at + len(rotten) :]))
    return sha256_of(path.read_bytes())


def deliver(intake: Intake, path: Path, sequence: int, ref: ClipRef, **about) -> str:
    """As a station would; the case's id."""
    case = a_case(sequence, clip=ref, **about)
    intake.handle([case_message(case), *clip_messages(path, case.case_id)], db.now())
    return case.case_id


def greys(path: Path) -> list[np.ndarray]:
    return [view.grey for view in clips.read(path).views()]


def _grey(still: np.ndarray, number: int, random: np.random.Generator) -> np.ndarray:
    grey = still + random.integers(0, 6, still.shape, np.uint8)
    for start in range(0, 160, 32):
        cv2.circle(grey, (160, 170 - (start + 4 * number) % 160), 3, 235, -1)
    return grey


def _sealed(data: bytes) -> bytes:
    """The clip's records with their checksums made anew."""
    import struct

    from edge_agent.clip_bytes import MAGIC, record

    at, sealed = len(MAGIC), [data[: len(MAGIC)]]
    while at < len(data):
        kind, length = struct.unpack_from("<cI", data, at)
        sealed.append(record(kind, data[at + 5 : at + 5 + length]))
        at += 5 + length + 4
    return b"".join(sealed)
