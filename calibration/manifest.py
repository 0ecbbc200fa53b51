"""Cases of the twin -> manifest lines with all slices, without rendering: each names its case as a `twin:` source."""

import json
from pathlib import Path

from tqdm import tqdm

from calibration.truth import case_truth
from calibration.twin import draw_scenes, station_of
from calibration.twin_spec import TwinSpec
from edge_agent import durable

Row = dict[str, object]
_JUDGED = ("label", "decision")
_TRUTHS = ("leak_origin_px", "leak_origins_px", "profile")
_DIGITS = 9
"""The last ones differ from processor to processor, and a certificate names its manifest by hash."""


def write_manifest(path: Path, options: TwinSpec, cases: int) -> None:
    """`cases` lines, each a recording of one unit at a station of its own, as `twin record` numbers them."""
    numbers = tqdm(range(options.first, options.first + cases), desc="manifest", unit="case", disable=None)
    durable.write(path, json_lines([row_of(options, number) for number in numbers]))


def row_of(options: TwinSpec, number: int) -> Row:
    """The line of case `number`, its `video` a source that renders it."""
    look = station_of(options.seed, number, options.profile, options.size, options.station)
    drawn = draw_scenes(options.seed, look, options.profile, 1, first=number, leak_share=options.leaky_share)
    truth = case_truth(look, next(drawn).undipped(), number, 0.0, single=True, fps=options.fps or look.fps)
    assert truth is not None  # a single recording always has one
    return line(truth.as_json(), source_of(options, number))


def source_of(options: TwinSpec, number: int) -> str:
    """`twin:...` of one case; what is not named has its usual value."""
    usual, size = TwinSpec(), "x".join(str(side) for side in options.size)
    words = [f"seed={options.seed}", f"first={number}", "cases=1", f"profile={options.profile}", "single=1", "own=1"]
    if options.fps is not None:
        words.append(f"fps={options.fps:g}")
    if options.size != usual.size:
        words.append(f"size={size}")
    if options.station != usual.station:
        words.append(f"station={options.station}")
    if options.leaky_share is not None:
        words.append(f"leaky_share={options.leaky_share:g}")
    return "twin:" + ",".join(words)


def line(case: Row, video: str, station_file: str | None = None) -> Row:
    """A line in the form that `evaluate` and `train` read: the truth's words, then its slices."""
    named = {"station": station_file} if station_file else {}
    known = {"index", "entered_s", "settled_s", "decided_s", "left_s", "leak_rate", "leak_diameter_mm"}
    known |= {"leak_diameter_px", "leak_spot", "noise_levels", "scene_seed", "station_seed", *_JUDGED, *_TRUTHS}
    slices = {key: value for key, value in case.items() if key not in known}
    judged = {key: case[key] for key in _JUDGED}
    ends = {key: case[key] for key in _TRUTHS} | {"seed": case["scene_seed"], "source": "twin"}
    return {"video": video, **{key: _rounded(value) for key, value in (judged | named | slices | ends).items()}}


def _rounded(value: object) -> object:
    """Numbers with a point to nine digits, those in lists too."""
    if isinstance(value, float):
        return float(f"{value:.{_DIGITS}g}")
    return [_rounded(one) for one in value] if isinstance(value, (list, tuple)) else value


def json_lines(rows: list[Row]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()
