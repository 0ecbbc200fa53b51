"""`drill web`: forged forms and arbitrary requests; and each fault that it looks for, it finds."""

import pytest
from flask import Blueprint
from flask_wtf import CSRFProtect

from benchmarks import drill_web, web_forgery, web_fuzz
from benchmarks.web_site import make_cloud, make_panel
from cloud_sync import web
from edge_agent import panel

pytestmark = pytest.mark.usefixtures("quick_passwords")
# It may be sent to.
QUICK = Blueprint("quick", __name__)


@QUICK.post("/quick")
def quick() -> str:
    return "done"


@QUICK.get("/broken")
def broken() -> str:
    raise ZeroDivisionError


class Page:
    blueprint = QUICK


@pytest.mark.full
@pytest.mark.timeout(900)
def test_no_forged_form_is_taken_and_nothing_is_answered_with_5xx(tmp_path):
    found = drill_web.drill(drill_web.plan(full=False, seed=0), tmp_path, print)
    assert drill_web.is_good(found), found
    assert found["requests"] >= 500 and found["exempt"] == ["accounts.resume", "api.judge"]


def test_every_writing_address_of_the_cloud_refuses_a_forged_form(tmp_path):
    cloud = make_cloud(tmp_path / "cloud")
    engine = cloud.app.extensions["tankwatch"].engine
    walk = web_forgery.walked(cloud.app, cloud.admin.client, cloud.known, held=lambda: web_forgery.digest(engine))
    assert (walk.let_in, walk.exempt) == ([], ["api.judge", "accounts.resume"])
    assert walk.routes >= 30
    # The same form with its token is taken: what was refused above was refused for want of it.
    assert cloud.admin.send("/vocabulary", {"judgement": "ok", "kind": "foam", "words": "foam"}).status_code < 400


def test_every_writing_address_of_the_panel_refuses_a_forged_form(tmp_path):
    app = make_panel(tmp_path / "panel")
    walk = web_forgery.walked(app, app.test_client(), {})
    # Without the PIN too: what asks for it does so before it looks for a token.
    assert walk.routes >= 15 and not walk.exempt
    assert {one.rsplit(": ", 1)[1] for one in walk.let_in} == {"401"}


def test_the_walk_finds_an_address_that_takes_forms_without_a_token(tmp_path, monkeypatch):
    class Careless(CSRFProtect):
        def init_app(self, app):
            super().init_app(app)
            self.exempt(QUICK)

    monkeypatch.setattr(web, "CSRFProtect", Careless)
    monkeypatch.setattr(web, "PAGES", (*web.PAGES, Page))
    cloud = make_cloud(tmp_path / "cloud")
    walk = web_forgery.walked(cloud.app, cloud.admin.client, cloud.known)
    assert walk.let_in == ["POST /quick with no token: 200", "POST /quick with a forged token: 200"]


def test_the_walk_finds_an_application_that_looks_at_no_token_at_all(tmp_path, monkeypatch):
    monkeypatch.setattr(panel, "CSRFProtect", lambda app: app.extensions.update({"csrf": CSRFProtect()}))
    app = make_panel(tmp_path / "panel")
    walk = web_forgery.walked(app, app.test_client(), {})
    assert any(one.startswith("POST /pin with no token") for one in walk.let_in)


def test_the_requests_find_a_page_that_breaks(tmp_path, monkeypatch):
    monkeypatch.setattr(web, "PAGES", (*web.PAGES, Page))
    cloud = make_cloud(tmp_path / "cloud")
    described = web_fuzz.described

    def only(app):
        told = described(app)
        return told | {"paths": {path: told["paths"][path] for path in ("/broken", "/vocabulary")}}

    monkeypatch.setattr(web_fuzz, "described", only)
    sent = web_fuzz.pages(cloud.app, drill_web._browser(cloud), cloud.known, examples=3)
    assert sent.faults == ["GET /broken: 500"] and sent.requests >= 6
    assert not drill_web.is_good(drill_web.make_ledger([], [sent]))


def test_every_page_is_among_those_that_are_sent_to(tmp_path):
    cloud = make_cloud(tmp_path / "cloud")
    left_out = {
        rule.endpoint
        for rule in cloud.app.url_map.iter_rules()
        if rule.endpoint.startswith(web_fuzz.LEFT_OUT) and not rule.endpoint.startswith("api.")
    }
    assert left_out == {"static", "accounts.logout", "metrics.metrics"}
    assert len(web_fuzz.field_names()) > 40
