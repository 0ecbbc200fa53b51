"""Questions about one dataset's examples: filters from a form -> rows, page by page without counting."""

from collections.abc import Mapping, Sequence

import msgspec
import sqlalchemy as sa

from cloud_sync.tables import cases, datasets, examples, members, reviews, tags

PAGE = 50
FAMILIAR = {"yes": True, "no": False}


class Filter(msgspec.Struct, frozen=True):
    """What is asked for; an empty text asks for nothing."""

    split: str = ""
    label: str = ""
    verdict: str = ""
    station: str = ""
    """site/station"""
    kind: str = ""
    familiar: str = ""
    """yes, no"""
    tag: str = ""
    after: str = ""
    """The last case id of the page before."""

    @property
    def asked(self) -> dict[str, str]:
        """For a link to the next page."""
        return {name: value for name, value in msgspec.structs.asdict(self).items() if value and name != "after"}


def asked(form: Mapping[str, str]) -> Filter:
    return Filter(**{name: form.get(name, "").strip() for name in Filter.__struct_fields__})


def find(connection: sa.Connection, name: str, version: int, wanted: Filter) -> Sequence[sa.Row]:
    """By case id; one more than PAGE where there are more."""
    query = (
        sa.select(
            members.c.split,
            examples.c.case_id,
            examples.c.label,
            cases.c.site,
            cases.c.station,
            cases.c.verdict,
            cases.c.started_at,
            reviews.c.seen,
            reviews.c.familiar,
            reviews.c.reviewer,
            reviews.c.at,
        )
        .join(datasets, datasets.c.id == members.c.dataset_id)
        .join(examples, examples.c.id == members.c.example_id)
        .join(reviews, reviews.c.id == examples.c.review_id)
        .join(cases, cases.c.case_id == examples.c.case_id)
        .where(datasets.c.name == name, datasets.c.version == version, examples.c.case_id > wanted.after)
        .where(*_conditions(wanted))
        .order_by(examples.c.case_id)
        .limit(PAGE + 1)
    )
    return connection.execute(query).all()


def _conditions(wanted: Filter) -> list[sa.ColumnElement[bool]]:
    columns = {
        "split": members.c.split,
        "label": examples.c.label,
        "verdict": cases.c.verdict,
        "station": cases.c.site + "/" + cases.c.station,
        "kind": reviews.c.seen,
    }
    found = [column == value for name, column in columns.items() if (value := getattr(wanted, name))]
    if wanted.familiar in FAMILIAR:
        found.append(reviews.c.familiar.is_(FAMILIAR[wanted.familiar]))
    if wanted.tag:
        tagged = sa.select(tags.c.case_id).where(tags.c.tag == wanted.tag, tags.c.removed_at.is_(None))
        found.append(examples.c.case_id.in_(tagged))
    return found
