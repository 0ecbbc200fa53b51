"""What /api/v1 answers about datasets, models, stations and the audit log."""

from collections.abc import Sequence

import msgspec
import sqlalchemy as sa
from msgspec import UNSET

from cloud_sync import audit_log, dataset, registry
from cloud_sync.api_cases import moment
from cloud_sync.api_records import (
    AuditEnd,
    DatasetPage,
    DatasetView,
    Models,
    ModelView,
    PublishedHead,
    Stations,
    StationView,
    cursor_of,
    place_of,
)
from cloud_sync.api_request import Asked, Refused
from cloud_sync.tables import audit_heads, datasets, members, stations
from edge_agent.messages import Status

NO_DATASET = "There is no such dataset."


def dataset_page(asked: Asked) -> DatasetPage:
    query = _datasets().order_by(datasets.c.id.desc()).limit(asked.query.limit + 1)
    if asked.query.cursor is not UNSET:
        query = query.where(datasets.c.id < _place(asked.query.cursor))
    with asked.engine.connect() as connection:
        rows = connection.execute(query).all()
        found, more = rows[: asked.query.limit], len(rows) > asked.query.limit
        return DatasetPage(_views(connection, found), cursor_of(found[-1].id) if more else None)


def dataset_one(asked: Asked) -> DatasetView:
    this = (datasets.c.name == asked.path.name) & (datasets.c.version == asked.path.version)
    with asked.engine.connect() as connection:
        rows = connection.execute(_datasets().where(this)).all()
        if not rows:
            raise Refused(404, "not_found", NO_DATASET)
        return _views(connection, rows)[0]


def manifest(asked: Asked) -> bytes:
    """The manifest's very bytes, whose hash is the dataset's."""
    found = dataset.manifest_of(asked.engine, asked.path.name, asked.path.version)
    if found is None:
        raise Refused(404, "not_found", NO_DATASET)
    return found


def station_list(asked: Asked) -> Stations:
    query = sa.select(stations).order_by(stations.c.site, stations.c.station)
    with asked.engine.connect() as connection:
        return Stations([_station(row) for row in connection.execute(query)])


def model_list(asked: Asked) -> Models:
    with asked.engine.connect() as connection:
        return Models([_model(one) for one in registry.all_bundles(connection)])


def audit_end(asked: Asked) -> AuditEnd:
    last = sa.select(audit_heads).order_by(audit_heads.c.id.desc()).limit(1)
    with asked.engine.connect() as connection:
        end, row = audit_log.end(connection), connection.execute(last).first()
    published = PublishedHead(moment(row.at), row.last_id, row.hash) if row else None
    return AuditEnd(end.last_id, end.hash, published)


def _datasets() -> sa.Select:
    """Without the manifests, which are large."""
    names = ("id", "name", "version", "sha256", "created_at", "policy_sha256")
    return sa.select(*(datasets.c[name] for name in names))


def _views(connection: sa.Connection, rows: Sequence[sa.Row]) -> list[DatasetView]:
    counted = (
        sa.select(members.c.dataset_id, members.c.split, sa.func.count().label("number"))
        .where(members.c.dataset_id.in_([row.id for row in rows]))
        .group_by(members.c.dataset_id, members.c.split)
    )
    counts: dict[int, dict[str, int]] = {}
    for row in connection.execute(counted):
        counts.setdefault(row.dataset_id, {})[row.split] = row.number
    return [
        DatasetView(
            row.name, row.version, row.sha256, moment(row.created_at), row.policy_sha256, counts.get(row.id, {})
        )
        for row in rows
    ]


def _station(row: sa.Row) -> StationView:
    said = msgspec.json.decode(row.status, type=Status) if row.status else None
    return StationView(
        site=row.site,
        station=row.station,
        seen_at=moment(row.seen_at),
        status=said.status if said else "unknown",
        mode=said.mode if said else None,
        bundle_version=said.bundle.version if said and said.bundle else None,
    )


def _model(one: registry.Known) -> ModelView:
    return ModelView(
        sha256=one.sha256,
        version=one.version,
        scope=one.scope,
        state=one.state,
        parent_sha256=one.parent_sha256,
        dataset_sha256=one.dataset_sha256,
        run=one.run_id,
        added_at=moment(one.added_at),
    )


def _place(cursor: str) -> int:
    try:
        (number,) = place_of(cursor, tuple[int])
    except ValueError as error:
        raise Refused(400, "bad_cursor", "This cursor is none of ours: use `next` of the page before.") from error
    return min(max(number, 0), 2**31 - 1)
