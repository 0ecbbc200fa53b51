"""Cases, clips and their messages as a station would send them; no fault in them but those asked for."""

from datetime import UTC, datetime
from pathlib import Path

import msgspec
import numpy as np

from cloud_sync.dead_letters import Message
from edge_agent import wire
from edge_agent.clips import ClipHeader, ClipWriter, Watch
from edge_agent.messages import PART_BYTES, ClipManifest
from edge_agent.records import (
    BundleRef,
    Case,
    ClipRef,
    Composite,
    Evidence,
    FramingSummary,
    OutcomeWord,
    Sampled,
    TankView,
    WaterSummary,
)

SITE, STATION = "plant", "TANK1"
TOPICS = wire.Topics(SITE, STATION)
NOBODY_WATCHED = Watch()
BEGIN = datetime(2026, 11, 20, 14, tzinfo=UTC).timestamp()
_OUTCOMES: dict[tuple[str, str], OutcomeWord] = {
    ("ok", "ok"): "agree",
    ("leak", "leak"): "agree",
    ("leak", "ok"): "machine_leak",
    ("ok", "leak"): "human_leak",
}


def a_case(
    sequence: int = 1, *, verdict: str = "leak", decision: str = "ok", clip: ClipRef | None = None, **changes
) -> Case:
    """One case a minute; by default the machine sees a leak and the inspector none."""
    outcome = _OUTCOMES.get((verdict, decision), "unsure" if verdict == "uncertain" else "not_tested")
    why = {"agree": "none", "unsure": "unsure", "not_tested": "not_tested"}.get(outcome, "disagreement")
    case = Case(
        case_id=f"TANK1-a1b2c3-{sequence:06d}",
        site=SITE,
        station=STATION,
        boot_id="boot-1",
        sequence=sequence,
        started_at=_iso(BEGIN + 60 * sequence),
        ended_at=_iso(BEGIN + 60 * sequence + 9),
        started_s=60.0 * sequence,
        ended_s=60.0 * sequence + 9,
        usable_s=7.4,
        verdict=verdict,
        score={"ok": 0.02, "leak": 0.98, "uncertain": 0.5}.get(verdict),
        reason="bubbles rise from one point" if verdict == "leak" else "no bubble in 7.4 s",
        leak_at_px=(320, 240) if verdict == "leak" else None,
        leak_at_tank_px=(160, 170) if verdict == "leak" else None,
        leak_std_cm3_s=4.1e-3 if verdict == "leak" else None,
        smallest_leak_std_cm3_s=6.6e-4,
        decision=decision,
        decided_by="human",
        outcome=outcome,
        sampled=Sampled(why, 1.0 if why != "none" else 0.02),
        framing=FramingSummary("ok", 4, 0.8),
        water=WaterSummary("clear", 0.93),
        frames=135,
        composites=90,
        dropped=0,
        bundle=BundleRef(3, "b" * 64),
        mode="shadow",
        profile_sha256="c" * 64,
        clip=clip,
    )
    return msgspec.structs.replace(case, **changes)


def case_message(case: Case) -> Message:
    return Message(wire.Topics(case.site, case.station).case, wire.encode(case))


def clip_messages(path: Path, case_id: str, *, part_bytes: int = PART_BYTES) -> list[Message]:
    """The manifest and every part of a clip file."""
    data = path.read_bytes()
    sha256 = wire.sha256_of(data)
    parts = [data[at : at + part_bytes] for at in range(0, len(data), part_bytes)]
    manifest = ClipManifest(sha256=sha256, bytes=len(data), parts=len(parts), part_bytes=part_bytes, case_id=case_id)
    return [
        Message(TOPICS.clip_manifest(sha256), wire.encode(manifest)),
        *(Message(TOPICS.clip_part(sha256, number), part) for number, part in enumerate(parts)),
    ]


def a_clip(
    path: Path,
    *,
    frames: int = 45,
    case_id: str = "TANK1-a1b2c3-000001",
    size: tuple[int, int] = (320, 240),
    watch: Watch = NOBODY_WATCHED,
) -> ClipRef:
    """Bubbles that rise from (160, 170) at 15 frames a second, in water that shimmers a little."""
    width, height = size
    random = np.random.default_rng(sum(case_id.encode()))
    writer = ClipWriter(
        path, ClipHeader(case_id=case_id, station=STATION, view_size_px=size, px_per_mm=2.0, lamps=("ok",))
    )
    views = [_view(number, width, height, random) for number in range(frames)]
    for view in views:
        writer.frame(view, BEGIN + view.monotonic_s, [np.full((24, 24, 3), (40, 200, 60), np.uint8)])
    composite = Composite(np.stack([view.grey for view in views[-3:]], axis=2), views[-1].monotonic_s, 1 / 15)
    heat = np.zeros((height // 4, width // 4), np.float32)
    heat[10:43, 38:43] = 0.9
    bubbles = np.array([[160, 90, 0.95, 2.0, -60.0, 8.0]], np.float32)
    writer.evidence(composite, Evidence(views[-1].monotonic_s, heat, bubbles, 0.97), (160.0, 170.0))
    return writer.close(watch)


def _view(number: int, width: int, height: int, random: np.random.Generator) -> TankView:
    grey = np.full((height, width), 95, np.uint8) + random.integers(0, 6, (height, width), np.uint8)
    grey[height * 2 // 3 :, width // 4 : width * 3 // 4] = 60
    for start in range(0, 160, 32):
        y = 170 - (start + 4 * number) % 160
        if 4 < y < height - 4:
            grey[y - 2 : y + 3, 158:163] = 210
    return TankView(grey, number, number / 15, np.eye(3))


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")
