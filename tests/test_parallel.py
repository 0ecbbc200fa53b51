"""Parallel runs in the database and on their pages: begun, fed by cases and judgements, decided once, or stopped."""

from datetime import UTC, datetime

import msgspec
import pytest
import sqlalchemy as sa
from cloud_fakes import a_case, case_message
from desk_site import Site

from cloud_sync import db, desire, parallel, registry
from cloud_sync.dead_letters import Message
from cloud_sync.intake import Intake
from cloud_sync.parallel import Beside, Run
from cloud_sync.policy import Promotion
from cloud_sync.tables import audit, bundles, cases, parallel_runs, second_words, truths
from edge_agent import wire
from edge_agent.errors import ConfigError
from edge_agent.messages import Status
from edge_agent.records import BundleRef, ChallengerVerdict, DueWord, Sampled

DAY_S = 86_400
NOW = 1_795_000_000.0
CHAMPION, CHALLENGER, OTHER = "b" * 64, "d" * 64, "e" * 64
PLACE = ("plant", "TANK1")
WISH = Beside((PLACE,), CHAMPION, CHALLENGER)
RULES = Promotion(fewest_days=10, longest_days=60, false_alarm_margin=0.05)


@pytest.fixture
def plant(site: Site) -> "Plant":
    return Plant(site)


class Plant:
    """A site whose registry has a champion and two candidates, with one station."""

    def __init__(self, site: Site) -> None:
        self.site, self.engine = site, site.engine
        self._number = 0
        states = {CHAMPION: "champion", CHALLENGER: "candidate", OTHER: "candidate"}
        with self.engine.begin() as connection:
            for version, (sha256, state) in enumerate(states.items(), 3):
                row = {"sha256": sha256, "version": version, "name": "bubbles", "scope": "general", "state": state}
                row |= {"manifest": b"{}", "added_by": "ada", "added_at": 1.0}
                connection.execute(sa.insert(bundles).values(row))
        said = Status(status="online", software="1", since="2026-11-20T14:00:00Z", bundle=BundleRef(3, CHAMPION))
        site.intake.handle([Message(wire.Topics(*PLACE).status, wire.encode(said))], NOW)

    def start(self, wish: Beside = WISH, *, at: float = NOW, rules: Promotion = RULES) -> Run:
        with self.engine.begin() as connection:
            return parallel.find(connection, parallel.start(connection, wish, rules, who="quinn", now=at))

    def units(self, number: int, words: tuple[str, str], *, at: float, truth: str | None = None, **about) -> None:
        """So many units of a moment, judged alike."""
        messages, ids = [], []
        for _ in range(number):
            self._number += 1
            second = ChallengerVerdict(BundleRef(4, CHALLENGER), words[1], 0.5, "why")
            case = a_case(self._number, verdict=words[0], **{"decision": "ok", "challenger": second} | about)
            case = msgspec.structs.replace(case, started_at=_iso(at))
            messages.append(case_message(case))
            ids.append(case.case_id)
        Intake(self.engine, self.site.store, max_clip_bytes=1000).handle(messages, at)
        if truth:
            rows = [{"case_id": case_id, "judgement": truth, "state": "agreed", "at": at} for case_id in ids]
            with self.engine.begin() as connection:
                connection.execute(sa.insert(truths), rows)

    def a_good_day(self, day: int) -> None:
        """Far more leaks and differences than at a real station, so that a few days decide."""
        at = NOW + DAY_S * day + 60
        drawn = {"decision": "leak", "sampled": Sampled("audit", 0.5)}
        self.units(20, ("leak", "leak"), at=at, truth="leak", **drawn)
        self.units(8, ("ok", "leak"), at=at, truth="leak")
        self.units(30, ("uncertain", "ok"), at=at, truth="ok")
        self.units(40, ("ok", "ok"), at=at)

    def decide(self, day: float) -> list[Run]:
        with self.engine.begin() as connection:
            return parallel.decide(connection, NOW + DAY_S * day)

    def state(self, sha256: str) -> str:
        with self.engine.connect() as connection:
            known = registry.find(connection, sha256)
        assert known is not None
        return known.state

    def asked(self):
        with self.engine.connect() as connection:
            return desire.wanted(connection, PLACE)


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()


def test_a_run_asks_the_station_for_challenger_and_audits_and_says_so(plant: Plant) -> None:
    run = plant.start()
    assert (run.state, run.places, run.alpha) == ("running", (PLACE,), pytest.approx(0.005))
    assert plant.asked().challenger == BundleRef(4, CHALLENGER)
    assert [(wish.verdict, wish.probability) for wish in plant.asked().sampling] == [("leak", 0.5)]
    assert plant.state(CHALLENGER) == "challenger"
    with plant.engine.connect() as connection:
        assert "parallel_started" in connection.scalars(sa.select(audit.c.did)).all()


@pytest.mark.parametrize(
    ("wish", "fault"),
    [
        (WISH, "at plant/TANK1 run 1 is under way"),
        (Beside((), CHAMPION, CHALLENGER), "no station is named"),
        (Beside((PLACE, PLACE), CHAMPION, OTHER), "or one of them twice"),
        (Beside((PLACE,), CHAMPION, CHAMPION), "the same bundle"),
        (Beside((PLACE,), CHAMPION, "0" * 64), "there is no bundle 000000000000"),
        (Beside((("plant", "TANK2"),), CHAMPION, OTHER), "at plant/TANK2 that champion does not speak"),
    ],
)
def test_what_cannot_run_is_refused_with_its_cure(plant: Plant, wish: Beside, fault: str) -> None:
    plant.start()
    with pytest.raises(ConfigError, match=fault):
        plant.start(wish)


def test_second_words_are_kept_once_and_only_where_there_are_any(plant: Plant) -> None:
    due = DueWord("ok", 0.1, 4.0)
    said = ChallengerVerdict(BundleRef(4, CHALLENGER), "uncertain", None, "between the limits", due)
    said_of_it = ("uncertain", "ok", None, "between the limits")
    message = case_message(a_case(1, challenger=said))
    for batch in ([message, message], [message], [case_message(a_case(2))]):
        plant.site.intake.handle(batch, NOW)
    with plant.engine.connect() as connection:
        rows = connection.execute(sa.select(second_words)).all()
    assert [tuple(row) for row in rows] == [(a_case(1).case_id, CHALLENGER, *said_of_it)]


@pytest.mark.parametrize("word", [("x", "why"), (CHALLENGER, "a\0b")])
def test_a_second_word_that_no_database_holds_is_set_aside(plant: Plant, word: tuple[str, str]) -> None:
    said = ChallengerVerdict(BundleRef(4, word[0]), "ok", 0.1, word[1])
    plant.site.intake.handle([case_message(a_case(1, challenger=said))], NOW)
    with plant.engine.connect() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(cases)) == 0


def test_a_better_challenger_wins_once_and_waits_for_its_rollout(plant: Plant) -> None:
    run = plant.start()
    for day in range(6):
        plant.a_good_day(day)
    (ended,) = plant.decide(6)
    assert (ended.id, ended.state) == (run.id, "won") and ended.result is not None
    assert plant.decide(7) == []
    assert plant.asked().challenger == BundleRef(4, CHALLENGER) and plant.asked().sampling == ()
    with plant.engine.begin() as connection:
        assert [one.id for one in parallel.won(connection)] == [run.id]
        registry.move(connection, CHALLENGER, "champion", who="rollout", reason="won", now=NOW)
        assert parallel.won(connection) == []
        assert connection.scalars(sa.select(audit.c.did)).all().count("parallel_ended") == 1


def test_only_units_of_this_run_count(plant: Plant) -> None:
    plant.units(3, ("ok", "leak"), at=NOW - DAY_S, truth="leak")
    run = plant.start()
    plant.units(5, ("ok", "leak"), at=NOW + 60, truth="leak", bundle=BundleRef(2, "a" * 64))
    plant.units(4, ("ok", "leak"), at=NOW + 60, truth="leak", station="TANK2")
    plant.units(2, ("ok", "leak"), at=NOW + 60, truth="leak", sampled=Sampled("challenge", 1.0))
    plant.units(1, ("ok", "leak"), at=NOW + 60, truth="leak")
    with plant.engine.connect() as connection:
        found = parallel.evidence(connection, run, NOW + DAY_S)
        assert (found.counts["units"], found.counts["missed_less"], found.judged) == (1, 1, 1)
        assert [tuple(row) for row in parallel.challenge_parts(connection, run)] == [("ok", "leak", 2)]


def test_a_challenger_that_misses_more_is_lost_and_leaves_the_station(plant: Plant) -> None:
    plant.start()
    plant.units(20, ("leak", "ok"), at=NOW + 60, truth="leak", decision="leak")
    (ended,) = plant.decide(1)
    assert ended.state == "lost"
    assert plant.asked().challenger is None and plant.state(CHALLENGER) == "retired"


def test_what_is_left_of_a_years_chance_rises_again_when_experts_judge_what_waited(plant: Plant) -> None:
    run = plant.start()
    plant.units(30, ("leak", "ok"), at=NOW + 60, decision="leak")
    with plant.engine.begin() as connection:
        assert parallel.stop(connection, run.id, why="too slow", who="quinn", now=NOW + DAY_S)
        assert not parallel.stop(connection, run.id, why="again", who="quinn", now=NOW + DAY_S)
        kept = connection.scalars(sa.select(cases.c.case_id)).all()

    def next_alpha() -> float:
        with plant.engine.connect() as connection:
            number = parallel.start(connection, Beside((PLACE,), CHAMPION, OTHER), RULES, who="q", now=NOW + 2 * DAY_S)
            found = parallel.find(connection, number).alpha
            connection.rollback()
        return found

    waiting = next_alpha()
    with plant.engine.begin() as connection:
        rows = [{"case_id": case_id, "judgement": "ok", "state": "agreed", "at": NOW} for case_id in kept]
        connection.execute(sa.insert(truths), rows)
    assert 0.0045 <= waiting < next_alpha() < 0.005001


def test_no_run_begins_where_a_lowered_policy_has_left_nothing_of_the_years_chance(plant: Plant) -> None:
    plant.start()
    for day in range(5):
        plant.units(30, ("leak", "ok"), at=NOW + DAY_S * day + 60, truth="leak")
    assert [run.state for run in plant.decide(6)] == ["lost"]
    lowered = msgspec.structs.replace(RULES, alpha_per_year=0.0001)
    with pytest.raises(ConfigError, match="nothing is left of the chance"):
        plant.start(Beside((PLACE,), CHAMPION, OTHER), at=NOW + 7 * DAY_S, rules=lowered)


def test_a_year_later_the_chance_is_whole_again(plant: Plant) -> None:
    run = plant.start()
    plant.units(20, ("leak", "ok"), at=NOW + 60, truth="leak", decision="leak")
    plant.decide(1)
    assert plant.start(Beside((PLACE,), CHAMPION, OTHER), at=NOW + 2 * DAY_S).alpha < run.alpha
    with plant.engine.begin() as connection:
        connection.execute(sa.update(parallel_runs).where(parallel_runs.c.state == "running").values(state="stopped"))
    assert plant.start(at=NOW + 400 * DAY_S).alpha == pytest.approx(0.005)


def test_the_pages_show_a_run_begin_one_and_stop_it(plant: Plant) -> None:
    quinn = plant.site.browser("quinn")
    assert "No run yet" in quinn.text("/parallel")
    answer = quinn.send("/parallel", {"champion": CHAMPION, "challenger": CHALLENGER, "place": "plant/TANK1"})
    assert answer.status_code == 302 and answer.location.endswith("/parallel/1")
    began = db.now()
    plant.units(2, ("ok", "leak"), at=began + 1, truth="leak")
    plant.units(1, ("uncertain", "ok"), at=began + 2)
    page = quinn.text("/parallel/1")
    assert "1 unit waits for an expert" in page and "judged case" in page
    assert page.count("not judged yet") == 1 and "/cases/TANK1-" in page
    assert "uncertain" not in page, "what the two said of a case is hidden from whoever may still judge it"
    assert "Run 1" in quinn.text("/parallel")
    again = quinn.send("/parallel", {"champion": CHAMPION, "challenger": OTHER, "place": "plant/TANK1"})
    assert again.status_code == 400 and "a station hears one challenger" in again.get_data(as_text=True)
    strange = quinn.send("/parallel", {"champion": CHAMPION, "challenger": OTHER, "place": "moon/TANK1"})
    assert strange.status_code == 400 and "that champion does not speak" in strange.get_data(as_text=True)
    assert quinn.send("/parallel/1", {"why": "enough seen"}).status_code == 302
    assert "stopped: enough seen" in quinn.text("/parallel/1")
    assert quinn.get("/parallel/77").status_code == 404


def test_experts_stay_blind_and_only_quality_begins_or_stops(plant: Plant) -> None:
    plant.start()
    erna = plant.site.browser("erna")
    assert erna.get("/parallel").status_code == erna.get("/parallel/1").status_code == 403
    for path in ("/parallel", "/parallel/1"):
        assert erna.post(path, {"csrf_token": erna.token("/review")}).status_code == 403
