"""Judged clips on top of a parent bundle -> the next bundle: the parent's eyes, a newly fitted judgement.

A few dozen clips say nothing about pixels that the parent's training has not said better, but much about this station's
trapped air, beads and light. So the detector stays, the aggregator is fitted to the parent's cases and the judged ones
together, and the limits are chosen anew: on judged clips, each scored by a fit that has not seen it, and on the
parent's simulated cases, which the fit has seen (held out they make limits that answer less: docs/experiments.md).

The same manifest, parent, seed and code give the same bytes: no clock and no folder's name goes into the bundle.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from scipy.special import expit
from tqdm import tqdm

from edge_agent.bundle import Bundle, Lineage, open_bundle
from edge_agent.errors import ConfigError
from models import case_fit, cases, golden, looked, novelty, package, retrain_recipes, sanity, select
from models.augmentation import JUDGED_WEIGHT
from models.case_fit import Deal
from models.cases import WHOLE, Features, chosen, together
from models.looked import JudgedClip, Log, Look, Workroom
from models.net import CaseNet
from models.package import Content, Nets
from models.retrain_recipes import USUAL, Competed, RetrainRecipe

LEAST_CLIPS = 4
LEAST_SHARE = 0.5
"""Where fewer of a manifest's clips can be used, it is not the dataset that it says it is."""
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


@dataclass(frozen=True, slots=True, eq=False)
class Used:
    """The judged clips that training got, as features, and the words for each that it did not."""

    features: Features
    left_out: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Retrained:
    """What a retraining gives: the bundle, and how it came about."""

    bundle: Bundle
    recipe: RetrainRecipe
    competed: tuple[Competed, ...]
    """One a recipe, in the table's order; empty where there was no contest."""
    clips: int
    left_out: tuple[str, ...]
    handful_loss: float
    """Of a fit to a handful of the clips alone."""


def retrain(
    manifest: Path, parent: Path, out: Path, room: Workroom, *, seed: int, recipes: Sequence[RetrainRecipe] = (USUAL,)
) -> Retrained:
    """A bundle of the next version, by the best of the recipes. Raises ConfigError for a manifest that cannot be used,
    ModelError where the fit does not work.

    What is seen of the clips is kept in `room.folder`; called again, it goes on.
    """
    base, code = open_bundle(parent), package.commit()
    judgements = read_manifest(manifest)
    room.log(f"retraining on {len(judgements.clips)} judged clips, parent {base.manifest.version} {base.sha256[:12]}")
    fitted = cases.fitted_features(base)  # a parent without any is refused before the long part
    used = judged_features(judgements.clips, base, room)
    handful_loss = sanity.check(used.features, seed)
    room.log(f"a handful is learnt by heart, loss={handful_loss:.4f}")
    competed = contest(without(fitted, used.features), used.features, recipes, seed, room.log)
    recipe = recipes[0] if not competed else _of_name(recipes, retrain_recipes.best(competed).name)
    bundle = refitted(base, used.features, judgements, out, Course(recipe, seed, room.log, code))
    return Retrained(bundle, recipe, tuple(competed), len(used.features.leaky), used.left_out, handful_loss)


@dataclass(frozen=True, slots=True)
class Course:
    """How the last fit is made: by which recipe, seed and code, and who is told."""

    recipe: RetrainRecipe
    seed: int
    log: Log
    code: str


def contest(
    before: Features, judged: Features, recipes: Sequence[RetrainRecipe], seed: int, log: Log
) -> list[Competed]:
    """How each recipe does on judged clips that its fits had not seen; nothing to find out where there is but one."""
    competed = [_competed(before, judged, one, seed) for one in recipes] if len(recipes) > 1 else []
    for one in competed:
        log(f"recipe {one.name} held_out_loss={one.held_out_loss:.4f} held_out_auc={one.held_out_auc}")
    return competed


def _competed(before: Features, judged: Features, recipe: RetrainRecipe, seed: int) -> Competed:
    weighed = _weighed(judged, recipe)
    logits = case_fit.dealt_logits(before, weighed, Deal(seed), steps=recipe.steps // 2, hidden=recipe.hidden)
    loss, area = case_fit.even_loss(expit(logits), judged.leaky), select.auc(logits, judged.leaky)
    return Competed(recipe.name, round(loss, 4), None if np.isnan(area) else round(area, 4))


def refitted(base: Bundle, judged: Features, judgements: Judgements, out: Path, course: Course) -> Bundle:
    """The bundle of a newly fitted aggregator, its limits and the parent's other nets."""
    recipe, seed, log = course.recipe, course.seed, course.log
    judged = _weighed(judged, recipe)
    before = without(cases.fitted_features(base), judged)
    fitted = together([before, judged])
    net = case_fit.fit(fitted, seed, log, steps=recipe.steps, hidden=recipe.hidden)
    scores, leaky = scored(net, fitted, recipe, seed)
    limits = select.limits(scores, leaky)
    count, leaks = len(judged.leaky), int(judged.leaky.sum())
    auc = select.auc(scores[-count:], judged.leaky)
    log(f"retrained recipe={recipe.name} clips={count} leaks={leaks} held_out_auc={auc:.3f}")
    told = f"{count} judged clips\n({leaks} leaks). Each was scored by a fit that had not seen it: AUC {auc:.3f}."
    content = _content(base, limits, judgements, fitted, told=told, course=course)
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


def judged_features(judged: Sequence[JudgedClip], bundle: Bundle, room: Workroom) -> Used:
    """The bundle's features of each clip. Those that cannot be used are named, counted and left out.

    Raises ConfigError where too few remain.
    """
    folder = looked.folder_of(room, bundle)
    used: dict[str, tuple[JudgedClip, Look]] = {}
    left_out: list[str] = []
    for one, look in _told(
        zip(judged, looked.looks(judged, bundle, folder, room.jobs), strict=True), len(judged), room
    ):
        twin = used.get(look.sha256)
        fault = look.left_out or (f"is the same clip as {twin[0].video.name}" if twin else "")
        if fault:
            left_out.append(f"{one.video.name} {fault}")
            room.log(f"left out: {left_out[-1]}")
        else:
            used[look.sha256] = one, look
    _enough([one for one, _ in used.values()], left_out, room.log)
    return Used(features_of(list(used.values())), tuple(left_out))


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


def scored(net: CaseNet, fitted: Features, recipe: RetrainRecipe, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(scores, leaky), of what limits are chosen on: the whole simulated cases by `net`, then the judged clips, of
    earlier datasets, too, each by fits without it. Chosen on seen clips limits would be too bold."""
    is_judged = fitted.weight > WHOLE
    simulated, clips = (chosen(fitted, np.flatnonzero(which)) for which in (~is_judged, is_judged))
    # What is unfamiliar teaches doubt, and is never answered: it binds no limit.
    seen = chosen(simulated, np.flatnonzero(simulated.whole & simulated.familiar))
    logits = case_fit.held_out_logits(simulated, clips, seed, steps=recipe.steps // 2, hidden=recipe.hidden)
    scores = np.concatenate([case_fit.scores(net, seen.values), expit(logits)])
    return scores, np.concatenate([seen.leaky, clips.leaky])


def _weighed(judged: Features, recipe: RetrainRecipe) -> Features:
    return replace(judged, weight=np.full(len(judged.leaky), recipe.weight, np.float32))


def _of_name(recipes: Sequence[RetrainRecipe], name: str) -> RetrainRecipe:
    return next(one for one in recipes if one.name == name)


def _content(
    base: Bundle, limits: select.Limits, judgements: Judgements, fitted: Features, *, told: str, course: Course
) -> Content:
    parent, newest = base.manifest, judgements.newest
    version, novel_above = parent.version + 1, novelty.limit(fitted, course.seed)
    before = parent.card.partition("## For")[0].removeprefix("# Model card").strip()
    return Content(
        version=version,
        created_at=package.utc(newest) if newest else parent.created_at,
        thresholds=package.limited(parent.thresholds, limits, novel_above),
        sensitivity=parent.sensitivity,
        lineage=Lineage(
            recipe=f"dataset-{course.recipe.name}",
            seed=course.seed,
            dataset_sha256=judgements.sha256,
            parent_sha256=base.sha256,
            code=course.code,
        ),
        card=package.card(
            [
                f"Version {version}: parent version {parent.version} and {told}",
                f"Recipe `{course.recipe.name}`: {course.recipe.reason}.",
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
        # The judged clips are a handful beside the parent's cases, and add little to what those have shown.
        training_range=parent.training_range,
    )


def _told(pairs: Iterator[tuple[JudgedClip, Look]], count: int, room: Workroom) -> Iterator[tuple[JudgedClip, Look]]:
    """The same pairs, with a bar for who watches and a line now and then for the log."""
    for number, pair in enumerate(tqdm(pairs, total=count, desc="looking", unit="clip", disable=None), start=1):
        yield pair
        room.told(number, count)
        if number % TOLD_EVERY == 0:
            room.log(f"looked at {number} of {count} clips")


def _enough(used: Sequence[JudgedClip], left_out: Sequence[str], log: Log) -> None:
    asked = len(used) + len(left_out)
    log(f"clips used={len(used)} left_out={len(left_out)}")
    least = max(LEAST_CLIPS, int(np.ceil(LEAST_SHARE * asked)))
    if len(used) < least:
        first = f", the first one: {left_out[0]}" if left_out else ""
        raise ConfigError(
            f"{len(used)} of {asked} clips can be used, {least} are needed: the lines 'left out' say what hinders "
            f"each{first}"
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
