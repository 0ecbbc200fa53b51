"""`tankwatch twin record|manifest|view`: recordings of the simulated station with manifest, profiles and truths.

A recording is finished when its truth file stands beside it; whatever is not finished is made again, so an interrupted
run goes on where it stopped.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from calibration.manifest import json_lines, line, write_manifest
from calibration.profiles import PROFILES
from calibration.scene import StationLook, at_pose
from calibration.truth import CaseTruth, FrameTruth
from calibration.twin import Twin, draw_scenes, open_twin, profile_of, station_of
from calibration.twin_spec import read_spec
from edge_agent import durable, station
from edge_agent.errors import ConfigError, StationError, StoreError
from edge_agent.records import Frame

_RUN_FILE = "recording.json"


@dataclass(frozen=True, slots=True)
class Plan:
    """What to record; saved beside the recordings, so that a folder never mixes two runs."""

    cases: int
    seed: int
    profile: str
    fps: float | None
    """None: each station's own."""
    size: tuple[int, int]
    station_id: str
    lossless: bool
    leaky_share: float | None
    stations: int | None
    """Recordings share this many stations; None = each has its own."""
    continuous: bool
    poses: int


@dataclass(frozen=True, slots=True)
class Take:
    """One file of a plan: cases `first` .. `first + count` at station `station_number`, camera pose `pose`."""

    name: str
    station_file: str
    station_number: int
    pose: int
    first: int
    count: int


def twin(argv: list[str]) -> int:
    """`tankwatch twin record|manifest|view`."""
    options = _parser().parse_args(argv)
    if options.action == "view":
        return _view(options.spec, Path(options.out))
    fps = f",fps={options.fps:g}" if options.fps is not None else ""
    spec = read_spec(f"size={options.size},profile={options.profile},station={options.station}{fps}")
    if options.action == "manifest":
        spec = replace(spec, seed=options.seed, first=options.first, leaky_share=options.leaky_share)
        write_manifest(Path(options.out), spec, options.cases)
        print(f"{options.cases} cases in {options.out}", file=sys.stderr)
        return 0
    plan = Plan(
        options.cases, options.seed, spec.profile, spec.fps, spec.size, spec.station, options.lossless,
        options.leaky_share, options.stations, options.continuous, options.poses,
    )  # fmt: skip
    folder = Path(options.out)
    record(plan, folder, jobs=options.jobs)
    print(f"{plan.cases} cases in {folder}: {folder / 'manifest.jsonl'}", file=sys.stderr)
    return 0


def record(plan: Plan, folder: Path, *, jobs: int = 1) -> None:
    """Makes what is missing of `plan` in `folder`. ConfigError where the folder holds another run; StoreError."""
    _claim(plan, folder)
    takes = takes_of(plan)
    missing = [take for take in takes if not _truth_file(folder, take).exists()]
    bar = tqdm(total=len(takes), initial=len(takes) - len(missing), desc="recording", unit="file", file=sys.stderr)
    with bar:
        for _ in _each(plan, folder, missing, jobs):
            bar.update()
    _write_manifest(plan, folder, takes)


def takes_of(plan: Plan) -> list[Take]:
    """The files of a plan."""
    if plan.continuous:
        ends = [plan.cases * pose // plan.poses for pose in range(plan.poses + 1)]
        return [
            Take(f"run{tail}", f"station{tail}.toml", 0, pose, ends[pose], ends[pose + 1] - ends[pose])
            for pose, tail in enumerate(["", *range(1, plan.poses)])
        ]
    stations = plan.stations or plan.cases
    return [
        Take(f"case{number:04d}", _station_file(number % stations, stations), number % stations, 0, number, 1)
        for number in range(plan.cases)
    ]


def _station_file(number: int, stations: int) -> str:
    return "station.toml" if stations == 1 else f"station{number:04d}.toml"


def _each(plan: Plan, folder: Path, takes: list[Take], jobs: int) -> Iterator[None]:
    """Films all takes, here or in `jobs` processes."""
    if jobs <= 1:
        for take in takes:
            film(plan, folder, take)
            yield
        return
    with ProcessPoolExecutor(jobs) as pool:
        yield from pool.map(film, [plan] * len(takes), [folder] * len(takes), takes)


def film(plan: Plan, folder: Path, take: Take) -> None:
    """One recording, its station profile, and at last its truth, which marks it as finished."""
    cv2.setNumThreads(1)
    look = look_of(plan, take)
    scenes = draw_scenes(plan.seed, look, plan.profile, take.count, first=take.first, leak_share=plan.leaky_share)
    fps = plan.fps or look.fps
    run = Twin(look, scenes, fps=fps, seed=plan.seed, single=not plan.continuous, first_case=take.first)
    durable.write(folder / take.station_file, station.dump(profile_of(look, plan.profile)))
    _write_video(_video_file(folder, take), run.frames(), plan, fps)
    lines = "".join(json.dumps(case.as_json()) + "\n" for case in run.cases)
    durable.write(_truth_file(folder, take), lines.encode())


def look_of(plan: Plan, take: Take) -> StationLook:
    """The station of a take; no two runs share one."""
    return at_pose(station_of(plan.seed, take.station_number, plan.profile, plan.size, plan.station_id), take.pose)


def _write_video(path: Path, shots: Iterator[tuple[Frame, FrameTruth]], plan: Plan, fps: float) -> None:
    """Frames -> `path` (MJPG or FFV1 in Matroska), whole or not at all."""
    half = path.with_name(f"half-{path.name}")
    code = "FFV1" if plan.lossless else "MJPG"
    writer = cv2.VideoWriter(str(half), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*code), fps, plan.size)
    if not writer.isOpened():
        raise StoreError(f"{half} cannot be written: free space or check who owns {half.parent}")
    try:
        for frame, _ in shots:
            writer.write(frame.image)
    finally:
        writer.release()
    durable.move(half, path)


def _write_manifest(plan: Plan, folder: Path, takes: list[Take]) -> None:
    truths = [(take, _read_truths(_truth_file(folder, take))) for take in takes]
    if plan.continuous:
        lines = [{"video": f"{take.name}.mkv", **case} for take, cases in truths for case in cases]
        durable.write(folder / "truth.jsonl", json_lines(lines))
        rows = [
            {"video": f"{take.name}.mkv", "station": take.station_file, "first_case": take.first, "cases": take.count}
            for take in takes
        ]
        durable.write(folder / "recordings.jsonl", json_lines(rows))
        return
    rows = [line(cases[0], f"{take.name}.mkv", take.station_file) for take, cases in truths]
    durable.write(folder / "manifest.jsonl", json_lines(rows))


def _read_truths(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def _video_file(folder: Path, take: Take) -> Path:
    return folder / f"{take.name}.mkv"


def _truth_file(folder: Path, take: Take) -> Path:
    return folder / f"{take.name}.truth.jsonl"


def _claim(plan: Plan, folder: Path) -> None:
    """The folder belongs to this plan from now on; a longer run of the same plan may go on in it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"{folder} cannot be made ({error.strerror}): choose another --out") from error
    run_file = folder / _RUN_FILE
    wanted = json.loads(json.dumps(asdict(plan)))
    if run_file.exists():
        known = json.loads(run_file.read_text())
        grows = {"cases"} if plan.stations is not None and not plan.continuous else set()
        other = [key for key in wanted if key not in grows and known.get(key) != wanted[key]]
        if other:
            raise ConfigError(
                f"{folder} holds another run ({other[0]} was {known.get(other[0])}, not {wanted[other[0]]}): "
                "choose another --out"
            )
    durable.write(run_file, json.dumps(wanted).encode())


def _view(spec: str, out: Path) -> int:
    """Four moments of one immersion and a temporal composite, as one picture; the truth in words on stderr."""
    camera = open_twin(spec)
    sheet, truth = contact_sheet(camera.frames, lambda: camera.truths, lambda: camera.cases)
    written, data = cv2.imencode(out.suffix or ".png", sheet)
    if not written:
        raise StationError(f"{out} is no picture's name: end it with .png or .jpg")
    durable.write(out, data.tobytes())
    print(f"{out}: {_words(truth)}", file=sys.stderr)
    return 0


def _words(truth: CaseTruth | None) -> str:
    """What the picture shows, for a person."""
    if truth is None:
        return "no unit comes"
    rests = f"at rest from {truth.settled_s:.1f} s, lamp {truth.decision}, haze {truth.haze:.2f}"
    if truth.leak_rate is None or truth.leak_diameter_px is None:
        return f"a tight unit, {rests}" if truth.label == "ok" else f"nothing to see ({truth.label}), {rests}"
    size = f"{truth.leak_rate:.1f} bubbles/s of {truth.leak_diameter_px:.1f} px at the {truth.leak_spot}"
    return f"a leak, {size}, {truth.bubbles_released} while it was held; {rests}"


def contact_sheet(
    frames: Callable[[], Iterator[Frame]],
    truths: Callable[[], list[FrameTruth]],
    cases: Callable[[], list[CaseTruth]],
) -> tuple[np.ndarray, CaseTruth | None]:
    """The first immersion while empty, entering, watched, decided: (2h, 2w, 3) uint8; the watched one as composite."""
    kept: dict[str, list[np.ndarray]] = {}
    for frame in frames():
        phase = truths()[0].phase
        if phase == "leaving" or len(cases()) > 1:
            break
        kept.setdefault(phase, []).append(frame.image)
    last = [images[len(images) // 2] for images in kept.values()][:3]
    watched = kept.get("watching", next(iter(kept.values())))
    middle = len(watched) // 2
    composite = cv2.merge([image[:, :, 0] for image in watched[max(middle - 2, 0) : middle + 1][::-1][:3]])
    pictures = [*last, *[np.zeros_like(watched[0])] * (3 - len(last)), composite]
    return np.vstack([np.hstack(pictures[:2]), np.hstack(pictures[2:])]), next(iter(cases()), None)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tankwatch twin", description="The simulated station.")
    actions = parser.add_subparsers(dest="action", required=True)
    make = actions.add_parser("record", help="recordings with known truth and a manifest")
    _add_drawn(make, "DIR")
    make.add_argument("--stations", type=_at_least_one, metavar="K", help="share K stations (default: one a recording)")
    make.add_argument("--lossless", action="store_true", help="FFV1 instead of MJPG")
    make.add_argument("--continuous", action="store_true", help="one long recording, with truth.jsonl")
    make.add_argument(
        "--poses", type=_at_least_one, default=1, metavar="K", help="of a continuous run: one file a pose"
    )
    make.add_argument("--jobs", type=_at_least_one, default=1, help="processes")
    name = actions.add_parser("manifest", help="the same cases as `twin:` sources, in a manifest without recordings")
    _add_drawn(name, "FILE.jsonl")
    name.add_argument("--first", type=_seed, default=0, metavar="N", help="the run's case to begin with")
    look = actions.add_parser("view", help="a picture of one immersion")
    look.add_argument("spec", nargs="?", default="twin:profile=demo,cases=1", help="twin:seed=7,profile=demo,...")
    look.add_argument("--out", default="twin.png", metavar="FILE.png")
    return parser


def _add_drawn(parser: argparse.ArgumentParser, out: str) -> None:
    """What recordings and manifests are drawn from."""
    parser.add_argument("--cases", type=_at_least_one, required=True, help="how many immersions")
    parser.add_argument("--seed", type=_seed, required=True, help="another seed: other stations, units and leaks")
    parser.add_argument("--out", required=True, metavar=out)
    parser.add_argument("--profile", default="reference", help=" ".join(sorted(PROFILES)))
    parser.add_argument("--fps", type=float, help="default: drawn from the profile, by station")
    parser.add_argument("--size", default="640x480", metavar="WxH")
    parser.add_argument("--station", default="TANK1", metavar="ID")
    parser.add_argument("--leaky-share", type=_share, metavar="X", help="0..1 instead of the profile's share")


def _at_least_one(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("write a whole number from 1")
    return value


def _seed(text: str) -> int:
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError("write a whole number from 0")
    return value


def _share(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError("write a number from 0 to 1")
    return value
