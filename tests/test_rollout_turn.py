"""One turn of `cloud rollout` on the real tables and a real signed repository: the loop closes by itself."""

from pathlib import Path

import msgspec
import pytest
import sqlalchemy as sa
from cloud_fakes import a_case, case_message
from desk_site import Site
from mode_site import CHALLENGER, CHAMPION, NOW, SITE, ModeSite
from test_parallel import DAY_S, Plant
from test_parallel import NOW as RUN_NOW
from test_parallel import PLACE as RUN_PLACE

from cloud_sync import challenge_parts, desire, mode_orders, parallel, policy_file, registry, rollouts, signing
from cloud_sync.challenge_parts import NewPart
from cloud_sync.config import CloudConfig
from cloud_sync.dead_letters import Message
from cloud_sync.intake import Intake
from cloud_sync.mode_orders import Wanted
from cloud_sync.rollout_plan import Plan
from cloud_sync.rollout_turn import Turn
from cloud_sync.rollouts import Kept
from cloud_sync.signed_state import Books
from cloud_sync.store import open_store
from cloud_sync.tables import bundles
from edge_agent import wire
from edge_agent.messages import Desired, ModeOrder, Status
from edge_agent.offered import bundle_target, station_target
from edge_agent.records import BundleRef

PLACE = (SITE, "TANK1")
REF = BundleRef(4, CHALLENGER)
PLAN = Plan(soak_h=1.0, least_cases=5, late_h=2.0)


def a_turn(config: CloudConfig, engine: sa.Engine) -> Turn:
    return Turn(config, engine, policy_file.load(config)[0])


def wanted(engine: sa.Engine, place: tuple[str, str]) -> Desired:
    with engine.connect() as connection:
        return desire.wanted(connection, place)


def offered(config: CloudConfig, target: str) -> bytes:
    info = Books.load(config).targets()[target]
    return (config.updates_path / "targets" / info.get_prefixed_paths()[0]).read_bytes()


def all_rollouts(engine: sa.Engine) -> list[Kept]:
    with engine.connect() as connection:
        return rollouts.everyone(connection)


def keep_file(config: CloudConfig, sha256: str) -> None:
    """The repository signs bytes, whatever they are."""
    path = registry.path(config, sha256)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"a bundle")


@pytest.fixture
def plant(site: Site) -> Plant:
    """Its station has said what it runs, and hears a challenger."""
    plant = Plant(site)
    status = Status(status="online", software="1", since="2026-11-29T14:00:00Z", bundle=BundleRef(3, "b" * 64))
    site.intake.handle([Message(wire.Topics(*RUN_PLACE).status, wire.encode(status))], RUN_NOW)
    signing.begin(site.config, RUN_NOW)
    keep_file(site.config, "d" * 64)
    plant.start()
    return plant


def six_good_days(plant: Plant) -> None:
    """Enough for its challenger to win."""
    for day in range(6):
        plant.a_good_day(day)


def test_a_challenger_that_wins_is_offered_and_rolled_out_by_itself_and_once(plant: Plant) -> None:
    config, now = plant.site.config, RUN_NOW + 6 * DAY_S
    turn, challenger = a_turn(config, plant.engine), BundleRef(4, "d" * 64)
    turn(RUN_NOW + 60)
    assert bundle_target(challenger.sha256) in Books.load(config).targets(), "a run's challenger can be fetched"
    assert all_rollouts(plant.engine) == []
    six_good_days(plant)
    turn(now)
    turn(now + 5)
    a_turn(config, plant.engine)(now + 10)
    (kept,) = all_rollouts(plant.engine)
    assert kept.rollout.bundle == challenger and kept.begun_by == "rollout"
    assert kept.reason == "won parallel run 1: proven no worse on misses, and better"
    asked = wanted(plant.engine, RUN_PLACE)
    assert (asked.bundle, asked.challenger) == (challenger, None), "it speaks, and is not heard beside itself"


def test_a_winner_that_was_taken_back_is_begun_no_more_and_heard_nowhere(plant: Plant) -> None:
    turn, now = a_turn(plant.site.config, plant.engine), RUN_NOW + 6 * DAY_S
    six_good_days(plant)
    turn(now)
    with plant.engine.begin() as connection:
        rollouts.act(connection, 1, "abort", who="quinn", reason="murky", now=now + 1)
        desire.want(connection, RUN_PLACE, who="a", reason="b", now=now, challenger=BundleRef(4, "d" * 64))
    turn(now + DAY_S)
    assert len(all_rollouts(plant.engine)) == 1 and plant.state("d" * 64) == "retired"
    asked = wanted(plant.engine, RUN_PLACE)
    assert (asked.bundle, asked.challenger) == (BundleRef(3, "b" * 64), None)


def test_who_was_taken_back_and_wins_again_is_rolled_out_again(plant: Plant) -> None:
    turn, won_at = a_turn(plant.site.config, plant.engine), RUN_NOW + 6 * DAY_S
    six_good_days(plant)
    turn(won_at)
    with plant.engine.begin() as connection:
        rollouts.act(connection, 1, "abort", who="quinn", reason="murky", now=won_at + 1)
    plant.start(at=RUN_NOW + 7 * DAY_S)
    for day in range(8, 16):
        plant.a_good_day(day)
    turn(RUN_NOW + 16 * DAY_S)
    again, first = all_rollouts(plant.engine)
    assert (first.rollout.state, again.rollout.state) == ("rolled_back", "rolling")
    assert again.reason.startswith("won parallel run 2")


def test_a_run_beside_a_champion_that_is_retired_ends(plant: Plant) -> None:
    six_good_days(plant)
    with plant.engine.begin() as connection:
        registry.move(connection, "b" * 64, "retired", who="ada", reason="another speaks", now=RUN_NOW)
    a_turn(plant.site.config, plant.engine)(RUN_NOW + 60)
    with plant.engine.connect() as connection:
        run = parallel.find(connection, 1)
    assert (run.state, run.why) == ("stopped", "stopped: its champion is retired")


@pytest.fixture
def modes(tmp_path: Path) -> ModeSite:
    """A station in `partial`, and a challenger in the registry."""
    site = ModeSite(tmp_path)
    site.station("TANK1", mode="partial")
    site.proven("TANK1")
    with site.engine.begin() as connection:
        for version, sha256, state in ((3, CHAMPION, "champion"), (4, CHALLENGER, "challenger")):
            row = {"sha256": sha256, "version": version, "name": "made", "scope": "general", "manifest": b"{}"}
            connection.execute(sa.insert(bundles).values(row | {"state": state, "added_by": "ada", "added_at": 1.0}))
    order(site, "partial")
    return site


def order(site: ModeSite, mode: str, *, now: float = NOW) -> ModeOrder:
    wish = Wanted(place=PLACE, mode=mode, reason="earned")
    with site.engine.begin() as connection:
        return mode_orders.order(connection, wish, policy_file.load(site.config)[0].automation, who="quinn", now=now)


def begin(site: ModeSite) -> None:
    with site.engine.begin() as connection:
        rollouts.begin(connection, CHALLENGER, [PLACE], plan=PLAN, who="quinn", reason="better", now=NOW)


def held(site: ModeSite) -> str:
    return all_rollouts(site.engine)[0].rollout.seats[0].held


def the_order(site: ModeSite) -> ModeOrder:
    return wire.decode(offered(site.config, station_target(*PLACE, "mode.json")), ModeOrder)


def test_a_station_above_shadow_is_switched_with_its_certificate_alone_and_its_order_comes_first(
    modes: ModeSite,
) -> None:
    signing.begin(modes.config, NOW)
    begin(modes)
    turn = a_turn(modes.config, modes.engine)
    turn(NOW + 1)
    assert "the bundle does not hold its certificate" in held(modes) and wanted(modes.engine, PLACE).bundle is None
    assert the_order(modes).bundle_sha256 == CHAMPION
    modes.proven("TANK1", bundle_sha256=CHALLENGER)
    turn(NOW + 2)
    assert wanted(modes.engine, PLACE).bundle is None, "certificates are looked at every ten minutes"
    turn(NOW + 602)
    given = the_order(modes)
    assert (given.bundle_sha256, given.mode, given.ordered_by) == (CHALLENGER, "partial", "tankwatch")
    assert wanted(modes.engine, PLACE).bundle == REF
    with modes.engine.begin() as connection:
        rollouts.act(connection, 1, "back", who="quinn", reason="murky", now=NOW + 603)
    turn(NOW + 604)
    assert wanted(modes.engine, PLACE).bundle == BundleRef(3, CHAMPION)


def test_a_certificate_that_was_lost_since_it_was_looked_at_keeps_the_device_from_being_asked(modes: ModeSite) -> None:
    """What a look remembers never steps a station down."""
    begin(modes)

    def before(asked, now: float) -> set:
        return set(asked)

    for number in range(3):
        rollouts.step(modes.engine, NOW + number, may_switch=lambda *_: "", before=before)
    assert wanted(modes.engine, PLACE).bundle is None


def test_what_is_asked_is_told_before_the_device_is_asked(modes: ModeSite) -> None:
    begin(modes)
    seen = []

    def before(asked, now: float) -> set:
        seen.append((dict(asked), wanted(modes.engine, PLACE).bundle))
        return set()

    rollouts.step(modes.engine, NOW, may_switch=lambda *_: "", before=before)
    assert seen[0] == ({PLACE: REF}, None) and wanted(modes.engine, PLACE).bundle == REF


def test_where_no_order_can_be_signed_a_station_above_shadow_waits_and_the_page_and_the_log_say_why(
    modes: ModeSite, caplog: pytest.LogCaptureFixture
) -> None:
    modes.proven("TANK1", bundle_sha256=CHALLENGER)
    begin(modes)
    turn = a_turn(modes.config, modes.engine)
    turn(NOW + 1)
    turn(NOW + 2)
    assert held(modes).startswith("its order for the new bundle cannot be signed: there is no signed repository")
    said = [one for one in caplog.records if one.name == "cloud_sync.offers"]
    assert len([one for one in said if "make it with 'cloud updates init'" in one.getMessage()]) == 1, "said once"
    signing.begin(modes.config, NOW)
    turn(NOW + 3)
    assert wanted(modes.engine, PLACE).bundle == REF and the_order(modes).bundle_sha256 == CHALLENGER


def test_a_station_that_murky_water_has_brought_down_needs_the_certificate_of_its_ordered_mode(
    modes: ModeSite,
) -> None:
    with modes.engine.begin() as connection:
        status = Status(status="online", software="1", since="x", mode="shadow", bundle=BundleRef(3, CHAMPION))
        connection.execute(sa.text("UPDATE stations SET status = :s"), {"s": msgspec.json.encode(status).decode()})
    begin(modes)
    a_turn(modes.config, modes.engine)(NOW + 1)
    assert "the bundle does not hold its certificate" in held(modes)


def test_a_part_missed_since_the_order_lowers_and_a_new_order_takes_that_back(modes: ModeSite) -> None:
    with modes.engine.begin() as connection:
        part = NewPart(site=SITE, station=None, serial="RABBIT-1", truth="leak")
        challenge_parts.register(connection, part, who="quinn", now=1.0)
        # The device has not heard of its order: what it says of itself is no reason to step down.
        connection.execute(sa.text("UPDATE stations SET status = NULL"))
    case = a_case(777, site=SITE, serial="RABBIT-1", verdict="ok", decision="ok", outcome="agree", mode="shadow")
    store = open_store(modes.config)
    Intake(modes.engine, store, max_clip_bytes=1000).handle([case_message(case)], NOW + 60)
    assert wanted(modes.engine, PLACE).mode is None
    turn = a_turn(modes.config, modes.engine)
    turn(NOW + 61)
    assert wanted(modes.engine, PLACE).mode == "shadow"
    with modes.engine.begin() as connection:
        status = Status(status="online", software="1", since="x", mode="shadow", bundle=BundleRef(3, CHAMPION))
        connection.execute(sa.text("UPDATE stations SET status = :s"), {"s": msgspec.json.encode(status).decode()})
    modes.proven("TANK1", leaky=600)
    again = order(modes, "partial", now=NOW + 120)
    asked = wanted(modes.engine, PLACE)
    assert asked.mode is None and again.answers_wish == asked.counter
    turn(NOW + 7200)
    assert wanted(modes.engine, PLACE).mode is None, "the order came after the miss"
