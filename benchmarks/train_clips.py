"""What a retraining costs: looks at clips of the twin, and the fit to 2,000 of them.

Clips that are alike byte for byte would be looked at once. For `full` each round writes the same pictures under other
case ids: other files, with the very same work in them.
"""

import sys
import time
from pathlib import Path

import msgspec
from tqdm import tqdm

from edge_agent import clip_bytes, clips
from edge_agent.bundle import Bundle
from edge_agent.clips import ClipHeader, ClipWriter, Watch
from edge_agent.composite import Compositor
from edge_agent.infer import Detector
from edge_agent.records import Composite
from models import cases, data, package
from models import seen as eyes
from models.looked import JudgedClip, Look, look, looks
from models.retrain import Course, Judgements, contest, features_of, refitted
from models.retrain_recipes import RECIPES, USUAL
from models.stages import SEEDS_A_RECIPE, Workplace

CLIPS, CORES = 2000, 2
FIRST_SEED = 950_000
"""No stage of a recipe has its scenes there."""
CHECK_BYTES = 4
"""Behind each record of a clip."""
Seen = list[tuple[JudgedClip, Look]]
EVALUATED = 200
"""Clips that are weighed for the rate of an evaluation."""
LIMIT_CACHED, LIMIT_LOOKED = 20.0, 2.0
"""Clips a second and core: of a candidate with its parent's eyes, from what was seen before, and of a new detector."""


def sampled(place: Workplace, bundle: Bundle, count: int) -> dict:
    """`count` looks and a whole fit to 2,000 rows; minutes by the looks' CPU seconds shared by the cores."""
    made = _clips(place, count)
    frames = sum(clips.read(one.video).frame_count for one in made)
    composites = [composite for one in made for composite in _composites(one.video, bundle)]
    detector = Detector(bundle.nets["detector"], bundle.manifest.thresholds)
    began_s = time.process_time()
    for composite in composites:
        detector.look(composite)
    bare_s = (time.process_time() - began_s) / count
    began_s = time.process_time()
    seen = [(one, look(one, bundle, place.folder)) for one in made]
    look_s = (time.process_time() - began_s) / count
    began_s = time.process_time()
    _fitted(seen, bundle, place)
    fit_s = time.process_time() - began_s
    return {
        "evaluation": evaluation(seen, bundle, place, look_s),
        "extrapolated": True,
        "clips": CLIPS,
        "frames_a_clip": round(frames / count),
        "cpu_s_a_look": round(look_s, 3),
        "baseline": "detector alone",
        "ratio": round(look_s / bare_s, 2),
        "fit_cpu_s": round(fit_s, 1),
        "minutes": round((CLIPS * look_s / CORES + fit_s) / 60, 2),
    }


def evaluation(seen: Seen, bundle: Bundle, place: Workplace, look_s: float) -> dict:
    """How fast a candidate is evaluated on stored clips; hashing the clip and reading what was seen of it included."""
    again = [seen[number % len(seen)][0] for number in range(EVALUATED)]
    began_s = time.process_time()
    looked = [look(one, bundle, place.folder).seen for one in again]
    said = list(eyes.verdicts([one for one in looked if one is not None], bundle))
    cached = len(said) / (time.process_time() - began_s)
    return {
        "clips_a_s_from_what_was_seen": round(cached, 1),
        "limit_from_what_was_seen": LIMIT_CACHED,
        "clips_a_s_with_a_new_detector": round(1 / look_s, 2),
        "limit_with_a_new_detector": LIMIT_LOOKED,
        "kept": cached >= LIMIT_CACHED and 1 / look_s >= LIMIT_LOOKED,
    }


def full(place: Workplace, bundle: Bundle, count: int) -> dict:
    """2,000 looks in two processes and the fit, by the clock. Writing the clips is not counted, opening them is."""
    made = _clips(place, count)
    looked_s, seen = 0.0, list[tuple[JudgedClip, Look]]()
    bar = tqdm(total=CLIPS, unit="clip", disable=None)
    while len(seen) < CLIPS:
        few = [_renamed(one, len(seen) + number) for number, one in enumerate(made[: CLIPS - len(seen)])]
        began_s = time.monotonic()
        found = list(looks(few, bundle, place.folder, CORES))
        looked_s += time.monotonic() - began_s
        seen += zip(few, found, strict=True)
        bar.update(len(few))
        for one in few:
            one.video.unlink()
    began_s = time.monotonic()
    _fitted(seen, bundle, place)
    fit_s = time.monotonic() - began_s
    different = len({look.sha256 for _, look in seen})
    print(f"{different} different clips, looked at in {looked_s:.0f} s, fitted in {fit_s:.0f} s", file=sys.stderr)
    return {
        "extrapolated": False,
        "clips": different,
        "look_s": round(looked_s, 1),
        "fit_s": round(fit_s, 1),
        "minutes": round((looked_s + fit_s) / 60, 2),
    }


def _fitted(seen: Seen, bundle: Bundle, place: Workplace) -> None:
    """The whole second half of a retraining, the contest of recipes too, to 2,000 rows however few were looked at."""
    usable = [(one, look) for one, look in seen if not look.left_out]
    rows = [usable[number % len(usable)] for number in range(CLIPS)]
    judgements = Judgements([one for one, _ in rows], "0" * 64, None)
    course = Course(USUAL, place.seed, _unheard, package.commit())
    contest(cases.fitted_features(bundle), features_of(rows), RECIPES, place.seed, _unheard)
    refitted(bundle, features_of(rows), judgements, place.folder / "next.bundle", course)


def _clips(place: Workplace, count: int) -> list[JudgedClip]:
    """Immersions of the twin as the device keeps them, leaks and good units in turn where the seeds give both."""
    first = place.seed * SEEDS_A_RECIPE + FIRST_SEED
    made = [_clip(place, seed) for seed in tqdm(range(first, first + count), unit="clip to look at", disable=None)]
    if len({one.leaky for one in made}) < 2:
        made = [JudgedClip(one.video, bool(number % 2)) for number, one in enumerate(made)]
    return made


def _clip(place: Workplace, seed: int) -> JudgedClip:
    recording, times = place.scenes.recording(seed, "cases"), []
    profile, path = recording.profile, place.folder / f"{seed}.twclip"
    header = ClipHeader(
        case_id=f"B-{seed}", station="BENCH", view_size_px=profile.view_size_px, px_per_mm=profile.px_per_mm
    )
    writer = ClipWriter(path, header)
    for view, _, _ in data.views(recording):
        if view.monotonic_s > recording.hold_s:
            break
        writer.frame(view, view.monotonic_s)
        times.append(view.monotonic_s)
    writer.close(Watch(settled_s=times[0], spans_s=((times[0], times[-1]),), usable_s=times[-1] - times[0]))
    return JudgedClip(path, recording.leaky)


def _renamed(one: JudgedClip, number: int) -> JudgedClip:
    """The same frames under another case id, in a file of their own."""
    content = one.video.read_bytes()
    with one.video.open("rb") as file:
        file.seek(len(clip_bytes.MAGIC))
        _, at, payload = next(clip_bytes.records(file, len(content)))
    header = msgspec.structs.replace(clip_bytes.decode(payload, ClipHeader), case_id=f"B-{number}")
    rest = content[at + len(payload) + CHECK_BYTES :]
    path = one.video.with_name(f"full-{number}.twclip")
    path.write_bytes(clip_bytes.MAGIC + clip_bytes.record(b"H", msgspec.json.encode(header)) + rest)
    return JudgedClip(path, one.leaky)


def _composites(video: Path, bundle: Bundle) -> list[Composite]:
    compositor = Compositor(bundle.manifest.preprocessing)
    return [made for view in clips.read(video).views() if (made := compositor.push(view)) is not None]


def _unheard(line: str) -> None:
    """A fit's own log says nothing here."""
