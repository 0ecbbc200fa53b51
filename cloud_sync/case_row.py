"""A case message's bytes -> its rows in the database, checked once; the bytes themselves are kept as they came."""

import re
from datetime import UTC, datetime
from typing import NamedTuple

from cloud_sync import case_groups
from edge_agent import wire
from edge_agent.errors import LinkError
from edge_agent.messages import SHA256
from edge_agent.records import Case

LARGEST_NUMBER = 2**31 - 1
"""Of an integer column on every database."""
LONGEST_NAME = 200
"""Letters of a serial number, a boot or an inspector; an index of PostgreSQL takes 2,700 bytes."""
YEARS = range(1900, 2300)
"""Of a case, by whatever clock: what lies beyond fits no calendar of a page."""


class Rows(NamedTuple):
    """What one message becomes: a row of `cases`, and one of `second_words` where a challenger spoke."""

    case: dict[str, object]
    second: dict[str, object] | None


def rows(topic: wire.Topic, payload: bytes, now: float) -> Rows:
    """Raises LinkError where the payload is no case, or one of another station."""
    case = wire.decode(payload, Case)
    return Rows(_case_row(topic, payload, case, now), _second_word(case))


def case_row(topic: wire.Topic, payload: bytes, now: float) -> dict[str, object]:
    """The row of `cases` alone. Raises LinkError."""
    return rows(topic, payload, now).case


def utc_seconds(text: str) -> float:
    """ISO 8601 -> seconds since 1970; a time without a zone is UTC. Raises LinkError."""
    try:
        moment = datetime.fromisoformat(text)
        at = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError) as error:
        raise LinkError(f"{text[:40]!r} is no ISO 8601 time: refused") from error
    if moment.year not in YEARS:
        raise LinkError(f"{text[:40]!r} is not between {YEARS[0]} and {YEARS[-1]}: refused")
    return at


def _case_row(topic: wire.Topic, payload: bytes, case: Case, now: float) -> dict[str, object]:
    _check(topic, case)
    row: dict[str, object] = {
        "case_id": case.case_id,
        "sha256": wire.sha256_of(payload),
        "payload": payload,
        "site": case.site,
        "station": case.station,
        "boot_id": case.boot_id,
        "sequence": case.sequence,
        "started_at": utc_seconds(case.started_at),
        "ended_at": utc_seconds(case.ended_at),
        "usable_s": case.usable_s,
        "verdict": case.verdict,
        "score": case.score,
        "decision": case.decision,
        "decided_by": case.decided_by,
        "outcome": case.outcome,
        "sampled_for": case.sampled.reason,
        "sampled_probability": case.sampled.probability,
        "bundle_version": case.bundle.version,
        "bundle_sha256": case.bundle.sha256,
        "profile_sha256": case.profile_sha256,
        "clip_sha256": case.clip.sha256 if case.clip else None,
        "clip_bytes": case.clip.bytes if case.clip else None,
        "received_at": now,
        "clarity": case.water.clarity,
        "light_levels": case.visibility.light_levels if case.visibility else None,
        "serial": case.serial,
        "inspector": case.inspector,
        "smallest_leak_std_cm3_s": case.smallest_leak_std_cm3_s,
        "due_verdict": case.due.verdict if case.due else None,
    }
    row["group_id"] = case_groups.group_id(row)
    return row


def _check(topic: wire.Topic, case: Case) -> None:
    """What a schema does not say. Raises LinkError."""
    if (case.site, case.station) != (topic.site, topic.station):
        raise LinkError(
            f"case of {case.site}/{case.station} came on the topic of {topic.site}/{topic.station}: refused"
        )
    if max(case.sequence, abs(case.bundle.version)) > LARGEST_NUMBER:
        raise LinkError(f"case {case.case_id} has a number over {LARGEST_NUMBER}: refused")
    names = (case.boot_id, case.serial or "", case.inspector or "")
    if any("\0" in text for text in names):
        raise LinkError(f"case {case.case_id} has a zero character, which not every database holds: refused")
    longest = max(map(len, names))
    if longest > LONGEST_NAME:
        raise LinkError(f"case {case.case_id} has a name of {longest} letters, limit {LONGEST_NAME}: refused")
    if not (0 < case.sampled.probability <= 1 and (case.score is None or 0 <= case.score <= 1)):
        raise LinkError(f"case {case.case_id} has a score or a probability that is none: refused")
    if case.profile_sha256 is not None and not re.fullmatch(SHA256, case.profile_sha256):
        raise LinkError(f"case {case.case_id} names a station profile that is no hash: refused")


def _second_word(case: Case) -> dict[str, object] | None:
    word = case.challenger
    if word is None:
        return None
    if not re.fullmatch(SHA256, word.bundle.sha256):
        raise LinkError(f"case {case.case_id} names a challenger that is no hash: refused")
    if "\0" in word.reason:
        raise LinkError(f"case {case.case_id} has a zero character, which not every database holds: refused")
    return {
        "case_id": case.case_id,
        "bundle_sha256": word.bundle.sha256,
        "verdict": word.verdict,
        "due_verdict": word.due.verdict if word.due else None,
        "score": word.score,
        "reason": word.reason,
    }
