"""PURE. What is known of a scope's champion -> whether it is retrained now, and why, in words.

A week has passed, enough was judged, an alarm of drift stands, agreement is falling, or the training itself has
changed. A person's word goes past all of these, but not past the bounds: one run for each dataset, and so many a day.
"""

import msgspec

from cloud_sync import fisher

DAY_S, WEEK_S = 86_400.0, 7 * 86_400.0
LEVEL = 0.01
"""Of the test on agreement. It is asked every hour, on windows that overlap for weeks; a false alarm costs a run, not a
promotion, and a point estimate would ring every day."""
LEAST_UNITS = 200
"""In each window: with fewer, agreement that falls from 99 to 95 % would not show at LEVEL anyway."""


class Answers(msgspec.Struct, frozen=True):
    """Units of one window that machine and inspector both answered."""

    units: int
    alike: int


class Signs(msgspec.Struct, frozen=True):
    """What is known of a scope when it is asked. Times in seconds since 1970."""

    now: float
    last_run_at: float | None
    """When its last run of any kind was queued; None: there was none."""
    new_examples: int
    """Judged since the dataset of its last run."""
    enough_examples: int
    """`judgements_for_training` of the policy."""
    drift: tuple[str, ...] = ()
    """Alarms that stand, in words."""
    before: Answers = Answers(0, 0)
    lately: Answers = Answers(0, 0)
    code: str = ""
    last_code: str | None = None
    """Of the last run: what it has tried with the same examples need not be tried again."""
    champion_code: str | None = None
    """Of the run that made the champion; None where no run of ours did."""


def reasons(signs: Signs) -> list[str]:
    """All that hold, the most urgent first; none: the champion is left alone.

    Nobody is retrained twice within a day, or twice on the same examples by the same code: an alarm that goes on
    standing would otherwise ring in a run every hour.
    """
    if signs.last_run_at is not None and signs.now - signs.last_run_at < DAY_S:
        return []
    if not signs.new_examples and signs.last_code in (None, signs.code):
        return []
    found = [f"drift: {alarm}" for alarm in signs.drift]
    if falling(signs.before, signs.lately):
        shares = (f"{one.alike / one.units:.1%} of {one.units}" for one in (signs.before, signs.lately))
        found.append(
            "agreement is falling: machine and inspector agree on {} units, before {}".format(*[*shares][::-1])
        )
    if signs.new_examples >= signs.enough_examples:
        found.append(f"{signs.new_examples} cases were judged since, {signs.enough_examples} are enough")
    if signs.champion_code not in (None, signs.code) and signs.last_code != signs.code:
        found.append("the code of training or preprocessing has changed since the champion was trained")
    if signs.new_examples and (signs.last_run_at is None or signs.now - signs.last_run_at >= WEEK_S):
        found.append("a week has passed" if signs.last_run_at is not None else "nothing was retrained yet")
    return found


def falling(before: Answers, lately: Answers) -> bool:
    """Fisher's exact test, one-sided at LEVEL: would so many differ lately if nothing had changed?"""
    if min(before.units, lately.units) < LEAST_UNITS:
        return False
    unlike, unlike_before = (one.units - one.alike for one in (lately, before))
    return fisher.p_of_more(unlike, lately.units, unlike_before, before.units) < LEVEL


def room_today(runs_since_midnight: int, most_a_day: int) -> int:
    """How many more runs may begin today."""
    return max(0, most_a_day - runs_since_midnight)
