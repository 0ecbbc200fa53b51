"""Sending cases to training: an explicit act, kept with who did it and why. Test data is never moved by it (`draw`)."""

from collections.abc import Sequence

import sqlalchemy as sa

from cloud_sync import audit_log, standing
from cloud_sync.draw import unit_of
from cloud_sync.tables import cases, sent


def send(connection: sa.Connection, case_ids: Sequence[str], reason: str, *, who: str, now: float) -> tuple[int, int]:
    """(newly sent, not sent as their units are test data); the caller commits. The draw takes them from then on."""
    audit_log.take_turn(connection)
    chosen = sa.select(cases.c.site, cases.c.serial, cases.c.case_id).where(cases.c.case_id.in_(case_ids))
    held = connection.execute(chosen).all()
    known = [row.case_id for row in held]
    before = set(connection.scalars(sa.select(sent.c.case_id).where(sent.c.case_id.in_(known))))
    released = standing.released_units(connection, standing.released_splits(connection))
    tests = {row.case_id for row in held if "test" in released.get(unit_of(*row), ())}
    new = [key for key in known if key not in before and key not in tests]
    if new:
        rows = [{"case_id": key, "sent_by": who, "reason": reason[:200], "sent_at": now} for key in new]
        connection.execute(sa.insert(sent), rows)
        about = f"{reason[:200]}: {len(new)} cases: {' '.join(new[:20])}{' …' if len(new) > 20 else ''}"
        audit_log.note(connection, who=who, did="sent_to_training", about=about, now=now)
    return len(new), len(tests)
