"""What happens to a new champion -> which bundle speaks: the rules of its trial run, over the slot file's record. PURE.

A new champion is on trial until it has inspected for a while without trouble; meanwhile the one before stays, and comes
back by itself. `slots` keeps the record, `switch` says what happens.
"""

from typing import Literal

import msgspec

from edge_agent.messages import UpdateReport
from edge_agent.records import BundleRef

Place = Literal["config", "a", "b"]
"""`config`: what device.toml names, or the shipped one."""
MOST_STARTS = 3
"""A bundle on trial that has been started so often and never held is not started again."""
STABLE_S = 60.0
"""Inspection without trouble that ends the trial, in seconds in which frames were stepped; one case has to be in it."""


class Trial(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The champion is new."""

    wish: int | None = None
    """Counter of the `desired` message that asked for it; None = a person at the device."""
    usual_ms: float | None = None
    """CPU time a frame under the one before, while a unit was watched; None where it was not measured."""


class Failed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The last bundle that came back from its trial; it is not tried again until somebody asks anew."""

    bundle: BundleRef
    words: str
    """Fact, limit and cure."""
    at: str
    """UTC, ISO 8601."""
    wish: int | None = None


class Speaking(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The file `bundles/champion`. Where `trial` is set, `before` is a place whose bundle is not on trial."""

    now: Place = "config"
    before: Place | None = None
    bundle: BundleRef | None = None
    """The one in `now`; None where it spoke before this record was kept, or is back."""
    since: str | None = None
    """UTC, ISO 8601: when it was put there."""
    starts: int = 0
    """Of the inspection with it, less those that ended because somebody wanted it."""
    trial: Trial | None = None
    failed: Failed | None = None


def free_place(speaking: Speaking) -> Place:
    """Where the next bundle goes. Not where one on trial lies: `made_way` comes first."""
    return "b" if speaking.now == "a" else "a"


def made_way(speaking: Speaking) -> Speaking:
    """One that is on trial gives way to the next, which then stands against the one that has held."""
    if speaking.trial is None or speaking.before is None:
        return speaking
    return Speaking(speaking.before, failed=speaking.failed)


def refusal(speaking: Speaking, sha256: str, wish: int | None) -> str:
    """Why this bundle is not tried for this wish: it has failed, and nobody has asked anew; empty where it may be."""
    failed = speaking.failed
    if failed is None or failed.bundle.sha256 != sha256 or wish is None:
        return ""
    if failed.wish is None or wish > failed.wish:
        return ""
    return f"version {failed.bundle.version} has failed here ({failed.words}): order it anew to try it again"


def installed(speaking: Speaking, bundle: BundleRef, *, at: str, wish: int | None = None) -> Speaking:
    """`bundle` lies in the free place and is to speak."""
    speaking = made_way(speaking)
    failed = speaking.failed
    return Speaking(
        now=free_place(speaking),
        before=speaking.now,
        bundle=bundle,
        since=at,
        trial=Trial(wish=wish),
        failed=None if failed and failed.bundle.sha256 == bundle.sha256 else failed,
    )


def turned_back(speaking: Speaking, bundle: BundleRef, *, at: str) -> Speaking:
    """A person wants the one before, which is `bundle`; it is on trial where the one that spoke has held."""
    assert speaking.before is not None
    trial = Trial() if speaking.trial is None else None
    return Speaking(speaking.before, speaking.now, bundle, at, trial=trial, failed=speaking.failed)


def started(speaking: Speaking, *, at: str, usual_ms: float | None = None) -> Speaking:
    """The inspection is about to load the champion; after too many starts the one before takes its place."""
    trial = speaking.trial
    if trial is not None and speaking.starts >= MOST_STARTS:
        words = f"it was started {speaking.starts} times and never ran for {STABLE_S:.0f} s: look into the agent's log"
        speaking = returned(speaking, words, at=at)
    elif trial is not None and usual_ms is not None:
        speaking = msgspec.structs.replace(speaking, trial=msgspec.structs.replace(trial, usual_ms=usual_ms))
    return msgspec.structs.replace(speaking, starts=speaking.starts + 1)


def stopped(speaking: Speaking, sha256: str) -> Speaking:
    """The inspection ended because somebody wanted it to: that start has not failed."""
    if not speaking.starts or (speaking.bundle is not None and speaking.bundle.sha256 != sha256):
        return speaking
    return msgspec.structs.replace(speaking, starts=speaking.starts - 1)


def held(speaking: Speaking, sha256: str) -> Speaking:
    """The bundle has inspected long enough without trouble."""
    return msgspec.structs.replace(speaking, trial=None) if _is(speaking, sha256) else speaking


def troubled(speaking: Speaking, sha256: str, words: str, *, at: str) -> Speaking:
    """The bundle has failed while it spoke: on trial the one before is back; one that has held stays."""
    return returned(speaking, words, at=at) if _is(speaking, sha256) else speaking


def returned(speaking: Speaking, words: str, *, at: str) -> Speaking:
    """The one before speaks again, and the record says why."""
    trial = speaking.trial
    if trial is None or speaking.before is None or speaking.bundle is None:
        return speaking
    return Speaking(speaking.before, failed=Failed(speaking.bundle, words, at, trial.wish))


def report(speaking: Speaking) -> UpdateReport | None:
    """For the status: how it went with the last bundle that was put into its place; None where there was none."""
    if speaking.bundle is not None and speaking.since is not None:
        waits = speaking.trial is not None and not speaking.starts
        return UpdateReport(bundle=speaking.bundle, state="ready" if waits else "running", at=speaking.since)
    failed = speaking.failed
    if failed is None:
        return None
    return UpdateReport(bundle=failed.bundle, state="returned", words=failed.words, at=failed.at)


def _is(speaking: Speaking, sha256: str) -> bool:
    """What is told of a bundle that speaks no more changes nothing."""
    return speaking.bundle is not None and speaking.bundle.sha256 == sha256
