"""Signing in, and what happens to whoever's session ends in the middle of something: nothing typed is lost."""

import re
from http.client import HTTPConnection
from pathlib import Path

import pytest
import sqlalchemy as sa
from browser import free_port
from desk_site import ONE_OF_EACH_ROLE, OURS, PASSWORD, Browser, Site, token_in
from serving import serving

from cloud_sync import sign_in
from cloud_sync.config import WebConfig
from cloud_sync.tables import audit, reviews
from cloud_sync.web import LARGEST_FORM, make_server

pytestmark = pytest.mark.usefixtures("quick_passwords")
JUDGED = {"judgement": "leak", "familiar": "no", "note": "<b>fine mist</b> 'at' \"0:03\" & later"}
SCRIPT = {"Accept": "application/json", **OURS}


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path, people=ONE_OF_EACH_ROLE)


def test_a_judgement_that_meets_an_ended_session_is_kept_and_sent_after_signing_in(site: Site) -> None:
    case_id = site.case()
    browser = site.browser("expert")
    token = token_in(browser.text(f"/review/{case_id}"))
    _end_session(browser)
    page = browser.post(f"/review/{case_id}?again=1", {"csrf_token": token, **JUDGED})
    assert page.status_code == 401
    assert "What you had entered is kept" in page.get_data(as_text=True)
    assert 'value="expert"' in page.get_data(as_text=True), "whose session it was"
    wrong = _sign_in_with(browser, page.get_data(as_text=True), password="wrong wrong wrong")
    assert wrong.status_code == 401
    resumed = _sign_in_with(browser, wrong.get_data(as_text=True)).get_data(as_text=True)
    assert "&lt;b&gt;fine mist&lt;/b&gt;" in resumed
    assert _send_kept(browser, resumed).status_code == 302
    with site.engine.connect() as connection:
        (kept,) = connection.execute(sa.select(reviews)).all()
    assert (kept.reviewer, kept.judgement, kept.note) == ("expert", "leak", JUDGED["note"])


def test_a_cookie_that_is_gone_altogether_loses_nothing_either(site: Site) -> None:
    case_id = site.case()
    browser = site.stranger()
    page = browser.post(f"/review/{case_id}", JUDGED).get_data(as_text=True)
    resumed = _sign_in_with(browser, page, name="expert").get_data(as_text=True)
    assert _send_kept(browser, resumed).status_code == 302


def test_what_one_expert_typed_is_not_sent_in_the_name_of_another(site: Site) -> None:
    case_id = site.case()
    browser = site.browser("expert")
    _end_session(browser)
    page = browser.post(f"/review/{case_id}", JUDGED).get_data(as_text=True)
    resumed = _sign_in_with(browser, page, name="quality").get_data(as_text=True)
    assert "entered by expert" in resumed and "fine mist" in resumed
    assert "Send it now" not in resumed


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://["},
        {"Sec-Fetch-Site": "cross-site", **OURS},
    ],
)
def test_what_another_site_sends_is_not_kept(site: Site, headers: dict[str, str]) -> None:
    page = site.stranger().client.post("/datasets", data={"name": "theirs"}, headers=headers)
    assert page.status_code == 401
    assert 'name="kept"' not in page.get_data(as_text=True)
    assert "theirs" not in page.get_data(as_text=True)


def test_a_kept_form_that_we_have_not_signed_is_none(site: Site) -> None:
    for forged in ("x", "a.b.c", "", "é"):
        browser = site.stranger()
        answer = browser.send("/login", {"name": "quality", "password": PASSWORD, "kept": forged})
        assert (answer.status_code, answer.headers["Location"]) == (302, "/review")
        assert browser.post("/login/resume", {"kept": forged}).headers["Location"] == "/"


def test_a_form_too_long_to_keep_says_so(site: Site) -> None:
    import secrets

    page = site.stranger().post("/datasets", {"name": secrets.token_urlsafe(40_000)})
    assert "could not be kept" in page.get_data(as_text=True)
    assert site.stranger().post("/datasets", {"name": "x" * LARGEST_FORM}).status_code == 413


def test_a_form_with_a_password_is_not_kept(site: Site) -> None:
    for path, name in (("/users", "password"), ("/users/expert/password", "value")):
        page = site.stranger().post(path, {"name": "nora", name: "a new password"}).get_data(as_text=True)
        assert "could not be kept" in page
        assert "a new password" not in page and 'name="kept"' not in page


def test_a_script_is_told_in_json_and_gets_a_new_form_token_after_a_second_tab_signed_in(site: Site) -> None:
    case_id = site.case()
    browser = site.browser("expert")
    old = token_in(browser.text(f"/review/{case_id}"))
    _end_session(browser)
    told = browser.client.post(f"/review/{case_id}", data={"csrf_token": old, **JUDGED}, headers=SCRIPT)
    assert (told.status_code, told.json["error"]["code"]) == (401, "signed_out")
    assert browser.get("/session").status_code == 401
    assert browser.send("/login?next=/signed-in", {"name": "expert", "password": PASSWORD}).location == "/signed-in"
    assert "Close this tab" in browser.text("/signed-in")
    told = browser.client.post(f"/review/{case_id}", data={"csrf_token": old, **JUDGED}, headers=SCRIPT)
    assert (told.status_code, told.json["error"]["code"]) == (400, "csrf"), "the old token is worth nothing"
    now = browser.get("/session").json
    assert (now["name"], now["role"]) == ("expert", "expert")
    again = browser.client.post(f"/review/{case_id}", data=JUDGED, headers={**SCRIPT, "X-CSRFToken": now["csrf_token"]})
    assert (again.status_code, again.json["judgement"]) == (200, JUDGED["judgement"])


def test_back_from_a_second_tab_the_kept_form_goes_on(site: Site) -> None:
    case_id = site.case()
    browser = site.browser("expert")
    _end_session(browser)
    page = browser.post(f"/review/{case_id}", JUDGED).get_data(as_text=True)
    kept = _kept_in(page)
    assert "Nobody is signed in yet" in browser.post("/login/resume", {"kept": kept}).get_data(as_text=True)
    browser.sign_in("expert", PASSWORD)
    assert "fine mist" in browser.post("/login/resume", {"kept": kept}).get_data(as_text=True)


def test_nobody_can_prepare_a_session_for_somebody_else(site: Site) -> None:
    browser = site.stranger()
    before = token_in(browser.text("/login"))
    with browser.client.session_transaction() as session:
        session["planted"] = "x"
    browser.sign_in("expert", PASSWORD)
    with browser.client.session_transaction() as session:
        assert "planted" not in session
    assert browser.post("/logout", {"csrf_token": before}).status_code == 400


def test_a_session_cookie_that_was_changed_is_nobodys(site: Site) -> None:
    browser = site.browser("expert")
    cookie = browser.client.get_cookie("tankwatch")
    assert cookie is not None
    content, _, signed = cookie.value.rpartition(".")
    # Not its end: the last letters of a signature may be others and mean the same bytes.
    changed = f"{content}.{'B' if signed[0] == 'A' else 'A'}{signed[1:]}"
    for forged in (changed, "eyJfdXNlcl9pZCI6ImFkbWluIn0.aaaa.bbbb", "x", ""):
        stranger = site.stranger()
        stranger.client.set_cookie("tankwatch", forged)
        assert stranger.get("/review").status_code == 302


def test_cookies_are_kept_from_scripts_and_from_other_sites(tmp_path: Path) -> None:
    site = Site(tmp_path, web=WebConfig(https=True), people=ONE_OF_EACH_ROLE)
    client = site.app.test_client()
    answer = client.get("/login", base_url="https://localhost")
    cookie = answer.headers["Set-Cookie"]
    assert cookie.startswith("__Host-tankwatch=")
    assert all(flag in cookie for flag in ("Secure", "HttpOnly", "SameSite=Lax", "Path=/"))
    assert "Domain" not in cookie
    assert "max-age" in answer.headers["Strict-Transport-Security"]


def test_only_an_answer_that_changes_the_session_sets_its_cookie(site: Site) -> None:
    """A picture that was asked for before signing out, and comes after it, would sign in again."""
    browser = site.browser("expert")
    browser.text("/review")
    assert "Set-Cookie" not in browser.get("/review").headers


def test_every_answer_carries_its_guards(site: Site) -> None:
    for path in ("/login", "/healthz", "/nothing", "/api/v1/cases", "/static/pages.css"):
        headers = site.stranger().get(path).headers
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "same-origin"
        assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert site.stranger().get("/login").headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    "target",
    [
        "//evil.example",
        "/\\evil.example",
        "/\t/evil.example",
        "/\n/evil.example",
        "https://evil.example",
        "javascript:alert(1)",
        "evil",
        "",
        "\\/evil",
        "/a\\..\\b",
    ],
)
def test_no_address_leads_from_the_sign_in_to_another_site(target: str) -> None:
    assert sign_in.inside(target) is None


def test_the_page_that_was_asked_for_comes_after_the_sign_in(site: Site) -> None:
    browser = site.stranger()
    location = browser.get("/cases?station=TANK1&text=%2Fa").location
    answer = browser.client.post(
        location, data={"csrf_token": token_in(browser.text(location)), "name": "viewer", "password": PASSWORD}
    )
    assert answer.location == "/cases?station=TANK1&text=%2Fa"


def test_only_our_own_host_name_is_answered_where_it_is_known(tmp_path: Path) -> None:
    site = Site(tmp_path, web=WebConfig(url="https://desk.example"), people=ONE_OF_EACH_ROLE)
    client = site.app.test_client()
    for host, status in (
        ("desk.example", 200),
        ("desk.example:8443", 200),
        ("127.0.0.1:8080", 200),
        ("evil.example", 400),
        ("desk.example.evil.example", 400),
    ):
        assert client.get("/login", headers={"Host": host}).status_code == status, host
    answer = client.get("/cases", headers={"Host": "desk.example", "X-Forwarded-Host": "evil.example"})
    assert answer.location.startswith("/login")


@pytest.mark.parametrize("path", ["/review/a%00b", "/cases?text=%00", "/cases?%00=1", "/clips/%00.webm"])
def test_nul_is_refused_everywhere(site: Site, path: str) -> None:
    assert site.browser("admin").get(path).status_code == 400


@pytest.mark.parametrize("path", ["/studies/{}", "/studies/{}/report.pdf", "/datasets/x/{}", "/review?after={}"])
def test_a_number_that_no_database_holds_is_no_fault_of_ours(site: Site, path: str) -> None:
    assert site.browser("admin").get(path.format("9" * 25)).status_code in (200, 400, 404)


def test_nul_in_a_form_is_refused(site: Site) -> None:
    admin = site.browser("admin")
    fields = {"csrf_token": token_in(admin.text("/users")), "name": "a\0b", "password": PASSWORD, "role": "expert"}
    assert admin.post("/users", fields).status_code == 400


def test_a_note_of_ten_megabytes_is_refused_before_it_is_read(site: Site) -> None:
    case_id = site.case()
    expert = site.browser("expert")
    answer = expert.post(f"/review/{case_id}", {"judgement": "ok", "familiar": "yes", "note": "x" * 10_000_000})
    assert answer.status_code == 413
    assert "too much text" in answer.get_data(as_text=True)


@pytest.mark.parametrize(
    "evil", ["' OR 1=1 --", "<img src=x onerror=alert(1)>", "%' ESCAPE '", "{{ 7*7 }}", "../../etc"]
)
def test_sql_and_html_are_only_text(site: Site, evil: str) -> None:
    case_id = site.case()
    expert, admin = site.browser("expert"), site.browser("admin")
    fields = {"judgement": "ok", "familiar": "yes", "note": evil}
    assert expert.send(f"/review/{case_id}", fields).status_code == 302
    page = expert.text(f"/review/{case_id}")
    assert "<img src=x" not in page and "49" not in re.findall(r">\s*(49)\s*<", page)
    assert site.stranger().sign_in(evil, evil).status_code == 401
    for path in ("/cases", "/audit"):
        query = {"text": evil, "station": evil, "who": evil, "about": evil}
        found = admin.client.get(path, query_string=query)
        assert (found.status_code, "<img src=x" in found.get_data(as_text=True)) == (200, False)


@pytest.mark.parametrize(("proxy", "address"), [("127.0.0.1", "203.0.113.9"), (None, "127.0.0.1")])
def test_only_a_known_proxys_word_on_addresses_is_taken(tmp_path: Path, proxy: str | None, address: str) -> None:
    site = Site(tmp_path, web=WebConfig(port=free_port(), proxy=proxy), people=ONE_OF_EACH_ROLE)
    with serving(make_server(site.config)):
        asked = HTTPConnection("127.0.0.1", site.config.web.port)
        headers = {"Authorization": "Bearer wrong", "X-Forwarded-For": "198.51.100.7, 203.0.113.9"}
        asked.request("GET", "/api/v1/queue", headers=headers)
        assert asked.getresponse().status == 401
        asked.close()
    with site.engine.connect() as connection:
        assert connection.scalars(sa.select(audit.c.address).where(audit.c.did == "token_tried")).all() == [address]


def _end_session(browser: Browser) -> None:
    """As hours would."""
    with browser.client.session_transaction() as session:
        session["seen_at"] -= 10 * 24 * 3600


def _sign_in_with(browser: Browser, page: str, *, name: str = "expert", password: str = PASSWORD):
    fields = {"csrf_token": token_in(page), "kept": _kept_in(page), "name": name, "password": password}
    return browser.post("/login", fields)


def _kept_in(page: str) -> str:
    found = re.search(r'name="kept" value="([^"]+)"', page)
    assert found is not None
    return found[1]


def _send_kept(browser: Browser, page: str):
    """Presses the button of the page."""
    from html import unescape

    form = page.split('<form method="post" action="/review')[1].split("</form>")[0]
    fields = {name: unescape(value) for name, value in re.findall(r'name="(\w+)" value="([^"]*)"', form)}
    return browser.post("/review" + unescape(form.split('"')[0]), fields)
