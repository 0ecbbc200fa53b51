"""Agreement and Value as a quality engineer reads them: figures with bounds, words where cases are too few."""

import functools
import re

import pytest
from agreement_site import PASSWORD, Filled
from flask import Flask
from flask.testing import FlaskClient

from cloud_sync.web import create_app

COSTS = "miss=500&false_alarm=20&expert_minute=1&minutes_a_case=0.5&inspector_a_unit=0&units_a_day=1000&days_a_year=250"


@functools.cache
def app_of(filled: Filled) -> Flask:
    app = create_app(filled.config)
    app.config["WTF_CSRF_ENABLED"] = False
    return app


def browser(filled: Filled, name: str = "quinn") -> FlaskClient:
    client = app_of(filled).test_client()
    assert client.post("/login", data={"name": name, "password": PASSWORD}).status_code == 302
    return client


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Filled:
    """Pages that only read share it."""
    site = Filled(tmp_path_factory.mktemp("cloud"))
    site.weeks()
    return site


def text_of(client: FlaskClient, address: str, status: int = 200) -> str:
    answer = client.get(address)
    assert answer.status_code == status
    assert b"nan" not in re.sub(rb"<[^>]*>", b"", answer.data).lower()
    return answer.text


def test_the_page_says_rates_bounds_agreement_and_what_is_unjudged(filled):
    page = text_of(browser(filled), "/agreement")
    assert 'id="units">840<' in page
    assert "count as wrong in every bound" in page
    for words in (
        "Error rates of all units",
        "Cohen&#39;s kappa",
        "Gwet",
        "McNemar: exact p",
        "By station",
        "By shift",
    ):
        assert words in page or words.replace("&#39;", "'") in page
    assert page.count("<svg viewBox") == 3
    assert "TANK2" in page and "night" in page
    assert "inspector</td>" in page, "human level"


def test_inspectors_have_no_name_unless_the_configuration_says_so(filled, tmp_path):
    # As a word of its own: the token of the sign-out form may hold the two letters.
    assert not re.search(r"(?<![\w-])P1(?![\w-])", text_of(browser(filled), "/agreement"))
    named = Filled(tmp_path / "named", inspectors=True)
    named.weeks(days=3)
    page = text_of(browser(named), "/agreement")
    assert "By inspector" in page
    assert ">P1<" in page
    assert browser(named, "erna").get("/agreement").status_code == 403, "experts stay blind"
    page = text_of(browser(named, "vera"), "/agreement")
    assert "By station" in page
    assert ">P1<" not in page


def test_a_station_a_bundle_and_a_time_can_be_chosen(filled):
    client = browser(filled)
    assert 'id="units">420<' in text_of(client, "/agreement?station=TANK1")
    assert "No cases yet" in text_of(client, "/agreement?bundle=77")
    assert "is not understood" in text_of(client, "/agreement?from=yesterday")


def test_without_any_case_every_page_has_words(tmp_path):
    client = browser(Filled(tmp_path))
    assert "No cases yet" in text_of(client, "/agreement")
    assert "Too few to say" in text_of(client, f"/value?{COSTS}")
    assert "No study yet" in text_of(client, "/studies")


def test_costs_give_limits_and_savings_with_an_interval(filled):
    client = browser(filled)
    assert "Recommended limits" not in text_of(client, "/value")
    page = text_of(client, f"/value?{COSTS}")
    assert re.search(r'id="low">[^<]*\d', page)
    assert "measured on the newer half" in page


@pytest.mark.parametrize(
    ("change", "words"),
    [("miss=-5", "Cost of a miss"), ("days_a_year=lots", "is no number"), ("leaking=200", "Leaking")],
)
def test_costs_that_make_no_sense_are_named(filled, change, words):
    name = change.partition("=")[0]
    asked = "&".join([*(part for part in COSTS.split("&") if not part.startswith(name)), change])
    assert words in text_of(browser(filled), f"/value?{asked}" if "miss" in asked else f"/value?miss=1&{asked}", 400)
