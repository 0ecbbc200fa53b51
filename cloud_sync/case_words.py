"""PURE. A case's record -> what it says in words, under headings: for the page that auditors keep."""

from collections.abc import Iterator

from cloud_sync.review_words import OUTCOME_WORDS, WHY_WORDS
from edge_agent.records import Case

Row = tuple[str, str]
WORDS = {
    "ok": "OK",
    "leak": "Leak",
    "uncertain": "Uncertain",
    "not_tested": "Not tested",
    "cannot_tell": "Cannot tell",
    "none": "None",
    "conflict": "Experts disagree",
}
DECIDED_WORDS = {"human": "the inspector", "machine": "the machine", "none": "nobody"}
RESULT_WORDS = {"passed": "Passed", "failed": "Failed", "open": "Not decided"}
MODE_WORDS = {
    "human_only": "human only",
    "shadow": "shadow: the machine decides nothing",
    "assist": "assistance",
    "partial": "partial automation",
    "full": "full automation",
}
CLIP_WORDS = {
    "ready": "held",
    "coming": "on its way",
    "overdue": "never arrived",
    "none": "not kept by the station",
    "retired": "deleted by the retention rule; the record stays",
    "damaged": "damaged: it cannot be shown in full",
    "lost": "gone from the clip store: restore it from a backup or ask the station to send it again",
}


def sections(case: Case) -> Iterator[tuple[str, list[Row]]]:
    """Everything in the record but hashes, which the page shows as lineage."""
    yield "Immersion", list(_immersion(case))
    yield "Machine and inspector", list(_words_said(case))
    yield "What could be seen", list(_seen(case))
    if case.emission is not None:
        yield "What rose from the unit", list(_emission(case))


def _immersion(case: Case) -> Iterator[Row]:
    yield "Site and station", f"{case.site} / {case.station}"
    yield "Number", f"{case.sequence} of this device (start {case.boot_id})"
    yield "Unit's serial number", case.serial or "not read"
    yield "In the water", f"{case.started_at} to {case.ended_at} (UTC)"
    yield "Pictures", f"{case.frames} frames, {case.dropped} dropped, {case.composites} composites"
    yield "Mode", MODE_WORDS.get(case.mode, case.mode)


def _words_said(case: Case) -> Iterator[Row]:
    yield "Machine", _with_score(case.verdict, case.score)
    yield "Reason", case.reason
    yield "Inspector", WORDS.get(case.decision, case.decision)
    yield "Decided by", DECIDED_WORDS.get(case.decided_by, case.decided_by)
    yield "Compared", OUTCOME_WORDS.get(case.outcome, case.outcome)
    drawn = "Not drawn." if case.sampled.reason == "none" else WHY_WORDS.get(case.sampled.reason, case.sampled.reason)
    yield "Shown to experts", drawn
    yield "Drawn with probability", f"{case.sampled.probability:.4g}"
    if case.challenger is not None:
        spoken = _with_score(case.challenger.verdict, case.challenger.score)
        yield "Challenger", f"bundle {case.challenger.bundle.version}: {spoken}, “{case.challenger.reason}”"
    if case.leak_at_px is not None:
        yield "Leak at", f"{case.leak_at_px[0]}, {case.leak_at_px[1]} px in the camera's picture"


def _seen(case: Case) -> Iterator[Row]:
    yield "Usable watching", f"{case.usable_s:.1f} s"
    yield "Smallest leak that would have shown", _leak(case.smallest_leak_std_cm3_s)
    clarity = "" if case.water.clarity is None else f", clarity {case.water.clarity:.2f} of 1"
    yield "Water", f"{case.water.status}{clarity}"
    shift = "" if case.framing.shift_px is None else f", {case.framing.shift_px:.1f} px off"
    yield "Framing", f"{case.framing.status}{shift}"
    if case.visibility is not None:
        yield "Light", f"{case.visibility.light_levels:.0f} grey levels, noise {case.visibility.noise_levels:.1f}"


def _emission(case: Case) -> Iterator[Row]:
    seen = case.emission
    assert seen is not None
    low, high = seen.leak_std_cm3_s_low, seen.leak_std_cm3_s_high
    yield "Leak", f"{_leak(seen.leak_std_cm3_s)} (95 %: {low:.1e} to {high:.1e})"
    yield "Bubbles", f"{seen.births} seen, {seen.births_per_s:.2g} a second, {seen.diameter_mm:.2g} mm"


def _with_score(verdict: str, score: float | None) -> str:
    return WORDS.get(verdict, verdict) + ("" if score is None else f", score {score:.3f} (0 ok, 1 leak)")


def _leak(std_cm3_s: float | None) -> str:
    return "not known" if std_cm3_s is None else f"{std_cm3_s:.1e} std cm³/s"
