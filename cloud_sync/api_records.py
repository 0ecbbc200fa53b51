"""What /api/v1 takes and gives, field by field. Field names are the names in its JSON; openapi.json is generated from
them, so a description here is a description there."""

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from cloud_sync.routing import Judged
from cloud_sync.triage import ClipWord
from edge_agent.messages import Identifier
from edge_agent.records import DecisionWord, OutcomeWord, VerdictWord

LARGEST_NUMBER = 2**31 - 1
PAGE = 100
Cursor = Annotated[str, Meta(pattern=r"^[0-9a-f]+$", max_length=800, description="`next` of the page before.")]
Limit = Annotated[int, Meta(ge=1, le=200, description="Entries on a page.")]
Moment = Annotated[datetime, Meta(tz=True)]
Number = Annotated[int, Meta(ge=0, le=LARGEST_NUMBER)]


class Problem(Struct, frozen=True):
    """What went wrong, for programs (`code`) and people (`words`)."""

    status: int
    code: str
    words: str


class Fault(Struct, frozen=True):
    """Every answer that is no success."""

    error: Problem


class NoQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """Nothing may be asked."""


class NoPath(Struct, frozen=True):
    """The address has no parts of its own."""


class CasePath(Struct, frozen=True):
    case_id: Identifier


class DatasetPath(Struct, frozen=True):
    name: Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=64)]
    version: Annotated[int, Meta(ge=1, le=LARGEST_NUMBER)]


class PageQuery(Struct, frozen=True, forbid_unknown_fields=True):
    cursor: Cursor | UnsetType = UNSET
    limit: Limit = PAGE


class CaseQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """Which cases; what is not said is not asked for."""

    site: Identifier | UnsetType = UNSET
    station: Identifier | UnsetType = UNSET
    serial: Annotated[str, Meta(min_length=1, max_length=128, pattern=r"^[^\x00]+$")] | UnsetType = UNSET
    verdict: VerdictWord | UnsetType = UNSET
    decision: DecisionWord | UnsetType = UNSET
    outcome: OutcomeWord | UnsetType = UNSET
    bundle: Number | UnsetType = UNSET
    since: Annotated[datetime, Meta(tz=True, description="Immersed at this time or later.")] | UnsetType = UNSET
    until: Annotated[datetime, Meta(tz=True, description="Immersed before this time.")] | UnsetType = UNSET
    clarity_below: Annotated[float, Meta(ge=0, le=1)] | UnsetType = UNSET
    cursor: Cursor | UnsetType = UNSET
    limit: Limit = PAGE


class CaseTold(Struct, frozen=True):
    """All that the database knows of a case, with what machine and inspector said."""

    case_id: str
    site: str
    station: str
    sequence: int
    serial: str | None
    started_at: datetime
    ended_at: datetime
    usable_s: float
    verdict: str
    score: float | None
    decision: str
    decided_by: str
    outcome: str
    sampled_for: str
    sampled_probability: float
    bundle_version: int
    bundle_sha256: str
    clarity: float | None
    clip_sha256: str | None
    truth: str | None
    """What experts agree on."""
    truth_state: str | None


class CasePage(Struct, frozen=True):
    """The latest first."""

    cases: list[CaseTold]
    next: str | None
    """Cursor of the next page; null on the last."""


class CaseView(Struct, frozen=True):
    """One case. `told` is null for an expert who has not judged it yet."""

    case_id: str
    site: str
    station: str
    started_at: datetime
    seconds: float
    clip: ClipWord
    told: CaseTold | None


class ReviewView(Struct, frozen=True):
    """One judgement; none is ever changed, a later one is added."""

    revision: int
    reviewer: str
    judgement: str
    seen: str | None
    familiar: bool | None
    note: str
    at: datetime
    withdrawn: bool
    """Taken back within seconds: it counts for nothing."""


class Reviews(Struct, frozen=True):
    reviews: list[ReviewView]


class Judgement(Struct, frozen=True, forbid_unknown_fields=True):
    """What an expert says of a case. `leak` and `ok` need `familiar`; `seen` is a kind of the vocabulary."""

    judgement: Judged
    seen: Annotated[str, Meta(max_length=64, pattern=r"^[^\x00]*$")] | None = None
    familiar: bool | None = None
    note: Annotated[str, Meta(max_length=2000, pattern=r"^[^\x00]*$")] = ""


class QueueCounts(Struct, frozen=True):
    """How many cases need an eye, and how far that has come."""

    waiting: int
    coming: int
    without_clip: int
    reviewed: int


class DatasetView(Struct, frozen=True):
    name: str
    version: int
    sha256: str
    created_at: datetime
    policy_sha256: str | None
    counts: dict[str, int]
    """Examples by set."""


class DatasetPage(Struct, frozen=True):
    """The latest first."""

    datasets: list[DatasetView]
    next: str | None


class StationView(Struct, frozen=True):
    site: str
    station: str
    seen_at: datetime
    status: Literal["online", "offline", "unknown"]
    mode: str | None
    bundle_version: int | None


class Stations(Struct, frozen=True):
    stations: list[StationView]


class ModelView(Struct, frozen=True):
    """A bundle of the registry."""

    sha256: str
    version: int
    scope: str
    """For whom it was trained: `general`, `site/…` or `station/…`."""
    state: str
    parent_sha256: str | None
    dataset_sha256: str | None
    run: int | None
    """Of training, that made it."""
    added_at: datetime


class Models(Struct, frozen=True):
    """The latest first."""

    models: list[ModelView]


class PublishedHead(Struct, frozen=True):
    at: datetime
    last_id: int
    hash: str


class AuditEnd(Struct, frozen=True):
    """The audit log's last line, and how much of it was published."""

    last_id: int
    hash: str
    published: PublishedHead | None


def cursor_of(*parts: object) -> str:
    """A place in a list -> text for `cursor`."""
    return msgspec.json.encode(parts).hex()


def place_of(cursor: str, kind: type):
    """And back, as `kind`. Raises ValueError for what is none of ours."""
    try:
        return msgspec.json.decode(bytes.fromhex(cursor), type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ValueError(str(error)) from error
