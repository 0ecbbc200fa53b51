"""Bugs of delivery, each as somebody might write it: what `delivery_machine` has to find, one by one.

Each is put into the real code with pytest's monkeypatch; the product has no switches for it.
"""

import contextlib
import sqlite3
from collections.abc import Callable

import msgspec

from cloud_sync import gaps, ingest, intake
from cloud_sync.clip_parts import ClipParts
from cloud_sync.partial_clips import PartialClips
from edge_agent import deliveries, outbox_table, wire
from edge_agent.deliveries import Deliveries
from edge_agent.errors import LinkError
from edge_agent.messages import Receipt
from edge_agent.outbox import Outbox, PendingCases
from edge_agent.records import Case
from edge_agent.spool import Spool
from edge_agent.uplink_state import Acknowledged, UplinkState

BUGS: dict[str, Callable] = {}


def bug(words: str) -> Callable:
    def note(plant: Callable) -> Callable:
        BUGS[words] = plant
        return plant

    return note


@bug("a receipt counts whatever bytes it names")
def _(patch):
    def receipted(rows, cases, clip_hashes, now):
        for case_id, _ in cases:
            rows.execute("UPDATE cases SET receipted_at = ? WHERE case_id = ?", (now, case_id))
        return REAL_RECEIPTED(rows, (), clip_hashes, now)

    patch.setattr(outbox_table, "receipted", receipted)


@bug("the broker's acknowledgement counts as the cloud's receipt")
def _(patch):
    take = UplinkState._take

    def believing(self, event, now):
        take(self, event, now)
        if isinstance(event, Acknowledged) and self.deliveries._cases:
            case, _ = next(iter(self.deliveries._cases.values()))
            self._outbox.receipted([(case.case_id, case.sha256)])

    patch.setattr(UplinkState, "_take", believing)


@bug("a case is sent once")
def _(patch):
    patch.setattr(deliveries, "FIRST_RETRY_S", float("inf"))


@bug("a receipt is noted in memory and not in the outbox")
def _(patch):
    receipt = Deliveries.receipt

    def forgetful(self, told):
        for case_id, _ in told.cases:
            self._cases.pop(case_id, None)
        return receipt(self, msgspec.structs.replace(told, cases=()))

    patch.setattr(Deliveries, "receipt", forgetful)


@bug("every waiting case goes out at once")
def _(patch):
    patch.setattr(Deliveries, "next", lambda self, now_s, _budget: self._next_cases(now_s, 10_000))


@bug("the case is written to the database alone, and not to the spool")
def _(patch):
    keep = Spool.keep_case

    def volatile(self, case):
        stored = keep(self, case)
        self.case_path(case.case_id).unlink()
        return stored

    patch.setattr(Spool, "keep_case", volatile)


@bug("a case that is put twice is another case")
def _(patch):
    patch.setattr(Spool, "case", lambda *_: None)


@bug("numbers begin again when the database is made anew")
def _(patch):
    patch.setattr(outbox_table, "last_sequence", lambda _: 0)


@bug("a number is spent on a case that the disk refuses")
def _(patch):
    put = Outbox.put

    def spending(self, case, clip=None):
        before = self._sequence
        try:
            return put(self, case, clip)
        finally:
            self._sequence = max(self._sequence, before + 1)

    patch.setattr(Outbox, "put", spending)


@bug("what only the spool knows is not taken into a new database")
def _(patch):
    patch.setattr(Outbox, "_rebuild", lambda _: None)


@bug("a case that the disk refuses is dropped")
def _(patch):
    retry = PendingCases.retry

    def dropping(self):
        done = retry(self)
        self._waiting.clear()
        return done

    patch.setattr(PendingCases, "retry", dropping)


@bug("retention removes what has no receipt yet")
def _(patch):
    def expired(rows, before_s):
        old = rows.execute("SELECT case_id FROM cases WHERE put_at < ?", (before_s + 1_796_000_000.0,)).fetchall()
        return REAL_EXPIRED(rows, before_s) + [(case_id, None) for (case_id,) in old]

    patch.setattr(outbox_table, "expired", expired)


@bug("retention removes the newest record too")
def _(patch):
    def expired(rows, before_s):
        return rows.execute("SELECT case_id, NULL FROM ages WHERE seen_s < ?", (before_s,)).fetchall()

    patch.setattr(outbox_table, "expired", expired)


@bug("what is asked for again goes without its clip")
def _(patch):
    def send_again(rows: sqlite3.Connection, since, case_id):
        wanted = "SELECT case_id FROM cases WHERE case_id = ?1 OR ended_at >= ?2"
        return rows.execute(
            f"UPDATE cases SET receipted_at = NULL WHERE case_id IN ({wanted})", (case_id, since)
        ).rowcount

    patch.setattr(outbox_table, "send_again", send_again)


@bug("a clip of several parts goes out without its last one")
def _(patch):
    part = Deliveries._next_part

    def short(self, now_s):
        run = self._run
        if run and run.asking_until_s is None and run.parts > 1 and run.next_part == run.parts - 1:
            self._run = None
            return None
        return part(self, now_s)

    patch.setattr(Deliveries, "_next_part", short)


@bug("after a connection has broken, all that was sent counts as arrived")
def _(patch):
    def believing(self, _now_s):
        self.outbox.receipted([(case.case_id, case.sha256) for case, _ in self._cases.values()])

    patch.setattr(Deliveries, "reconnected", believing)


@bug("parts are put together as they come, and nobody compares the hash")
def _(patch):
    def taken(self, row, message, now):
        self._store.parts.write(row.sha256, self._store.parts.size(row.sha256), message.data)
        row = msgspec.structs.replace(row, next_part=row.next_part + 1)
        if row.next_part < row.parts:
            return row, None
        self._store.finish(row.sha256)
        return msgspec.structs.replace(row, state="stored", stored_at=now), None

    patch.setattr(ClipParts, "_part", taken)
    patch.setattr(PartialClips, "whole", lambda self, sha256: self.path(sha256))


@bug("receipts go out before the commit")
def _(patch):
    take = ingest.Listener._take

    def hasty(self, batch):
        for message in batch:
            with contextlib.suppress(LinkError):
                case = wire.decode(message.payload, Case)
                receipt = Receipt(cases=((case.case_id, wire.sha256_of(message.payload)),))
                self._client.publish(wire.Topics(case.site, case.station).receipt, wire.encode(receipt), qos=1)
        take(self, batch)

    patch.setattr(ingest.Listener, "_take", hasty)


@bug("a case is wanted in the queue twice")
def _(patch):
    def twice(connection, rows, now):
        REAL_WANT(connection, rows, now)
        REAL_WANT(connection, rows, now)

    patch.setattr(intake.looks, "want_first", twice)


@bug("what nobody understands is thrown away in silence")
def _(patch):
    patch.setattr(intake.dead_letters, "bury", lambda *_: None)


@bug("a gap that is filled stays open")
def _(patch):
    patch.setattr(gaps, "_close", lambda *_: None)


@bug("a clip counts as held when its first part is there")
def _(patch):
    def hopeful(self, row, message, now):
        row, reason = REAL_PART(self, row, message, now)
        return msgspec.structs.replace(row, state="stored", stored_at=now), reason

    patch.setattr(ClipParts, "_part", hopeful)


REAL_RECEIPTED, REAL_EXPIRED, REAL_PART = outbox_table.receipted, outbox_table.expired, ClipParts._part
REAL_WANT = intake.looks.want_first
