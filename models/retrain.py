"""Judged clips on top of a parent bundle -> the next bundle: the parent's eyes, a newly fitted judgement.

A few dozen clips say nothing about pixels that the parent's training has not said better, but much about this station's
trapped air, beads and light. So the detector stays, the aggregator is fitted to the parent's cases and the judged ones
together, and the limits are chosen anew, on cases that each fit has not seen.

The same manifest, parent, seed and code give the same bytes: no clock and no folder's name goes into the bundle.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from scipy.special import expit
from tqdm import tqdm

from edge_agent.bundle import Bundle, open_bundle
from edge_agent.errors import ConfigError
from models import case_fit, golden, looked, novelty, package, select
from models.augmentation import JUDGED_WEIGHT
from models.cases import Features, chosen, together
from models.looked import JudgedClip, Log, Look, Workroom
from models.package import Content, Nets

LEAST_CLIPS = 4
LEAST_SHARE = 0.5
"""Where fewer of a manifest's clips can be used, it is not the dataset that it says it is."""
STEPS = 600
TOLD_EVERY = 100
"""Clips between two lines of the log."""
CASE_NUMBERS = 1 << 23
"""Rows of features are float32, which holds whole numbers up to twice this."""


@dataclass(frozen=True, slots=True)
class Judgements:
    """What a manifest holds for training. `newest`: the last review's time, None where the manifest tells none."""

    clips: list[JudgedClip]
    sha256: str
    newest: datetime | None


def retrain(manifest: Path, parent: Path, out: Path, room: Workroom, *, seed: int) -> Bundle:
    """A bundle of the next version. Raises ConfigError for a manifest that cannot be used.

    What is seen of the clips is kept in `room.folder`; called again, it goes on.
    """
    base = open_bundle(parent)
    judgements = read_manifest(manifest)
    room.log(f"retraining on {len(judgements.clips)} judged clips, parent {base.manifest.version} {base.sha256[:12]}")
    package.fitted_features(base)  # a parent without any is refused before the long part
    judged = judged_features(judgements.clips, base, room)
    return refitted(base, judged, judgements, out, seed=seed, log=room.log)


def refitted(base: Bundle, judged: Features, judgements: Judgements, out: Path, *, seed: int, log: Log) -> Bundle:
    """The bundle of a newly fitted aggregator, its limits and the parent's other nets."""
    before = without(package.fitted_features(base), judged)
    fitted = together([before, judged])
    net = case_fit.fit(fitted, seed, log, steps=STEPS)
    scores, leaky = held_out_scores(before, judged, seed)
    known = np.concatenate([scores, case_fit.scores(net, before.values[before.weight == 1.0])])
    truth = np.concatenate([leaky, before.leaky[before.weight == 1.0]])
    auc = select.auc(scores, leaky)
    leaks = int(leaky.sum())
    log(f"retrained clips={len(leaky)} leaks={leaks} held_out_auc={auc:.3f}")
    told = f"{len(leaky)} judged clips\n({leaks} leaks). Each was scored by a fit that had not seen it: AUC {auc:.3f}."
    content = _content(base, select.limits(known, truth), judgements, fitted, told=told, seed=seed)
    nets = Nets(base.nets["detector"], base.nets["origins"], net, base.nets["lamps"], base.nets["water"])
    bundle = package.pack(out, nets, content)
    log(f"bundle {out.name} sha256={bundle.sha256}")
    return bundle


def read_manifest(path: Path) -> Judgements:
    """The clips to train on. Test data and lines without a sure label are left out. Raises ConfigError."""
    try:
        data = path.read_bytes()
    except OSError as error:
        fault = error.strerror
        raise ConfigError(f"manifest {path} cannot be read ({fault}): give the one of 'cloud dataset'") from error
    judged: list[JudgedClip] = []
    times: list[datetime] = []
    for number, line in enumerate(data.splitlines(), start=1):
        if line.strip() and (found := _line(line, path, number)):
            judged.append(found[0])
            times += [found[1]] if found[1] else []
    kinds = {one.leaky for one in judged}
    if len(judged) < LEAST_CLIPS or len(kinds) < 2:
        raise ConfigError(
            f"manifest {path} has {len(judged)} clips to train on, {LEAST_CLIPS} with leaks and good units are "
            "needed: judge more cases"
        )
    return Judgements(judged, hashlib.sha256(data).hexdigest(), max(times, default=None))


def judged_features(judged: Sequence[JudgedClip], bundle: Bundle, room: Workroom) -> Features:
    """The bundle's features of each clip. Those that cannot be used are named, counted and left out.

    Raises ConfigError where too few remain.
    """
    # What was seen belongs to the bundle that saw it and to the code that ran it.
    folder = room.folder / f"looks-{bundle.sha256[:12]}-{package.code_version()[:12]}"
    folder.mkdir(parents=True, exist_ok=True)
    used: dict[str, tuple[JudgedClip, Look]] = {}
    for one, look in _told(
        zip(judged, looked.looks(judged, bundle, folder, room.jobs), strict=True), len(judged), room
    ):
        twin = used.get(look.sha256)
        fault = look.left_out or (f"is the same clip as {twin[0].video.name}" if twin else "")
        if fault:
            room.log(f"left out: {one.video.name} {fault}")
        else:
            used[look.sha256] = one, look
    _enough([one for one, _ in used.values()], len(judged), room.log)
    return features_of(list(used.values()))


def features_of(seen: Sequence[tuple[JudgedClip, Look]]) -> Features:
    """A row each; its case number comes from the clip's hash, so that a later training knows the clip again."""
    values = np.array([look.values for _, look in seen], np.float32)
    leaky = np.array([one.leaky for one, _ in seen])
    numbers = np.array([-1 - int(look.sha256[:8], 16) % CASE_NUMBERS for _, look in seen])
    weight, familiar = np.full(len(seen), JUDGED_WEIGHT, np.float32), np.full(len(seen), True)
    return Features(values, leaky, weight, numbers, familiar)


def without(before: Features, judged: Features) -> Features:
    """The parent's rows but those of the judged clips: a clip counts once, and its score is by fits without it.

    Two clips share a number in one of eight million pairs; a row of the parent's is missed then.
    """
    return chosen(before, np.flatnonzero(~np.isin(before.case, judged.case)))


def held_out_scores(before: Features, judged: Features, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(scores, leaky) of the judged clips, each by a fit without it: limits chosen on seen cases would be too bold."""
    return expit(case_fit.held_out_logits(before, judged, seed, steps=STEPS // 2)), judged.leaky


def _content(
    base: Bundle, limits: select.Limits, judgements: Judgements, fitted: Features, *, told: str, seed: int
) -> Content:
    parent, newest = base.manifest, judgements.newest
    version, novel_above = parent.version + 1, novelty.limit(fitted, seed)
    before = parent.card.partition("## For")[0].removeprefix("# Model card").strip()
    return Content(
        version=version,
        created_at=package.utc(newest) if newest else parent.created_at,
        thresholds=package.limited(parent.thresholds, limits, novel_above),
        sensitivity=parent.sensitivity,
        lineage=package.lineage("dataset", seed, dataset_sha256=judgements.sha256, parent=base.sha256),
        card=package.card(
            [
                f"Version {version}: parent version {parent.version} and {told}",
                *package.limits_told(limits, None, novel_above),
                "",
                f"Of version {parent.version}, with limits of its own:",
                "",
                before,
            ]
        ),
        fitted=fitted,
        examples=np.empty((0, 3, 128, 128), np.uint8),
        golden=tuple(golden.of_bundle(base)),
    )


def _told(pairs: Iterator[tuple[JudgedClip, Look]], count: int, room: Workroom) -> Iterator[tuple[JudgedClip, Look]]:
    """The same pairs, with a bar for who watches and a line now and then for the log."""
    for number, pair in enumerate(tqdm(pairs, total=count, desc="looking", unit="clip", disable=None), start=1):
        yield pair
        if number % TOLD_EVERY == 0:
            room.log(f"looked at {number} of {count} clips")


def _enough(used: Sequence[JudgedClip], asked: int, log: Log) -> None:
    log(f"clips used={len(used)} left_out={asked - len(used)}")
    least = max(LEAST_CLIPS, int(np.ceil(LEAST_SHARE * asked)))
    if len(used) < least:
        raise ConfigError(
            f"{len(used)} of {asked} clips can be used, {least} are needed: the lines 'left out' say what hinders each"
        )
    if len({one.leaky for one in used}) < 2:
        raise ConfigError("the clips that can be used are not of both kinds, leak and ok: judge more cases")


def _line(line: bytes, path: Path, number: int) -> tuple[JudgedClip, datetime | None] | None:
    """The clip and, where it is told, the time of its review; None for what is not to be trained on."""
    try:
        entry = json.loads(line)
        video, label, lineage = entry["video"], entry["label"], entry.get("lineage") or {}
        judged_at, sha256 = lineage.get("judged_at"), lineage.get("clip_sha256")
        at = None if judged_at is None else datetime.fromisoformat(judged_at)
        # A time without a zone is UTC, as all of ours are.
        at = at.replace(tzinfo=at.tzinfo or UTC) if at else None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        where = f"manifest {path} line {number}"
        raise ConfigError(f"{where} is not usable ({error!r}): write it again with 'cloud dataset'") from error
    if entry.get("split", "train") == "test" or label not in ("leak", "ok"):
        return None
    return JudgedClip(path.parent / str(video), label == "leak", None if sha256 is None else str(sha256)), at
