"""PURE. Two versions of a dataset -> what was added, removed, moved to another set or given another label."""

from collections.abc import Sequence

import msgspec

from cloud_sync.manifest import Example


class Change(msgspec.Struct, frozen=True):
    """One case that differs; `before` and `after` in words, empty where it was not there."""

    case_id: str
    what: str
    """added, removed, moved, relabelled or moved and relabelled"""
    before: str
    after: str


def changes(before: Sequence[Example], after: Sequence[Example]) -> list[Change]:
    """By case id; an example whose set and label are the same is no change."""
    old, new = ({one.case_id: one for one in members} for members in (before, after))
    found = [_change(case_id, old.get(case_id), new.get(case_id)) for case_id in sorted(old | new)]
    return [one for one in found if one is not None]


def _change(case_id: str, before: Example | None, after: Example | None) -> Change | None:
    if before is None or after is None:
        return Change(case_id, "added" if before is None else "removed", _words(before), _words(after))
    what = " and ".join(
        word
        for word, differs in (("moved", before.split != after.split), ("relabelled", before.label != after.label))
        if differs
    )
    return Change(case_id, what, _words(before), _words(after)) if what else None


def _words(one: Example | None) -> str:
    return "" if one is None else f"{one.split}, {one.label}"
