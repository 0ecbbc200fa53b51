"""A case -> the figures by which drift is watched: what the camera gives, what the machine says, what people say. PURE.

Tolerances are the smallest moves that are worth an alarm. They are far above what a thousand cases could show, on
purpose: days differ, lamps warm up, the water is changed.
"""

from math import log

from edge_agent.bundle import TrainingRange
from edge_agent.drift import Quantity
from edge_agent.records import Case

ANSWERS = ("ok", "leak")
SCORE_ENDS = 0.001, 0.999
"""Log odds are taken no further out: beyond, a score is rounding."""
LEAST_SHARE_CASES = 100
"""A day's share of fewer cases is noise."""
LIGHT_CURE = "clean the lamp and the window, and look whether the lamp has to be replaced"
MODEL_CURE = "have experts look at its latest cases, and retrain"

OWN: tuple[Quantity, ...] = (
    Quantity(
        name="light", words="light", unit="grey levels", cure=LIGHT_CURE, sides=("up", "down"),
        tolerance=0.05, relative=True,
    ),
    Quantity(
        name="contrast", words="contrast of the markers", unit="grey levels", sides=("down",), tolerance=0.06,
        relative=True, cure="clean the markers and the window, or print new markers",
    ),
    Quantity(
        name="noise", words="camera noise", unit="grey levels", sides=("up",), tolerance=0.15, relative=True,
        cure="give more light or lower the gain, and look at the camera's cable",
    ),
    Quantity(
        name="blur", words="blur", unit="px", sides=("up",), tolerance=0.15, relative=True,
        cure="focus the lens and clean the window",
    ),
    Quantity(
        name="clarity", words="clarity of the water", sides=("down",), tolerance=0.04,
        cure="change the water, and look at its treatment",
    ),
    Quantity(
        name="shift", words="shift of the camera", unit="px", sides=("up",), tolerance=1.0,
        cure="turn the camera back and tighten it, or set the station up anew",
    ),
    Quantity(
        name="score", words="scores of the machine (log odds)", sides=("up", "down"), tolerance=0.25, cure=MODEL_CURE
    ),
    Quantity(
        name="unsure", words="share of units on which the machine is uncertain", unit="%", sides=("up",),
        tolerance=0.01, least=LEAST_SHARE_CASES, good_to=0.10, cure=MODEL_CURE,
    ),
    Quantity(
        name="not_tested", words="share of units that were not tested", unit="%", sides=("up",), tolerance=0.01,
        least=LEAST_SHARE_CASES, good_to=0.10, cure="see in the cases' reasons what is in the way",
    ),
    Quantity(
        name="agreement", words="agreement of machine and inspector", unit="%", sides=("down",), tolerance=0.01,
        least=LEAST_SHARE_CASES, good_from=0.90, cure=MODEL_CURE,
    ),
    Quantity(
        name="leaks", words="share of units that the inspector finds leaking", unit="%", sides=("up", "down"),
        tolerance=0.25, relative=True, least=LEAST_SHARE_CASES, lapses=False,
        cure="look at the process before the test, and at the inspection",
    ),
)  # fmt: skip
"""Against the station's own good weeks."""
TRAINING: tuple[Quantity, ...] = (
    Quantity(
        name="novel", words="share of units unlike all of the training data", unit="%", sides=("up",), tolerated=0.03,
        cure="have experts judge them, and retrain",
    ),
    Quantity(
        name="beyond_light", words="share of units in light that the training data do not know", unit="%",
        sides=("up",), tolerated=0.10, cure=LIGHT_CURE,
    ),
    Quantity(
        name="beyond_noise", words="share of units noisier than the training data", unit="%", sides=("up",),
        tolerated=0.10, cure="give more light or lower the gain, and look at the camera's cable",
    ),
    Quantity(
        name="beyond_clarity", words="share of units in murkier water than the training data", unit="%",
        sides=("up",), tolerated=0.10, cure="change the water",
    ),
)  # fmt: skip
"""Against the training data. Novelty: 1 % of familiar cases are beyond the bundle's limit by its making; three times
that is tolerated. The rest: 2 % of the training data lie beyond, and a station may be one of their margins."""
QUANTITIES = (*OWN, *TRAINING)
BY_NAME = {one.name: one for one in QUANTITIES}
OF_BUNDLE = frozenset(("score", "unsure", "agreement", *(one.name for one in TRAINING)))
"""They begin anew with another bundle; the rest with another profile only."""


def figures(case: Case, known: TrainingRange | None = None) -> dict[str, float]:
    """Name of a quantity -> this case's value; what was not measured is not there. `known`: what the bundle says of its
    training data."""
    if case.sampled.reason == "challenge":
        return {}
    found: dict[str, float | None] = {"not_tested": float(case.verdict == "not_tested")}
    if case.framing.shift_px is not None:
        found["shift"] = case.framing.shift_px
    if case.verdict != "not_tested":
        found |= _inputs(case) | _words(case) | (_beyond(case, known) if known else {})
    if case.decision in ANSWERS:
        found["leaks"] = float(case.decision == "leak")
    return {name: value for name, value in found.items() if value is not None}


def log_odds(score: float) -> float:
    low, high = SCORE_ENDS
    inside = min(high, max(low, score))
    return log(inside / (1 - inside))


def _inputs(case: Case) -> dict[str, float | None]:
    seen = case.visibility
    if seen is None:
        return {"clarity": case.water.clarity}
    return {
        "light": seen.light_levels,
        "contrast": seen.paper_levels,
        "noise": seen.noise_levels,
        "blur": seen.blur_px,
        "clarity": case.water.clarity,
    }


def _words(case: Case) -> dict[str, float | None]:
    compared = case.verdict in ANSWERS and case.decision in ANSWERS
    return {
        "score": None if case.score is None else log_odds(case.score),
        "unsure": float(case.verdict == "uncertain"),
        "agreement": float(case.verdict == case.decision) if compared else None,
        "novel": None if case.novelty is None else float(case.novelty > 1),
    }


def _beyond(case: Case, known: TrainingRange) -> dict[str, float | None]:
    seen, clarity = case.visibility, case.water.clarity
    light, noise = (seen.light_levels, seen.noise_levels) if seen else (None, None)
    return {
        "beyond_light": None if light is None else float(not known.light_levels[0] <= light <= known.light_levels[1]),
        "beyond_noise": None if noise is None else float(noise > known.noise_most),
        "beyond_clarity": None if clarity is None else float(clarity < known.clarity_least),
    }
