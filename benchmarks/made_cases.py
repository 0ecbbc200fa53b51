"""A number and a seed -> a case and its short clip, always the same: what drills and tests feed to the outbox."""

from pathlib import Path

import cv2
import msgspec
import numpy as np

from edge_agent.clips import ClipHeader, ClipWriter, Watch
from edge_agent.records import (
    BundleRef,
    Case,
    ClipRef,
    Composite,
    Evidence,
    FramingSummary,
    Sampled,
    TankView,
    WaterSummary,
)

SITE, STATION = "plant", "TANK1"
VIEW_PX = (160, 120)
BUNDLE = BundleRef(1, "b" * 64)


def make_case(number: int = 1, *, seed: int = 0, **changes) -> Case:
    """Case `number`: every third one is a disagreement, the others agree. `changes` replaces fields."""
    disagree = number % 3 == 0
    case = Case(
        case_id=f"{STATION}-made{seed:04d}-{number:06d}",
        site=SITE,
        station=STATION,
        boot_id=f"boot{seed:04d}",
        sequence=0,
        started_at=f"2026-11-20T{number // 3600 % 24:02d}:{number // 60 % 60:02d}:{number % 60:02d}Z",
        ended_at=f"2026-11-20T{number // 3600 % 24:02d}:{number // 60 % 60:02d}:{number % 60:02d}.9Z",
        started_s=10.0 * number,
        ended_s=10.0 * number + 8.7,
        usable_s=7.4,
        verdict="leak" if disagree else "ok",
        score=0.987 if disagree else 0.012,
        reason="bubbles rise from one point" if disagree else "no bubble in 7.4 s",
        leak_at_px=(412, 233) if disagree else None,
        leak_at_tank_px=(80, 60) if disagree else None,
        leak_std_cm3_s=4.1e-3 if disagree else None,
        smallest_leak_std_cm3_s=6.6e-4,
        decision="ok",
        decided_by="human",
        outcome="machine_leak" if disagree else "agree",
        sampled=Sampled("disagreement", 1.0) if disagree else Sampled("none", 0.02),
        framing=FramingSummary("ok", 4, 0.8),
        water=WaterSummary("clear", 0.93),
        frames=3,
        composites=1,
        dropped=0,
        bundle=BUNDLE,
        mode="shadow",
        profile_sha256=None,
    )
    return msgspec.structs.replace(case, **changes)


def write_clip(
    path: Path, case: Case, *, frames: int = 3, view_px: tuple[int, int] = VIEW_PX, synced: bool = True
) -> ClipRef:
    """A clip of a bubble that rises through noise; not `synced`, it is on the disk once the spool keeps it."""
    noise = np.random.default_rng(int.from_bytes(case.case_id.encode()[-8:], "little"))
    writer = ClipWriter(
        path, ClipHeader(case_id=case.case_id, station=case.station, view_size_px=view_px, px_per_mm=0.8)
    )
    views = [_view(noise, n, view_px) for n in range(frames)]
    for view in views:
        writer.frame(view, 1.79e9 + view.monotonic_s)
    if frames >= 3:
        composite = Composite(np.dstack([view.grey for view in views[-3:]]), views[-1].monotonic_s, 1 / 15)
        heat = cv2.resize(views[-1].grey, (view_px[0] // 4, view_px[1] // 4)).astype(np.float32) / 255
        bubbles = np.array([[view_px[0] / 2, view_px[1] / 2, 0.97, 0, -75, 9]], np.float32)
        writer.evidence(composite, Evidence(composite.monotonic_s, heat, bubbles, 0.97), case.leak_at_tank_px)
    end_s = views[-1].monotonic_s
    watch = Watch(settled_s=0.0, spans_s=((0.0, end_s),), usable_s=end_s)
    return writer.close(watch, synced=synced)


def _view(noise: np.random.Generator, number: int, view_px: tuple[int, int]) -> TankView:
    width, height = view_px
    grey = noise.integers(90, 110, (height, width), np.uint8)
    cv2.circle(grey, (width // 2, height - 10 - 5 * number % (height - 20)), 3, 220, -1)
    return TankView(grey, number, number / 15, np.eye(3))
