"""Judged cases of a station with a settled truth -> its reference cases, signed: what every bundle is tried on there.

They are chosen here, apart from any training, from gold and from what several experts agree on; the latest first.
"""

import argparse
import sys
from pathlib import Path

import msgspec
import sqlalchemy as sa

from cloud_sync import audit_log, db, signing
from cloud_sync import config as cloud_config
from cloud_sync.config import CloudConfig
from cloud_sync.gold_cases import SETTLED, TRUTHS
from cloud_sync.signed_state import Books
from cloud_sync.store import ClipStore, open_store
from cloud_sync.tables import cases, clips, gold, truths
from edge_agent import clips as clip_files
from edge_agent.errors import ConfigError, StoreError
from edge_agent.offered import REFERENCES, clip_name, station_target
from edge_agent.references import LARGEST_CLIP, LEAST_RIGHT, MOST_CASES, ReferenceCase, References
from edge_agent.wire import sha256_of

LEAST_EACH = 2
"""Leaks, and good units: one of each would let a bundle through by chance."""
MOST_EACH = 10
"""Of each kind, unless more are asked for: a trial stays under a minute."""
Place = tuple[str, str]


def references(argv: list[str]) -> int:
    """`tankwatch cloud references SITE/STATION --config cloud.toml`"""
    options = _parser().parse_args(argv)
    site, _, station = options.place.partition("/")
    config = cloud_config.load(options.config)
    engine, store = db.open_database(config), open_store(config)
    try:
        with engine.begin() as connection:
            listed, files = chosen(connection, store, (site, station), options.each)
            listed = msgspec.structs.replace(listed, least_right=options.least_right)
            changed = sign(config, listed, files)
            if changed:
                about = f"{options.place}: {len(listed.cases)} cases"
                audit_log.take_turn(connection)
                audit_log.note(connection, who="command line", did="references_signed", about=about, now=db.now())
    finally:
        engine.dispose()
    leaks = sum(case.truth == "leak" for case in listed.cases)
    words = "are signed" if changed else "were signed already"
    print(f"{leaks} leaks and {len(listed.cases) - leaks} good units of {options.place} {words}", file=sys.stderr)
    return 0


def chosen(
    connection: sa.Connection, store: ClipStore, place: Place, each: int = MOST_EACH
) -> tuple[References, dict[str, bytes]]:
    """The record, and clips by their hash. Raises ConfigError where too few cases are settled."""
    found: dict[str, list[ReferenceCase]] = {truth: [] for truth in TRUTHS}
    data: dict[str, bytes] = {}
    for row in connection.execute(_settled(place)):
        truth = row.gold_truth or row.judgement
        if len(found[truth]) < each and row.clip_sha256 not in data and (clip := _usable(store, row.clip_sha256)):
            data[row.clip_sha256] = clip
            found[truth].append(ReferenceCase(case_id=row.case_id, sha256=row.clip_sha256, truth=truth))
    few = [f"{len(found[truth])} of {truth}" for truth in TRUTHS if len(found[truth]) < LEAST_EACH]
    if few:
        raise ConfigError(
            f"{'/'.join(place)} has {' and '.join(few)} with a settled truth and a whole clip, limit {LEAST_EACH} of "
            "each: let a second expert judge cases of this station, or make them gold"
        )
    listed = tuple(case for truth in TRUTHS for case in sorted(found[truth], key=lambda one: one.case_id))
    return References(site=place[0], station=place[1], cases=listed), data


def sign(config: CloudConfig, listed: References, files: dict[str, bytes]) -> bool:
    """The station's list and clips are offered, and no older clips. False where nothing changes."""
    place = listed.site, listed.station
    targets = {station_target(*place, clip_name(sha256)): data for sha256, data in files.items()}
    targets[station_target(*place, REFERENCES)] = msgspec.json.encode(listed)
    mine = station_target(*place, "x.twclip").rsplit("/", 1)[0]
    offered = Books.load(config).targets()
    old = frozenset(path for path in offered if path.startswith(f"{mine}/") and path.endswith(".twclip"))
    return signing.put(config, targets, db.now(), drop=old - targets.keys())


def _settled(place: Place) -> sa.Select:
    """Active gold first, then what experts agree on, the latest first."""
    known = sa.and_(gold.c.case_id == cases.c.case_id, gold.c.retired_at.is_(None))
    settled = sa.and_(truths.c.case_id == cases.c.case_id, truths.c.state.in_(SETTLED), truths.c.judgement.in_(TRUTHS))
    return (
        sa.select(cases.c.case_id, cases.c.clip_sha256, gold.c.truth.label("gold_truth"), truths.c.judgement)
        .join(clips, sa.and_(clips.c.sha256 == cases.c.clip_sha256, clips.c.state == "stored"))
        .outerjoin(gold, known)
        .outerjoin(truths, settled)
        .where(cases.c.site == place[0], cases.c.station == place[1])
        .where(sa.or_(gold.c.truth.isnot(None), truths.c.judgement.isnot(None)))
        .order_by(gold.c.truth.is_(None), cases.c.started_at.desc(), cases.c.case_id)
        .limit(50 * MOST_CASES)
    )


def _usable(store: ClipStore, sha256: str) -> bytes | None:
    """A whole clip of a unit that was watched at rest; None otherwise, for nothing can be tried on it."""
    try:
        data = store.clip(sha256).read_bytes()
        clip = clip_files.read(data)
        clip.taken_s()
    except (StoreError, OSError):
        return None
    seen = clip.whole and clip.watch.settled_s is not None and not clip.watch.not_tested
    return data if seen and len(data) <= LARGEST_CLIP and sha256_of(data) == sha256 else None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tankwatch cloud references", description=__doc__.splitlines()[0])
    parser.add_argument("place", metavar="SITE/STATION")
    parser.add_argument("--config", type=Path, required=True, metavar="FILE", help="cloud.toml")
    parser.add_argument("--each", type=int, default=MOST_EACH, metavar="N", help=f"of each kind, default {MOST_EACH}")
    words = f"share of them that a bundle has to judge right, default {LEAST_RIGHT}"
    parser.add_argument("--least-right", type=float, default=LEAST_RIGHT, metavar="SHARE", help=words)
    return parser
