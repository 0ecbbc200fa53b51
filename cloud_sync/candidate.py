"""A candidate and its parent -> what each says of which cases: test data and a fresh set of the twin.

The two are compared on cases that were drawn by lot and on the twin alone. Test data that are there because a champion
failed on them are for the candidate: a champion cannot win on cases chosen because it failed. The sealed set is for
releases and nothing here can reach it.
"""

import shutil
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from cloud_sync.draw import BY_LOT
from cloud_sync.manifest import Example
from edge_agent.bundle import Bundle
from edge_agent.errors import ConfigError
from edge_agent.inspection import Opener
from edge_agent.records import DecisionWord
from models import clip_cases, evaluated, looked, rates, report, seen, side_by_side
from models.judged import Bench, Judged
from models.labelled import Labelled, Manifest, read_manifest
from models.looked import JudgedClip, Workroom

FIRST_FRESH_SEED, FRESH_SEEDS = 1 << 30, 1 << 28
"""Seeds of fresh sets: no recipe, benchmark or release draws from there."""
TWIN = "twin"
"""Folder of a run: its fresh set of the twin, and what was said of it."""
MEASURED = ("clarity", "light_levels", "usable_s")
Told = Callable[[str, float], None]
"""Words, and the share of this work that is done."""


class Twin(NamedTuple):
    """Simulated recordings, which the cloud does not make itself."""

    openers: Mapping[str, Opener]
    write: Callable[[Path, int, int, str], None]
    """(file, seed, cases, profile): a manifest of recordings with known truth."""


class Both(NamedTuple):
    """The bundle that is evaluated and the one that it comes from."""

    candidate: Bundle
    parent: Bundle


class Ask(NamedTuple):
    """A set of the twin: how many cases, of which profile, and how many processes look at them."""

    cases: int
    profile: str
    jobs: int


class Found(NamedTuple):
    """What an evaluation says: figures for the catalogue, rows for `evaluated`, and clips that nobody could read."""

    figures: dict[str, Any]
    rows: list[dict[str, object]]
    left_out: tuple[str, ...] = ()


def fresh_seed(sha256: str) -> int:
    """Another one for each candidate, the same one whenever it is asked for."""
    return FIRST_FRESH_SEED + int(sha256[:12], 16) % FRESH_SEEDS


def by_lot(one: Example) -> bool:
    """Is the case test data whatever the machine made of it?"""
    return one.lineage.drawn in BY_LOT


def on_test_data(members: Sequence[Example], folder: Path, both: Both, room: Workroom, twin: Twin) -> Found:
    """`folder`: with the clips. The report goes to its `test/`. Raises StoreError."""
    tests = [one for one in members if one.split == "test"]
    if not tests:
        return Found({}, [])
    judged, left_out = _on_clips(tests, folder, both.candidate, room)
    lot = {one.case_id for one in tests if by_lot(one)}
    champion, _ = _on_clips([one for one in tests if one.case_id in lot], folder, both.parent, room)
    drawn = [one for one in judged if one.labelled.name in lot]
    figures = {"test": {"candidate": rates.rates(judged)}}
    if drawn:
        figures["random"] = compared(drawn, champion)
    manifest = Manifest(folder / "manifest.jsonl", both.candidate.manifest.lineage.dataset_sha256 or "", [])
    if judged:
        _report(folder / "test", judged, manifest, Bench(both.candidate, twin.openers))
    rows = [_row(one, both.candidate, "random" if one.labelled.name in lot else "chosen") for one in judged]
    return Found(figures, rows + [_row(one, both.parent, "random") for one in champion], tuple(left_out))


def on_twin(folder: Path, both: Both, twin: Twin, ask: Ask, told: Told) -> Found:
    """On recordings that nothing was trained or chosen on; what is judged is kept, and the next call goes on."""
    kept = [folder, folder / "champion"]
    manifest = _drawn(folder, both, twin, ask)
    try:
        pairs = _before(kept, manifest, both)
    except ConfigError:
        # The program, and with it the candidate or the twin, is another one since: nothing of before is mixed in.
        shutil.rmtree(folder, ignore_errors=True)
        manifest = _drawn(folder, both, twin, ask)
        pairs = _before(kept, manifest, both)
    rest = manifest.lines[len(pairs) :]
    for pair in side_by_side.judge_all(rest, Bench(both.candidate, twin.openers), both.parent, ask.jobs):
        for place, one in zip(kept, pair, strict=True):
            evaluated.keep(place, one)
        pairs.append(pair)
        told(f"judged {len(pairs)} of {len(manifest.lines)} recordings of the twin", len(pairs) / len(manifest.lines))
    candidate, champion = [first for first, _ in pairs], [second for _, second in pairs]
    _report(folder, candidate, manifest, Bench(both.candidate, twin.openers), evaluated.cases_sha256(folder))
    rows = [_row(one, both.candidate, "twin") for one in candidate] + [
        _row(one, both.parent, "twin") for one in champion
    ]
    return Found({"twin": compared(candidate, champion)}, rows)


def _drawn(folder: Path, both: Both, twin: Twin, ask: Ask) -> Manifest:
    """Recordings that no bundle before the candidate can have seen, the same ones in a second call."""
    folder.mkdir(parents=True, exist_ok=True)
    seed = fresh_seed(both.candidate.sha256)
    path = folder / f"twin-{ask.profile}-{seed}.jsonl"
    twin.write(path, seed, ask.cases, ask.profile)
    return read_manifest(path, ["twin:"])


def compared(candidate: Sequence[Judged], champion: Sequence[Judged]) -> dict[str, Any]:
    """Both rates, and the cases that one of the two alone has right."""
    other = {one.labelled.name: one for one in champion}
    pairs = [(_right(one), _right(other[one.labelled.name])) for one in candidate if one.labelled.name in other]
    return {
        "candidate": rates.rates(candidate),
        "champion": rates.rates(champion),
        "candidate_alone_right": pairs.count((True, False)),
        "champion_alone_right": pairs.count((False, True)),
    }


def _right(one: Judged) -> bool:
    return one.case.verdict == one.labelled.label


def _on_clips(
    members: Sequence[Example], folder: Path, bundle: Bundle, room: Workroom
) -> tuple[list[Judged], list[str]]:
    """What was seen is weighed; what was not is looked at first."""
    asked = [JudgedClip(folder / one.video, one.label == "leak", one.lineage.clip_sha256) for one in members]
    looks = list(looked.looks(asked, bundle, looked.folder_of(room, bundle), room.jobs))
    known = [(one, look.seen) for one, look in zip(members, looks, strict=True) if look.seen is not None]
    left_out = [f"{one.case_id} {look.left_out}" for one, look in zip(members, looks, strict=True) if look.seen is None]
    said = seen.verdicts([found for _, found in known], bundle)
    judged = [
        clip_cases.judged(_labelled(one, folder), verdict, found.watched, bundle, _decision(one))
        for (one, found), verdict in zip(known, said, strict=True)
    ]
    return judged, left_out


def _labelled(one: Example, folder: Path) -> Labelled:
    lineage = one.lineage
    words = {
        "station": one.place,
        "drawn": lineage.drawn,
        "sampled_for": lineage.sampled_for,
        "seen": lineage.seen or "",
    }
    measured = {name: getattr(lineage, name) for name in MEASURED}
    return Labelled(
        source=str(folder / one.video),
        name=one.case_id,
        label=one.label,
        slices={key: word for key, word in words.items() if word},
        quantities={key: float(value) for key, value in measured.items() if value is not None},
    )


def _decision(one: Example) -> DecisionWord:
    return "leak" if one.decision == "leak" else "ok" if one.decision == "ok" else "none"


def _before(folders: Sequence[Path], manifest: Manifest, both: Both) -> list[tuple[Judged, Judged]]:
    """Pairs that are kept whole; of a pair that broke off both are judged again."""
    for folder, bundle in zip(folders, both, strict=True):
        evaluated.claim(folder, manifest, bundle)
    whole = min(len(evaluated.judged_before(folder, manifest)) for folder in folders)
    shorter = Manifest(manifest.path, manifest.sha256, manifest.lines[:whole])
    candidate, champion = (evaluated.judged_before(folder, shorter) for folder in folders)
    return list(zip(candidate, champion, strict=True))


def _report(
    folder: Path, judged: Sequence[Judged], manifest: Manifest, bench: Bench, cases_sha256: str | None = None
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    found = rates.summary(judged, bench.bundle, manifest, datetime.now(UTC), cases_sha256=cases_sha256)
    report.write(folder, judged, found, bench)


def _row(one: Judged, bundle: Bundle, part: str) -> dict[str, object]:
    return {
        "bundle_sha256": bundle.sha256,
        "source": one.labelled.name,
        "part": part,
        "label": one.labelled.label,
        "verdict": one.case.verdict,
        "score": one.case.score,
    }
