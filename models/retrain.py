"""Judged clips on top of a parent bundle -> the next bundle: the parent's eyes, a newly fitted judgement.

A few dozen clips say nothing about pixels that the parent's training has not said better, but much about this station's
trapped air, beads and light. So the detector stays, the aggregator is fitted to the parent's cases and the judged ones
together, and the limits are chosen anew, on cases that each fit has not seen.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge_agent import clips
from edge_agent.bundle import Bundle, open_bundle
from edge_agent.errors import ConfigError
from edge_agent.judge import Judge
from edge_agent.replay import push_views
from models import case_fit, golden, package, select
from models.cases import Features, together
from models.package import Content, Nets

Log = Callable[[str], None]
JUDGED_WEIGHT = 6.0
"""A judged clip counts as this many simulated cases: it is real, and there are few."""
FOLDS = 4
LEAST_CLIPS = 4
STEPS = 600


@dataclass(frozen=True, slots=True)
class Judged:
    """One line of a dataset's manifest, as far as training needs it."""

    video: Path
    leaky: bool


def retrain(manifest: Path, parent: Path, out: Path, *, seed: int, log: Log) -> Bundle:
    """A bundle of the next version. Raises ConfigError for a manifest that cannot be used."""
    base = open_bundle(parent)
    lines, digest = read_manifest(manifest)
    before = package.fitted_features(base)
    judged = judged_features(lines, base, log)
    fitted = together([before, judged])
    net = case_fit.fit(fitted, seed, log, steps=STEPS)
    scores, leaky = held_out_scores(before, judged, seed)
    known = np.concatenate([scores, case_fit.scores(net, before.values[before.weight == 1.0])])
    truth = np.concatenate([leaky, before.leaky[before.weight == 1.0]])
    limits = select.limits(known, truth)
    words = [
        f"Version {base.manifest.version + 1}: parent version {base.manifest.version} and {len(leaky)} judged clips",
        f"({int(leaky.sum())} leaks). Each judged clip scored by a fit that had not seen it: AUC "
        f"{select.auc(scores, leaky):.3f}.",
        "",
        base.manifest.card.partition("## For")[0].strip(),
    ]
    log(f"retrained clips={len(leaky)} leaks={int(leaky.sum())} held_out_auc={select.auc(scores, leaky):.3f}")
    content = Content(
        version=base.manifest.version + 1,
        thresholds=package.lowered(base.manifest.thresholds, limits.ok_below, limits.leak_above),
        sensitivity=base.manifest.sensitivity,
        lineage=package.lineage("dataset", seed, base.manifest.lineage.code, dataset_sha256=digest, parent=base.sha256),
        card=package.card(words),
        fitted=fitted,
        examples=np.empty((0, 3, 128, 128), np.uint8),
        golden=tuple(golden.of_bundle(base)),
    )
    nets = Nets(base.nets["detector"], base.nets["origins"], net, base.nets["lamps"], base.nets["water"])
    return package.pack(out, nets, content)


def read_manifest(path: Path) -> tuple[list[Judged], str]:
    """(the clips to train on, the manifest's sha256). Test data and lines without a sure label are left out."""
    try:
        data = path.read_bytes()
    except OSError as error:
        fault = error.strerror
        raise ConfigError(f"manifest {path} cannot be read ({fault}): give the one of 'cloud dataset'") from error
    judged = []
    for number, line in enumerate(data.splitlines(), start=1):
        if line.strip():
            judged += _line(line, path, number)
    kinds = {one.leaky for one in judged}
    if len(judged) < LEAST_CLIPS or len(kinds) < 2:
        raise ConfigError(
            f"manifest {path} has {len(judged)} clips to train on, {LEAST_CLIPS} with leaks and good units are "
            "needed: judge more cases"
        )
    return judged, hashlib.sha256(data).hexdigest()


def judged_features(judged: list[Judged], bundle: Bundle, log: Log) -> Features:
    """The bundle's features of each clip. Clips in which nothing was watched are left out and named."""
    values, leaky = [], []
    for one in judged:
        clip = clips.read(one.video)
        judge = Judge(bundle, clip.header.px_per_mm, clip.header.view_size_px)
        push_views(judge, clip)
        if judge.composites:
            values.append(judge.features())
            leaky.append(one.leaky)
        else:
            log(f"left out: {one.video.name} shows no watched unit")
    if len(set(leaky)) < 2:
        raise ConfigError("the clips that show a watched unit are not of both kinds, leak and ok: judge more cases")
    count = len(leaky)
    return Features(
        np.array(values, np.float32), np.array(leaky), np.full(count, JUDGED_WEIGHT, np.float32), -1 - np.arange(count)
    )


def held_out_scores(before: Features, judged: Features, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(scores, leaky) of the judged clips, each by a fit without it: limits chosen on seen cases would be too bold."""
    order = np.random.default_rng([seed, 151]).permutation(len(judged.leaky))
    scores = np.empty(len(order), np.float32)
    for fold in range(FOLDS):
        out = order[fold::FOLDS]
        kept = np.setdiff1d(order, out)
        if len(out):
            rest = Features(*(getattr(judged, name)[kept] for name in ("values", "leaky", "weight", "case")))
            net = case_fit.fit(together([before, rest]), seed, lambda line: None, steps=STEPS // 2)
            scores[out] = case_fit.scores(net, judged.values[out])
    return scores, judged.leaky


def _line(line: bytes, path: Path, number: int) -> list[Judged]:
    try:
        entry = json.loads(line)
        video, label = entry["video"], entry["label"]
    except (ValueError, KeyError, TypeError) as error:
        where = f"manifest {path} line {number}"
        raise ConfigError(f"{where} is not usable ({error!r}): write it again with 'cloud dataset'") from error
    if entry.get("split", "train") == "test" or label not in ("leak", "ok"):
        return []
    return [Judged(path.parent / str(video), label == "leak")]
