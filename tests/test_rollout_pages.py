"""The pages of rollouts, as each role sees them."""

import pytest
from cloud_fakes import SITE, STATION
from desk_site import ONE_OF_EACH_ROLE, Site
from test_rollouts import an_alarm, metrics

from benchmarks import made_fleet
from benchmarks.made_fleet import NEW, OLD
from cloud_sync import db, rollouts
from cloud_sync.dead_letters import Message
from edge_agent import wire
from edge_agent.messages import Status
from edge_agent.records import BundleRef


@pytest.fixture
def plant(tmp_path, quick_passwords):
    """Pages, four devices, and the two bundles; no rollout yet."""
    site = Site(tmp_path, people=ONE_OF_EACH_ROLE)
    with site.engine.begin() as connection:
        made_fleet.add_bundles(connection)
    for number in range(1, 5):
        say(site, f"TANK{number}", OLD)
    yield site
    site.engine.dispose()


def say(site: Site, station: str, bundle: BundleRef) -> None:
    topics = wire.Topics(SITE, station)
    status = Status(status="online", mode="shadow", bundle=bundle, software="1.0", since="2026-11-20T14:00:00Z")
    site.intake.handle([Message(topics.status, wire.encode(status)), Message(topics.metrics, metrics())], db.now())


def begun(site: Site) -> None:
    answer = site.browser("quality").send("/rollouts", {"bundle": NEW.sha256, "to": "", "reason": "it is better"})
    assert answer.status_code == 302
    rollouts.step(site.engine, db.now())


def test_pages_without_any_rollout_or_bundle_have_words(tmp_path, quick_passwords) -> None:
    site = Site(tmp_path, people=ONE_OF_EACH_ROLE)
    page = site.browser("quality").text("/rollouts")
    assert "None yet." in page and "The registry holds no bundle yet" in page
    assert site.browser("viewer").get("/rollouts/1").status_code == 404
    assert site.browser("expert").get("/rollouts").status_code == 403
    site.engine.dispose()


def test_a_quality_engineer_begins_one_and_every_viewer_can_follow_it(plant: Site) -> None:
    begun(plant)
    page = plant.browser("viewer").text("/rollouts/1")
    assert "Rollout 1: bundle 4" in page and "it is better" in page and "step 1 of 3, up to 1 devices" in page
    assert page.count("not asked") == 3 and ">asked<" in page
    assert 'name="verb"' not in page, "a viewer only looks"
    assert "Rollout 1" in plant.browser("viewer").text("/rollouts")


def test_the_page_shows_each_devices_figures_and_every_gate(plant: Site) -> None:
    begun(plant)
    with plant.engine.connect() as connection:
        (seat,) = (seat for seat in rollouts.active(connection)[0].rollout.seats if seat.asked_at)
    say(plant, seat.station, NEW)
    rollouts.step(plant.engine, db.now())
    topics = wire.Topics(*seat.place)
    plant.intake.handle([Message(topics.alarm("picture"), wire.encode(an_alarm()))], db.now())
    page = plant.browser("viewer").text("/rollouts/1")
    assert "has it" in page and "picture" in page and "new high alarms" in page and "broken" in page


def test_halt_resume_and_back_are_one_button_each_with_a_reason(plant: Site) -> None:
    begun(plant)
    browser = plant.browser("quality")
    refused = browser.send("/rollouts/1", {"verb": "halt", "reason": " "})
    assert refused.status_code == 400 and "say why" in refused.text
    for verb, state in (("halt", "halted"), ("resume", "rolling"), ("back", "rolling back")):
        assert browser.send("/rollouts/1", {"verb": verb, "reason": f"to {verb}"}).status_code == 302
        assert f'">{state}</span>' in browser.text("/rollouts/1")
    assert "cannot be halted" in browser.send("/rollouts/1", {"verb": "halt", "reason": "again"}).text
    assert browser.send("/rollouts/1", {"verb": "burn", "reason": "x"}).status_code == 400
    log = plant.browser("admin").text("/audit")
    assert "rollout_halted" in log and "rollout_rolling_back" in log and "to back" in log


def test_nobody_but_quality_and_administrators_changes_a_rollout(plant: Site) -> None:
    begun(plant)
    for name in ("viewer", "expert"):
        browser = plant.browser(name)
        fields = {"verb": "back", "reason": "x", "bundle": NEW.sha256, "to": "", "csrf_token": browser.token("/login")}
        assert browser.post("/rollouts/1", fields).status_code in (400, 403)
        assert browser.post("/rollouts", fields).status_code in (400, 403)
    assert plant.browser("admin").send("/rollouts/1", {"verb": "abort", "reason": "x"}).status_code in (302, 400)


def test_what_does_not_fit_is_said_on_the_page(plant: Site) -> None:
    browser = plant.browser("quality")
    answer = browser.send("/rollouts", {"bundle": "f" * 64, "to": "", "reason": "x"})
    assert answer.status_code == 400 and "choose a bundle of the registry" in answer.text
    answer = browser.send("/rollouts", {"bundle": NEW.sha256, "to": "moon", "reason": "x"})
    assert answer.status_code == 400 and "needs at least one station" in answer.text
    answer = browser.send("/rollouts", {"bundle": NEW.sha256, "to": f"{SITE}/{STATION}", "reason": "x"})
    assert answer.status_code == 302
    answer = browser.send("/rollouts", {"bundle": NEW.sha256, "to": "", "reason": "x" * 501})
    assert answer.status_code == 400 and "at most 500 characters" in answer.text
    assert browser.get("/rollouts/99999999999").status_code == 404
