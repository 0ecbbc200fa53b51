"""The page Automation as a quality engineer uses it: certificates in words, what is missing, orders with a reason."""

from pathlib import Path

import pytest
from flask.testing import FlaskClient
from mode_site import PASSWORD, ModeSite

from cloud_sync import mode_orders
from cloud_sync.automation_pages import percent
from cloud_sync.web import create_app

TANK = "/automation/plant/TANK1"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> ModeSite:
    found = ModeSite(tmp_path_factory.mktemp("cloud"))
    for name in ("TANK1", "TANK2", "TANK3"):
        found.station(name)
    found.proven("TANK1")
    found.proven("TANK2", leaky=40, good=900)
    return found


@pytest.fixture(scope="module")
def app(site: ModeSite):
    made = create_app(site.config)
    made.config["WTF_CSRF_ENABLED"] = False
    return made


def browser(app, name: str = "quinn") -> FlaskClient:
    client = app.test_client()
    assert client.post("/login", data={"name": name, "password": PASSWORD}).status_code == 302
    return client


def test_an_order_is_given_with_a_reason_and_its_certificate_read_in_words(app):
    quinn = browser(app)
    assert quinn.post(TANK, data={"mode": "partial", "reason": "earned in November"}).status_code == 302
    page = quinn.get("/automation").text
    assert "on 300 leaky and 700 good units, at coverage 100.0 %" in page and "95 % confidence" in page
    assert "earned in November" in quinn.get(TANK).text


def test_what_is_missing_for_the_next_mode_is_a_number(app):
    page = browser(app, "vera").get("/automation").text
    assert "assist: 6" in page and "more judged leaky units or challenge parts" in page
    assert "It has sent no case yet." in page


def test_what_is_not_certified_is_refused_with_words_and_nothing_is_ordered(app, site):
    quinn = browser(app)
    answer = quinn.post("/automation/plant/TANK2", data={"mode": "full", "reason": "hurry"})
    assert answer.status_code == 400 and "full is not certified" in answer.text and 'value="hurry"' in answer.text
    assert quinn.post("/automation/plant/TANK2", data={"mode": "shadow", "reason": ""}).status_code == 400
    assert "no such mode" in quinn.post("/automation/plant/TANK2", data={"mode": "super", "reason": "x"}).text
    with site.engine.connect() as connection:
        assert mode_orders.latest(connection, ("plant", "TANK2")) is None


@pytest.mark.parametrize(("name", "read", "write"), [("vera", 200, 403), ("erna", 403, 403)])
def test_only_a_quality_engineer_orders(app, name, read, write):
    client = browser(app, name)
    assert client.get(TANK).status_code == read
    assert client.post(TANK, data={"mode": "shadow", "reason": "x"}).status_code == write
    assert 'name="reason"' not in client.get(TANK).text


def test_stations_without_cases_and_unknown_ones_say_so(app):
    vera = browser(app, "vera")
    assert "A certificate is earned in shadow" in vera.get("/automation/plant/TANK3").text
    assert vera.get("/automation/plant/TANK9").status_code == 404


def test_a_station_above_shadow_without_an_order_is_not_said_to_need_none(site, app):
    site.station("TANK8", mode="partial")
    page = browser(app, "vera").get("/automation").text
    assert "though the station says that it runs in partial" in page and "none is needed" in page
    assert "though the station says" in browser(app, "vera").get("/automation/plant/TANK8").text


def test_no_station_is_an_empty_page_with_a_cure(tmp_path: Path):
    made = create_app(ModeSite(tmp_path).config)
    made.config["WTF_CSRF_ENABLED"] = False
    assert "No station yet" in browser(made, "vera").get("/automation").text


def test_a_bound_is_rounded_up():
    shares = (0.0, 0.0081, 0.02, 0.02001, 1.0)
    assert [percent(share) for share in shares] == ["0.0 %", "0.9 %", "2.0 %", "2.1 %", "100 %"]
