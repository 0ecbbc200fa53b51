"""PURE. A policy -> sentences for the people who judge and for those who ask where a case has gone."""

from cloud_sync.policy import SETTLED, Policy
from cloud_sync.routing import Split

SETS = {"train": "training", "test": "test", "pool": "the pool"}


def explained(policy: Policy) -> list[str]:
    """One sentence a rule, in the order in which a case meets them."""
    rules, pool = policy.routing, policy.pool
    held = ", ".join(pool.held_out_stations)
    return [
        f"The machine said leak or ok, the expert the opposite: {_to(rules.wrong_familiar)} if it was familiar, "
        f"{_to(rules.wrong_unfamiliar)} if it was not.",
        f"The machine was right: {_to(rules.right)}. It was uncertain or could not test, which is no mistake: "
        f"{_to(rules.asked)}. Cannot tell: no example.",
        f"Of the pool, {_percent(pool.training_share)} of the units go to training and {_percent(pool.held_out_share)} "
        "are held out for tests; the rest waits. A hash of the serial number (or of the case, where there is none) "
        "draws them, so one unit is never on both sides.",
        f"Whatever is judged at {held} is test data." if held else "No station is held out as a whole.",
        "What was released as training data never becomes test data, and test data stays test data.",
        f"In training there are at most {policy.balance.most_per_other:g} of one class for one of the other; what is "
        "too much is left out of the pool's part.",
        _labels(policy),
    ]


def _labels(policy: Policy) -> str:
    if policy.labels.training == policy.labels.test == SETTLED:
        taken = "One expert's word is enough"
    else:
        training, test = (" or ".join(states) or "none" for states in (policy.labels.training, policy.labels.test))
        taken = f"Labels for training: {training}; for tests: {test}"
    return f"{taken}; a case on which experts disagree waits until a third has judged."


def _to(split: Split) -> str:
    return SETS[split]


def _percent(share: float) -> str:
    return f"{100 * share:g} %"
