"""Puts an Inspector together for a source: `inspect` on recordings, and what `agent inspect` and `evaluate` share."""

import argparse
import random
import secrets
import sys
from collections.abc import Callable, Iterator, Mapping
from itertools import chain
from pathlib import Path

import cv2
import msgspec
import numpy as np
from tqdm import tqdm

from edge_agent import codes, framing, sheets_seen, station
from edge_agent.bundle import Bundle, Preprocessing, open_bundle
from edge_agent.camera import Camera, open_camera
from edge_agent.case import Identity
from edge_agent.challenger import Challenger, InTurn
from edge_agent.decision import DecisionWatch
from edge_agent.due import PATIENCE_S
from edge_agent.errors import ConfigError, ModelError, StationError
from edge_agent.eyes import Eyes, FramingSource
from edge_agent.immersion import Immersions, ImmersionWatch, water_cells
from edge_agent.judge import Judge
from edge_agent.lamps import LampReader
from edge_agent.pipeline import ClipSink, Inspector, Sampling, Seated
from edge_agent.records import Case, Frame, Framing
from edge_agent.station import StationProfile
from edge_agent.water import WaterGauge

Opener = Callable[[str], Camera]
SHIPPED = Path(__file__).parent.parent / "models" / "shipped"
AUDIT_FLOOR = 0.02


class FixedFraming:
    """The framing of a source without a profile: found once, never checked."""

    def __init__(self, homography: np.ndarray) -> None:
        self._framing = Framing("unchecked", homography)

    def step(self, frame: Frame) -> Framing:
        return self._framing


def shipped_bundle() -> Path:
    """The newest bundle that came with the program."""
    bundles = sorted(SHIPPED.glob("*.bundle"), key=lambda path: (len(path.name), path.name))
    if not bundles:
        raise ConfigError(f"no bundle is shipped in {SHIPPED}: give one with --bundle or train one")
    return bundles[-1]


def seat(
    champion: Bundle,
    challenger: Bundle | None,
    profile: StationProfile | None,
    first: Frame | None = None,
    *,
    beside: Callable[[Judge], Challenger] = InTurn,
) -> Seated:
    """Loads the nets of both. `first`: the first frame, needed where there is no profile. Raises ModelError."""
    source, size, scale = _framing_source(first, profile, champion.manifest.preprocessing)

    def judge(bundle: Bundle) -> Judge:
        return Judge(bundle, scale, size, strict=profile is not None)

    lamps = LampReader(champion.nets["lamps"], profile.lamps) if profile and profile.lamps else None
    water = WaterGauge(champion.nets["water"]) if profile else None
    eyes = Eyes(profile, source, size, lamps, DecisionWatch(champion.manifest.thresholds.lamps), water=water)
    second = beside(judge(challenger)) if challenger else None
    return Seated(judge(champion), second, eyes, _watch(profile, size), size)


def make_inspector(
    first: Frame | None,
    identity: Identity,
    profile: StationProfile | None,
    champion: Bundle,
    *,
    sampling: Sampling,
    challenger: Bundle | None = None,
    single: bool = False,
    immersions: Immersions | None = None,
    open_clip: Callable[[str], ClipSink] | None = None,
    beside: Callable[[Judge], Challenger] = InTurn,
    patience_s: float = PATIENCE_S,
) -> Inspector:
    """An Inspector for a source whose first frame is `first`, which is needed where there is no profile.

    Without `immersions` they are followed by the picture. Raises ModelError.
    """
    # Pictures are small: a second thread costs more than it brings, and the other core belongs to the camera.
    cv2.setNumThreads(1)
    seated = seat(champion, challenger, profile, first, beside=beside)
    return Inspector(
        identity,
        seated.eyes,
        seated.champion,
        sampling=sampling,
        profile=profile,
        challenger=seated.challenger,
        immersions=None if single else immersions or seated.immersions,
        open_clip=open_clip,
        patience_s=patience_s,
    )


def inspect_recording(
    camera: Camera,
    champion: Bundle,
    *,
    profile: StationProfile | None = None,
    profile_sha256: str | None = None,
    challenger: Bundle | None = None,
    single: bool = False,
    seed: int = 0,
    progress: bool = False,
    at_end: Callable[[Inspector], None] | None = None,
) -> Iterator[Case]:
    """The cases of a recording, in order. Audits are drawn by `seed`. `at_end` sees the inspector after the last."""
    frames = iter(camera.frames())
    first = next(frames, None)
    if first is None:
        raise StationError("the recording has no readable frame, at least 3 are needed: record it again")
    if profile:
        framing.same_size(first, profile)
    identity = Identity(
        site="local",
        station=profile.station if profile else "LOCAL",
        boot_id=secrets.token_hex(8),
        profile_sha256=profile_sha256,
    )
    sampling = Sampling(AUDIT_FLOOR, random.Random(seed).random)
    inspector = make_inspector(
        first, identity, profile, champion, sampling=sampling, challenger=challenger, single=single
    )
    counted = tqdm(
        chain([first], frames), total=camera.frame_count, unit="frame", disable=None if progress else True, leave=False
    )
    for frame in counted:
        cases = inspector.step(frame)
        if inspector.fault:
            # Nobody waits at a line here: a net that cannot look at this recording is the answer.
            raise ModelError(inspector.fault)
        yield from cases
    yield from inspector.finish()
    if at_end:
        at_end(inspector)


def inspect(argv: list[str], openers: Mapping[str, Opener] | None = None) -> int:
    """`tankwatch inspect SOURCE`: cases as JSON lines, or as one line a case for people."""
    options = _arguments().parse_args(argv)
    profile, profile_sha256 = station.load(options.station) if options.station else (None, None)
    champion = open_bundle(options.bundle or shipped_bundle())
    challenger = open_bundle(options.challenger) if options.challenger else None
    camera = open_camera(options.source, openers=openers, say=lambda words: print(words, file=sys.stderr))
    found = 0
    try:
        for case in inspect_recording(
            camera,
            champion,
            profile=profile,
            profile_sha256=profile_sha256,
            challenger=challenger,
            single=options.single,
            seed=options.seed,
            progress=True,
        ):
            found += 1
            print(msgspec.json.encode(case).decode() if options.json else line(case), flush=True)
    finally:
        camera.close()
    for note in () if camera.live else getattr(camera, "notes", ()):
        print(note, file=sys.stderr)
    if not found:
        print("no immersion was seen: if the part is in the tank from the first frame, add --single", file=sys.stderr)
    return 0


def line(case: Case) -> str:
    """One case as a person reads it in a terminal."""
    score = "" if case.score is None else f" {case.score:.3f}"
    second = f"  challenger {case.challenger.verdict}" if case.challenger else ""
    return (
        f"{case.started_s:8.1f} s  {case.verdict}{score}  inspector {case.decision}  -> {case.outcome}  "
        f"({case.usable_s:.1f} s usable)  {case.reason}{second}"
    )


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("tankwatch inspect", description="Inspects a recording or a live source.")
    parser.add_argument("source", help="video file, folder of images, stored clip, rtsp://…, /dev/videoN or twin:…")
    parser.add_argument("--station", type=Path, metavar="FILE", help="the station's profile (station.toml)")
    parser.add_argument("--bundle", type=Path, metavar="FILE", help="default: the shipped one")
    parser.add_argument("--challenger", type=Path, metavar="FILE", help="a second bundle, logged beside the first")
    parser.add_argument("--single", action="store_true", help="the whole recording is one case")
    parser.add_argument("--seed", type=int, default=0, help="for the drawing of audits (default 0)")
    parser.add_argument("--json", action="store_true", help="one JSON object a case on stdout")
    return parser


def _watch(profile: StationProfile | None, size: tuple[int, int]) -> ImmersionWatch:
    if profile is None:
        return ImmersionWatch(None)
    return ImmersionWatch(profile.empty_grey(), water_cells(framing.markers_in_view(profile, size), size))


def working_view(profile: StationProfile, preprocessing: Preprocessing) -> tuple[tuple[int, int], float | None]:
    """Size of the tank view that the nets see, and its pixels per mm: the profile's, within the bundle's limit."""
    (width, height), (widest, highest) = profile.view_size_px, preprocessing.max_view_px
    ratio = min(1.0, widest / width, highest / height)
    size = (width, height) if ratio == 1.0 else (int(width * ratio) // 4 * 4, int(height * ratio) // 4 * 4)
    return size, station.scale_of(profile, size)


def _sheets(reader: codes.MarkerReader, profile: StationProfile) -> str:
    return sheets_seen.seen(reader.codes, profile.station).words


def _framing_source(
    first: Frame | None, profile: StationProfile | None, preprocessing: Preprocessing
) -> tuple[FramingSource, tuple[int, int], float | None]:
    if profile is not None:
        size, scale = working_view(profile, preprocessing)
        reader = codes.MarkerReader(profile)
        return framing.FramingWatch(profile, reader, size, lambda: _sheets(reader, profile)), size, scale
    assert first is not None
    height, width = first.image.shape[:2]
    marked = framing.without_station(codes.read(first.image))
    quad = np.array([[0, 0], [width, 0], [width, height], [0, height]]) if marked is None else marked
    size = framing.view_size_for(quad, preprocessing.max_view_px)
    return FixedFraming(framing.homography(quad, size)), size, None
