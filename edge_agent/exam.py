"""A bundle that wants to run here -> nothing, or ModelError: its nets run, its golden cases say what they said, the
station's reference cases are judged as well as required, and no composite takes too long.

`python -m edge_agent.exam` is the same as a process of its own, which `trial` starts and holds to its limits.
"""

import os
import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import msgspec

from edge_agent import clips
from edge_agent.bundle import Bundle, open_bundle
from edge_agent.clips import Clip
from edge_agent.errors import ModelError, TankwatchError
from edge_agent.judge import Judge
from edge_agent.offered import clip_name
from edge_agent.references import SLOWEST, ReferenceCase, References
from edge_agent.replay import judge_again, watched_views
from edge_agent.sound import verify

TIMED = 4
"""Clips on which bundle and champion are timed against each other: the CPU time of a net hardly varies."""
NICE = 10
NO_MEMORY = "allocate memory"
"""What onnxruntime says where it gets none."""


class Exam(msgspec.Struct, frozen=True, kw_only=True):
    """What is tried, on what."""

    bundle: str
    """Path of the file."""
    champion: str
    """Path of the bundle that speaks."""
    certificate: bool
    """It has to have one."""
    references: References | None = None
    clips: str = ""
    """Folder of the reference clips."""
    most_s: float
    """CPU time."""
    most_mb: int


class Passed(msgspec.Struct, frozen=True, kw_only=True):
    """How well it did; `refusal` says why it did not."""

    refusal: str = ""
    right: int = 0
    missed: int = 0
    cases: int = 0
    ms: float = 0.0
    """CPU time a composite."""
    champion_ms: float = 0.0


def examine(exam: Exam) -> Passed:
    """Raises ModelError with fact, limit and cure."""
    bundle = open_bundle(exam.bundle)
    _papers(bundle, exam.certificate)
    verify(bundle)
    right, missed = _references(bundle, exam)
    ms, champion_ms = _times(bundle, exam)
    count = len(exam.references.cases) if exam.references else 0
    return Passed(right=right, missed=missed, cases=count, ms=ms, champion_ms=champion_ms)


def _papers(bundle: Bundle, certificate: bool) -> None:
    """What it has to bring along. Whoever always says the same has no golden cases of both kinds that are right."""
    name = f"version {bundle.manifest.version}"
    right = {case.verdict for case in bundle.manifest.golden if case.leaky == (case.verdict == "leak")}
    if not {"leak", "ok"} <= right:
        raise ModelError(
            f"{name} has no golden cases of a leak and of a good unit that it judges right: train it with this version"
        )
    if certificate and not bundle.manifest.certificates:
        raise ModelError(
            f"{name} has no certificate: evaluate it and run 'bundle certify', or set [updates] require_certificate"
        )


def _references(bundle: Bundle, exam: Exam) -> tuple[int, int]:
    """(right, missed) of the reference cases. Raises ModelError where that is not enough."""
    wanted = exam.references
    if wanted is None:
        return 0, 0
    said = [judge_again(_reference_clip(exam, case), bundle) for case in wanted.cases]
    pairs = [(case.truth, verdict.verdict) for case, verdict in zip(wanted.cases, said, strict=True)]
    right = sum(truth == word for truth, word in pairs)
    missed = sum((truth, word) == ("leak", "ok") for truth, word in pairs)
    name = f"version {bundle.manifest.version}"
    cure = "train it with cases of this station; the bundle in use stays"
    if missed > wanted.most_missed:
        raise ModelError(f"{name} calls {missed} of this station's leaks ok, limit {wanted.most_missed}: {cure}")
    if right < wanted.least_right * len(pairs):
        share = f"{right} of {len(pairs)} reference cases"
        raise ModelError(f"{name} judges {share} of this station right, limit {wanted.least_right:.0%}: {cure}")
    return right, missed


def _times(bundle: Bundle, exam: Exam) -> tuple[float, float]:
    """CPU milliseconds a composite of the bundle and of the champion, on the same clips. Raises ModelError."""
    wanted, champion = exam.references, open_bundle(exam.champion)
    ms, champion_ms = (_ms(judged, list(_timed_clips(bundle, exam))) for judged in (bundle, champion))
    slowest = wanted.slowest if wanted else SLOWEST
    limit_ms = max(slowest * champion_ms, wanted.most_ms or 0.0 if wanted else 0.0)
    if ms > limit_ms:
        raise ModelError(
            f"version {bundle.manifest.version} takes {ms:.1f} ms a composite, the champion {champion_ms:.1f} ms, "
            f"limit {limit_ms:.1f} ms: train a smaller one"
        )
    return ms, champion_ms


def _timed_clips(bundle: Bundle, exam: Exam) -> Iterator[Clip]:
    """The station's own pictures where there are any, for their size matters."""
    if exam.references:
        yield from (_reference_clip(exam, case) for case in exam.references.cases[:TIMED])
    else:
        yield from (clips.read(data) for data in list(bundle.golden.values())[:TIMED])


def _ms(bundle: Bundle, shown: list[Clip]) -> float:
    took_s, composites = 0.0, 0
    for clip in shown:
        judge = Judge(bundle, clip.header.px_per_mm, clip.header.view_size_px)
        for view, since_s in watched_views(clip):
            began_s = time.thread_time()
            judge.push(view, since_s)
            took_s += time.thread_time() - began_s
        composites += judge.composites
    return 1000 * took_s / max(1, composites)


def _reference_clip(exam: Exam, case: ReferenceCase) -> Clip:
    return clips.read(Path(exam.clips) / clip_name(case.sha256))


def main() -> None:
    """An Exam as JSON on stdin -> a Passed as JSON on stdout, under limits that nothing in here can lift again."""
    exam = msgspec.json.decode(sys.stdin.buffer.read(), type=Exam)
    seconds = int(exam.most_s) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 5))
    resource.setrlimit(resource.RLIMIT_DATA, (exam.most_mb << 20, exam.most_mb << 20))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.nice(NICE)
    cv2.setNumThreads(1)
    try:
        passed = examine(exam)
    except (TankwatchError, MemoryError) as error:
        too_large = isinstance(error, MemoryError) or NO_MEMORY in str(error.__cause__)
        words = f"the bundle takes more than {exam.most_mb} MB: train a smaller one"
        passed = Passed(refusal=words if too_large else str(error))
    sys.stdout.buffer.write(msgspec.json.encode(passed))


if __name__ == "__main__":
    main()
