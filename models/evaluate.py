"""`evaluate`: labelled recordings -> how often the machine answers, and how often it is wrong, with exact bounds.

Each recording goes through the same `inspect --single` that a person would run; only the counting is here.
"""

import argparse
import multiprocessing
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from scipy.stats import beta
from tqdm import tqdm

from edge_agent import durable, station
from edge_agent.bundle import Bundle, open_bundle
from edge_agent.camera import open_camera
from edge_agent.errors import ConfigError, StationError
from edge_agent.inspection import inspect_recording, shipped_bundle
from edge_agent.records import Case
from models.select import auc

LABELS = ("leak", "ok", "not_testable")
CONFIDENCE = 0.95
MOST_SLICE_VALUES = 8
"""A manifest key with more values than this is a quantity, not a slice."""


@dataclass(frozen=True, slots=True)
class Labelled:
    """One line of a manifest. `slices`: its further keys with few values."""

    video: Path
    name: str
    label: str
    profile: Path | None
    slices: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Judged:
    """A recording with what the machine said of it."""

    labelled: Labelled
    case: Case


def evaluate(argv: list[str]) -> int:
    """`tankwatch evaluate MANIFEST`."""
    options = _arguments().parse_args(argv)
    manifest = read_manifest(options.manifest)
    bundle = open_bundle(options.bundle or shipped_bundle())
    judged = []
    counted = tqdm(judge_all(manifest, bundle, options.jobs), total=len(manifest), unit="case", disable=None)
    for one in counted:
        judged.append(one)
        if options.json:
            print(msgspec.json.encode(line(one)).decode(), flush=True)
    found = summary(judged, bundle)
    if options.json:
        print(msgspec.json.encode(found).decode())
    else:
        print(words(found))
    if options.out:
        _write(options.out, judged, found)
    return 0


def read_manifest(path: Path) -> list[Labelled]:
    """Raises ConfigError naming the line that cannot be used."""
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise ConfigError(f"manifest {path} cannot be read ({error.strerror}): give a file of JSON lines") from error
    labelled = [_labelled(line, path, number) for number, line in enumerate(lines, start=1) if line.strip()]
    if not labelled:
        raise ConfigError(f"manifest {path} has no recordings: give one JSON object a line")
    return labelled


def judge_all(manifest: list[Labelled], bundle: Bundle, jobs: int) -> Iterator[Judged]:
    """In the manifest's order."""
    if jobs <= 1 or len(manifest) == 1:
        for one in manifest:
            yield judge(one, bundle)
        return
    global _bundle
    _bundle = bundle  # a fork inherits it
    with multiprocessing.get_context("fork").Pool(jobs) as pool:
        yield from pool.imap(_judge, manifest)


def judge(one: Labelled, bundle: Bundle) -> Judged:
    """Inspects one recording as one case."""
    profile, profile_sha256 = station.load(one.profile) if one.profile else (None, None)
    camera = open_camera(str(one.video))
    try:
        cases = list(inspect_recording(camera, bundle, profile=profile, profile_sha256=profile_sha256, single=True))
    finally:
        camera.close()
    if not cases:
        raise StationError(f"{one.video} gave no case: a recording needs at least 3 readable frames")
    return Judged(one, cases[0])


def line(one: Judged) -> dict[str, Any]:
    """The case as `inspect --json` prints it, with `video` and `label`."""
    return {"video": one.labelled.name, "label": one.labelled.label, **msgspec.to_builtins(one.case)}


def summary(judged: list[Judged], bundle: Bundle) -> dict[str, Any]:
    """The whole and each slice."""
    keys = sorted({key for one in judged for key in one.labelled.slices})
    slices = {}
    for key in keys:
        values = sorted({one.labelled.slices[key] for one in judged if key in one.labelled.slices})
        if 1 < len(values) <= MOST_SLICE_VALUES:
            slices[key] = {
                value: rates([one for one in judged if one.labelled.slices.get(key) == value]) for value in values
            }
    return {
        "schema": "tankwatch/evaluation/1",
        **rates(judged),
        "bundle": msgspec.to_builtins(bundle.ref),
        "slices": slices,
    }


def rates(judged: list[Judged]) -> dict[str, Any]:
    """Counts, rates and exact bounds. Rates that nothing can be said of are null."""
    tested = [one for one in judged if one.labelled.label != "not_testable"]
    leaky = np.array([one.labelled.label == "leak" for one in tested], bool)
    said = np.array([one.case.verdict for one in tested], dtype=object)
    scored = np.array([one.case.score is not None for one in tested], bool)
    scores = np.array([one.case.score for one in tested if one.case.score is not None], float)
    answered = np.isin(said.astype(str), ("leak", "ok"))
    missed, alarmed = int((leaky & (said == "ok")).sum()), int((~leaky & (said == "leak")).sum())
    leaks, goods = int((leaky & answered).sum()), int((~leaky & answered).sum())
    covered, wrong = int(answered.sum()), missed + alarmed
    refused = [one for one in judged if one.labelled.label == "not_testable"]
    area = auc(scores, leaky[scored]) if len(scores) else float("nan")
    return {
        "cases": len(tested),
        "auc": None if np.isnan(area) else round(area, 5),
        "coverage": _share(covered, len(tested)),
        "error": _share(wrong, covered),
        "miss_rate": _share(missed, leaks),
        "false_alarm_rate": _share(alarmed, goods),
        "bounds": {
            "confidence": CONFIDENCE,
            "coverage_lower": _lower(covered, len(tested), CONFIDENCE),
            "error_upper": upper(wrong, covered, CONFIDENCE),
            "miss_rate_upper": upper(missed, leaks, CONFIDENCE),
            "false_alarm_rate_upper": upper(alarmed, goods, CONFIDENCE),
            # Promised together, each takes half of the risk.
            "joint": {
                "miss_rate_upper": upper(missed, leaks, (1 + CONFIDENCE) / 2),
                "false_alarm_rate_upper": upper(alarmed, goods, (1 + CONFIDENCE) / 2),
            },
        },
        "counts": {"leaks_answered": leaks, "missed": missed, "good_answered": goods, "false_alarms": alarmed},
        "verdicts": {word: int((said == word).sum()) for word in ("ok", "leak", "uncertain", "not_tested")},
        "not_testable": {
            "cases": len(refused),
            "not_tested": sum(one.case.verdict == "not_tested" for one in refused),
        },
    }


def upper(events: int, trials: int, confidence: float) -> float | None:
    """Clopper-Pearson: the largest rate under which so few events are no wonder; None without trials."""
    if trials == 0:
        return None
    return 1.0 if events == trials else round(float(beta.ppf(confidence, events + 1, trials - events)), 6)


def words(found: dict[str, Any]) -> str:
    """The summary for a person."""
    bounds = found["bounds"]

    def said(name: str, bound: str) -> str:
        rate = found[name]
        if rate is None:
            return "no cases"
        return f"{rate:.4f} ({'>=' if bound.endswith('lower') else '<='} {bounds[bound]:.4f} at {CONFIDENCE:.0%})"

    lines = [
        f"{found['cases']} cases, bundle {found['bundle']['version']} ({found['bundle']['sha256'][:12]})",
        f"AUC               {found['auc']}",
        f"coverage          {said('coverage', 'coverage_lower')}",
        f"error             {said('error', 'error_upper')}",
        f"miss rate         {said('miss_rate', 'miss_rate_upper')}",
        f"false alarm rate  {said('false_alarm_rate', 'false_alarm_rate_upper')}",
        "verdicts          " + ", ".join(f"{word} {count}" for word, count in found["verdicts"].items()),
    ]
    refused = found["not_testable"]
    if refused["cases"]:
        lines.append(f"not testable      {refused['not_tested']} of {refused['cases']} refused")
    for key, values in found["slices"].items():
        for value, rate in values.items():
            said_of = ", ".join(f"{name} {rate[name]}" for name in ("cases", "auc", "coverage", "error"))
            lines.append(f"  {key}={value}: {said_of}")
    return "\n".join(lines)


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 6) if whole else None


def _lower(events: int, trials: int, confidence: float) -> float | None:
    above = upper(trials - events, trials, confidence)
    return None if above is None else round(1 - above, 6)


def _labelled(text: bytes, path: Path, number: int) -> Labelled:
    where = f"manifest {path} line {number}"
    try:
        entry = msgspec.json.decode(text, type=dict)
    except msgspec.DecodeError as error:
        raise ConfigError(f"{where} is no JSON object ({error}): write one object a line") from error
    video, label, profile = entry.pop("video", None), entry.pop("label", None), entry.pop("station", None)
    if not isinstance(video, str) or label not in LABELS:
        raise ConfigError(f"{where} needs a 'video' and a 'label' of {', '.join(LABELS)}: mend the line")
    if not (path.parent / video).exists():
        raise ConfigError(f"{where}: {path.parent / video} does not exist: paths are relative to the manifest")
    slices = {key: str(value) for key, value in entry.items() if isinstance(value, str | bool)}
    station_file = path.parent / profile if isinstance(profile, str) else None
    return Labelled(path.parent / video, video, label, station_file, slices)


def _write(folder: Path, judged: list[Judged], found: dict[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    lines = b"\n".join(msgspec.json.encode(line(one)) for one in judged) + b"\n"
    durable.write(folder / "cases.jsonl", lines)
    durable.write(folder / "summary.json", msgspec.json.format(msgspec.json.encode(found), indent=1) + b"\n")
    durable.write(folder / "report.txt", (words(found) + "\n").encode())
    print(f"written to {folder}", file=sys.stderr)


def _judge(one: Labelled) -> Judged:
    assert _bundle is not None
    return judge(one, _bundle)


_bundle: Bundle | None = None


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("tankwatch evaluate", description="Inspects labelled recordings and reports.")
    parser.add_argument("manifest", type=Path, help="JSON lines with video and label")
    parser.add_argument("--bundle", type=Path, metavar="FILE", help="default: the shipped one")
    parser.add_argument("--out", type=Path, metavar="DIR", help="also write cases.jsonl, summary.json, report.txt")
    parser.add_argument("--json", action="store_true", help="the cases and last the summary as JSON lines")
    parser.add_argument("--jobs", type=int, default=2, help="processes (default 2)")
    return parser
