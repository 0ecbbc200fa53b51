"""A candidate that looks no worse is heard by itself, where its champion speaks and nothing else is under way."""

import pytest
from cloud_fakes import STATION
from desk_site import Site
from test_parallel import CHALLENGER, CHAMPION, NOW, OTHER, PLACE, RULES, WISH, Plant

from cloud_sync import hearing, rollouts
from cloud_sync.dead_letters import Message
from cloud_sync.rollout_plan import Plan
from edge_agent import wire
from edge_agent.messages import Status
from edge_agent.records import BundleRef


@pytest.fixture
def plant(site: Site) -> Plant:
    """Three stations; at the last another bundle speaks."""
    plant = Plant(site)
    for station, sha256 in ((STATION, CHAMPION), ("TANK2", CHAMPION), ("TANK3", OTHER)):
        status = Status(status="online", software="1", since="2026-11-29T14:00:00Z", bundle=BundleRef(3, sha256))
        site.intake.handle([Message(wire.Topics("plant", station).status, wire.encode(status))], NOW)
    return plant


def begin(plant: Plant, candidate: str = CHALLENGER) -> str:
    with plant.engine.begin() as connection:
        return hearing.begin(connection, candidate, CHAMPION, RULES, now=NOW)


def free(plant: Plant) -> tuple:
    with plant.engine.connect() as connection:
        return hearing.free_places(connection, CHALLENGER, CHAMPION)


def alone_right(candidate: int, champion: int) -> dict[str, int]:
    return {"candidate_alone_right": candidate, "champion_alone_right": champion}


def test_cases_by_lot_decide_and_where_there_are_none_the_twin() -> None:
    assert hearing.why_not({"random": alone_right(3, 3), "twin": alone_right(0, 9)}) == ""
    assert hearing.why_not({"twin": alone_right(2, 1)}) == ""
    words = hearing.why_not({"random": alone_right(2, 3), "twin": alone_right(9, 0)})
    assert words == "the champion alone was right 3 times, the candidate alone 2"
    assert hearing.why_not({"test": {}}) == "the two were compared on nothing"


def test_a_candidate_is_heard_where_its_champion_speaks(plant: Plant) -> None:
    assert begin(plant) == "parallel run 1 at 2 stations"
    assert plant.asked().challenger == BundleRef(4, CHALLENGER) and plant.state(CHALLENGER) == "challenger"
    assert begin(plant, OTHER) == "no parallel run: no station where its champion speaks is free for one"


def test_stations_of_another_run_or_of_a_rollout_are_left_alone(plant: Plant) -> None:
    assert free(plant) == (PLACE, ("plant", "TANK2"))
    plant.start(WISH)
    assert free(plant) == (("plant", "TANK2"),)
    with plant.engine.begin() as connection:
        places = [("plant", "TANK2")]
        rollouts.begin(connection, OTHER, places, plan=Plan(), who="quinn", reason="better", now=NOW)
    assert free(plant) == ()


def test_a_bundle_that_nobody_knows_is_heard_nowhere(plant: Plant) -> None:
    assert begin(plant, "0" * 64).startswith("no parallel run: no station")
