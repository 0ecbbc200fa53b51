"""A case message's bytes -> its row in the database, checked once; the bytes themselves are kept as they came."""

import re
from datetime import UTC, datetime

from cloud_sync import case_groups
from edge_agent import wire
from edge_agent.errors import LinkError
from edge_agent.messages import SHA256
from edge_agent.records import Case

LARGEST_NUMBER = 2**31 - 1
"""Of an integer column on every database."""


def case_row(topic: wire.Topic, payload: bytes, now: float) -> dict[str, object]:
    """Raises LinkError where the payload is no case, or one of another station."""
    case = wire.decode(payload, Case)
    if (case.site, case.station) != (topic.site, topic.station):
        raise LinkError(
            f"case of {case.site}/{case.station} came on the topic of {topic.site}/{topic.station}: refused"
        )
    if max(case.sequence, abs(case.bundle.version)) > LARGEST_NUMBER:
        raise LinkError(f"case {case.case_id} has a number over {LARGEST_NUMBER}: refused")
    if any("\0" in text for text in (case.boot_id, case.serial or "", case.inspector or "")):
        raise LinkError(f"case {case.case_id} has a zero character, which not every database holds: refused")
    if case.profile_sha256 is not None and not re.fullmatch(SHA256, case.profile_sha256):
        raise LinkError(f"case {case.case_id} names a station profile that is no hash: refused")
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


def utc_seconds(text: str) -> float:
    """ISO 8601 -> seconds since 1970; a time without a zone is UTC. Raises LinkError."""
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError) as error:
        raise LinkError(f"{text[:40]!r} is no ISO 8601 time: refused") from error
