"""Every way to answer a search finds what reading all cases would find, page by page both ways, and counts right."""

import random

import msgspec
import pytest
import sqlalchemy as sa
from cloud_fakes import BEGIN, a_case, case_message
from cloud_kinds import KINDS, maker, opened

from cloud_sync import answers, case_groups, search_terms
from cloud_sync.answers import Way
from cloud_sync.intake import Intake
from cloud_sync.search import Place, Search
from cloud_sync.tables import case_groups as groups_table
from cloud_sync.tables import cases, tags, truths
from edge_agent.records import BundleRef, Sampled, WaterSummary

NUMBER = 400
SEARCHES = (
    Search(),
    Search(station="TANK2"),
    Search(station="TANK1", result="passed", bundle="7", clarity_below=0.6),
    Search(verdict="leak", decision="ok"),
    Search(outcome="not_tested", sampled="not_tested"),
    Search(result="failed"),
    Search(result="open"),
    Search(bundle="bbbbbbb"),
    Search(clarity_above=0.7, clarity_below=0.8),
    Search(score_from=0.4, score_to=0.9),
    Search(usable_below=3.0, verdict="ok"),
    Search(smallest_leak_above=8e-4),
    Search(serial="SN-1"),
    Search(case="TANK1-a1b2c3-00001"),
    Search(tag="odd"),
    Search(truth="leak"),
    Search(truth="none", station="TANK1"),
    Search(truth="conflict"),
    Search(truth="ok", result="passed", score_to=0.9),
    Search(known=BEGIN + 1000),
    Search(site="elsewhere"),
)
HOUR = {"since": BEGIN + 3600, "until": BEGIN + 2 * 3600}


@pytest.fixture(scope="module", params=KINDS)
def held(request: pytest.FixtureRequest, tmp_path_factory) -> sa.Engine:
    """400 cases of two stations over some hours, several in the same second."""
    rng = random.Random(5)
    engine, store = opened(maker(request, request.param)(tmp_path_factory.mktemp("held")))
    intake = Intake(engine, store, max_clip_bytes=1000)
    for number in range(1, NUMBER + 1):
        intake.handle([case_message(_made(number, rng))], BEGIN + 10 * number)
    with engine.begin() as connection:
        ids = list(connection.scalars(sa.select(cases.c.case_id).order_by(cases.c.case_id)))
        for place, case_id in enumerate(ids[::7]):
            word = [("leak", "single"), (None, "conflict"), ("ok", "agreed")][place % 3]
            began = sa.select(cases.c.started_at).where(cases.c.case_id == case_id).scalar_subquery()
            about = {"judgement": word[0], "state": word[1], "review_id": 1, "at": 1.0, "started_at": began}
            connection.execute(sa.insert(truths).values(case_id=case_id, **about))
        for case_id in ids[::50]:
            connection.execute(sa.insert(tags).values(case_id=case_id, tag="odd", added_by="q", added_at=1.0))
    return engine


@pytest.fixture(params=["as shipped", "few are few", "looks through little"])
def limits(request, monkeypatch) -> str:
    """Each way is taken, whatever 400 cases would suggest."""
    settings = {
        "few are few": {"FEW": 20},
        "looks through little": {"FEW": 0, "BUDGET": 37},
    }
    for name, value in settings.get(request.param, {}).items():
        monkeypatch.setattr(answers, name, value)
    return request.param


@pytest.mark.parametrize("search", SEARCHES, ids=repr)
@pytest.mark.parametrize("hour", [{}, HOUR], ids=["any time", "one hour"])
def test_pages_hold_what_reading_everything_would_find(held, limits, search, hour) -> None:
    search = msgspec.structs.replace(search, **hour)
    with held.connect() as connection:
        expected = _read_all(connection, search)
        way = answers.way(connection, search)
        assert _walk(connection, search, way, None) == expected
        back = _walk(connection, search, way, Place(0.0, "", newer=True))
        assert back == expected[::-1]
        assert [key for piece in answers.every(connection, search, limit=NUMBER) for key in piece] == back
        number = answers.count(connection, search, way)
        assert number in (len(expected), None)
        assert number is not None or not hour, "a bounded time is counted exactly"


def test_a_page_leads_back_to_where_it_came_from(held) -> None:
    with held.connect() as connection:
        way = answers.way(connection, Search())
        first = answers.page(connection, Search(), way, size=50)
        second = answers.page(connection, Search(), way, first.older, size=50)
        assert first.newer is None and second.newer is not None
        assert answers.page(connection, Search(), way, second.newer, size=50).keys == first.keys


def test_a_search_that_breaks_off_says_so_and_goes_on_from_there(held, monkeypatch) -> None:
    monkeypatch.setattr(answers, "FEW", 0)
    monkeypatch.setattr(answers, "BUDGET", 100)
    search = Search(usable_below=0.0)
    with held.connect() as connection:
        page = answers.page(connection, search, Way())
        assert page.keys == () and page.looked_to is not None and page.older is not None
        assert answers.count(connection, search, Way()) is None


def test_counters_of_groups_add_up_to_the_cases_held(held) -> None:
    with held.connect() as connection:
        assert connection.scalar(sa.select(sa.func.sum(groups_table.c.cases))) == NUMBER
        rows = connection.execute(sa.select(cases)).mappings()
        assert all(row["group_id"] == case_groups.group_id(row) for row in rows)


def test_result_says_the_same_in_the_database_and_in_python(held) -> None:
    for word in ("passed", "failed", "open"):
        with held.connect() as connection:
            found = set(connection.scalars(sa.select(cases.c.case_id).where(search_terms._result(word, cases.c))))
            rows = connection.execute(sa.select(cases)).all()
        assert found == {row.case_id for row in rows if search_terms.result_of(row) == word} and found


def _walk(connection: sa.Connection, search: Search, way: Way, place: Place | None) -> list[answers.Key]:
    found: list[answers.Key] = []
    newer = place is not None and place.newer
    for _ in range(NUMBER):
        page = answers.page(connection, search, way, place, size=9)
        found.extend(reversed(page.keys) if newer else page.keys)
        place = page.newer if newer else page.older
        if place is None:
            return found
    raise AssertionError("pages without end")


def _read_all(connection: sa.Connection, search: Search) -> list[answers.Key]:
    rows = connection.execute(sa.select(cases)).all()
    said = {row.case_id: row for row in connection.execute(sa.select(truths))}
    tagged = set(connection.scalars(sa.select(tags.c.case_id)))
    fitting = [row for row in rows if _fits(search, row, said.get(row.case_id), row.case_id in tagged)]
    return sorted(((row.started_at, row.case_id) for row in fitting), reverse=True)


def _fits(search: Search, row: sa.Row, truth: sa.Row | None, tagged: bool) -> bool:
    said = "none" if truth is None else "conflict" if truth.state == "conflict" else truth.judgement
    version = search.bundle if len(search.bundle) < 7 else ""
    return all(
        (
            search.site in ("", row.site),
            search.station in ("", row.station),
            search.since is None or row.started_at >= search.since,
            search.until is None or row.started_at < search.until,
            search.result in (None, search_terms.result_of(row)),
            search.verdict in (None, row.verdict),
            search.decision in (None, row.decision),
            search.outcome in (None, row.outcome),
            search.sampled in (None, row.sampled_for),
            search.truth in (None, said),
            not version or row.bundle_version == int(version),
            bool(version) or row.bundle_sha256.startswith(search.bundle),
            search.clarity_below is None or (row.clarity is not None and row.clarity < search.clarity_below),
            search.clarity_above is None or (row.clarity is not None and row.clarity > search.clarity_above),
            search.score_from is None or (row.score is not None and row.score >= search.score_from),
            search.score_to is None or (row.score is not None and row.score <= search.score_to),
            search.usable_below is None or row.usable_s < search.usable_below,
            search.smallest_leak_above is None or row.smallest_leak_std_cm3_s > search.smallest_leak_above,
            (row.serial or "").startswith(search.serial),
            row.case_id.startswith(search.case),
            not search.tag or tagged,
            search.known is None or row.received_at <= search.known,
        )
    )


def _made(number: int, rng: random.Random):
    verdict = rng.choice(["ok", "ok", "ok", "leak", "uncertain", "not_tested"])
    decision = rng.choice(["ok", "ok", "ok", "leak", "none"])
    clarity = rng.choice([None, round(rng.random(), 2), 0.6, 0.7, 0.95])
    case = a_case(
        number // 3,  # three in the same second
        verdict=verdict,
        decision=decision,
        case_id=f"TANK{number % 2 + 1}-a1b2c3-{number:06d}",
        station=f"TANK{number % 2 + 1}",
        decided_by=rng.choice(["human", "human", "machine", "none"]),
        score=None if verdict == "not_tested" else rng.random(),
        water=WaterSummary("unknown" if clarity is None else "clear", clarity),
        usable_s=10 * rng.random(),
        smallest_leak_std_cm3_s=1e-3 * rng.random(),
        serial=rng.choice([None, f"SN-{number}", f"sn-{number}"]),
        bundle=BundleRef(7, "a" * 64) if rng.random() < 0.3 else BundleRef(3, "b" * 64),
        sampled=Sampled(rng.choice(["none", "audit", "not_tested"]), 0.1),
    )
    return msgspec.structs.replace(case, sequence=number)
