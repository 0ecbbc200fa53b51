"""Signing in through a company's provider: who comes in, as what, and that nothing forged does."""

import base64
import hmac
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa
from desk_site import ONE_OF_EACH_ROLE, OURS, PASSWORD, Browser, Site
from joserfc.jwk import RSAKey
from oidc_provider import CLIENT, SECRET, Provider

from cloud_sync import accounts, confirming, tables
from cloud_sync.accounts import Account, Act, Change
from cloud_sync.config import CloudConfig, OidcConfig, WebConfig
from cloud_sync.tables import audit
from cloud_sync.throttle import FAILURES_ADDRESS
from cloud_sync.web import create_app
from edge_agent.errors import ConfigError

pytestmark = pytest.mark.usefixtures("quick_passwords")
WEB = WebConfig(url="http://localhost")


@pytest.fixture(scope="module")
def _running() -> Iterator[Provider]:
    with Provider() as provider:
        yield provider


@pytest.fixture
def provider(_running: Provider) -> Iterator[Provider]:
    """Honest again for each test; its key takes a while to make."""
    before = dict(_running.__dict__)
    yield _running
    _running.__dict__.update(before)


def site_for(provider: Provider, folder: Path, monkeypatch: pytest.MonkeyPatch, **changes) -> Site:
    monkeypatch.setenv("TANKWATCH_OIDC", SECRET)
    oidc = OidcConfig(issuer=provider.issuer, client_id=CLIENT, secret_env="TANKWATCH_OIDC", **changes)
    return Site(folder, web=WEB, oidc=oidc, people=ONE_OF_EACH_ROLE)


@pytest.fixture
def site(provider: Provider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    return site_for(provider, tmp_path, monkeypatch)


def come_back(site: Site, provider: Provider, browser: Browser | None = None, *, following: str = ""):
    """The whole way: to the provider, signing in there, and back."""
    browser = browser or site.stranger()
    there = browser.get("/login/company", query_string={"next": following} if following else {})
    assert there.location.startswith(f"{provider.issuer}/authorize?")
    return browser.get(provider.sign_in(there.location))


def found(site: Site, name: str) -> Account | None:
    with site.engine.connect() as connection:
        return accounts.find(connection, name)


def test_without_a_provider_there_is_no_button_and_no_address(tmp_path: Path) -> None:
    site = Site(tmp_path, people=ONE_OF_EACH_ROLE)
    assert "company" not in site.stranger().text("/login")
    assert site.stranger().get("/login/company").status_code == 404


def test_the_first_sign_in_makes_the_user_and_the_next_finds_it(site: Site, provider: Provider) -> None:
    browser = site.stranger()
    assert "company account" in browser.text("/login")
    assert come_back(site, provider, browser).location == "/cases"
    assert browser.get("/cases").status_code == 200
    made = found(site, "nora")
    assert made is not None
    assert (made.role, made.subject) == ("viewer", f"{provider.issuer} 1234")
    provider.person = provider.person | {"preferred_username": "renamed"}
    come_back(site, provider)
    assert found(site, "renamed") is None, "she is known by her subject"
    assert site.stranger().sign_in("nora", "").status_code == 401, "no password fits her"
    with site.engine.connect() as connection:
        did = connection.execute(sa.select(audit.c.who, audit.c.did)).all()
    assert [tuple(line) for line in did if line.did in ("user_added", "sign_in_company")][-3:] == [
        (f"provider {provider.issuer}", "user_added"),
        ("nora", "sign_in_company"),
        ("nora", "sign_in_company"),
    ]


def test_where_pseudonyms_are_wanted_no_name_of_the_providers_is_kept(provider, tmp_path, monkeypatch) -> None:
    site = site_for(provider, tmp_path, monkeypatch, pseudonyms=True)
    come_back(site, provider)
    come_back(site, provider)
    made = [one.name for one in accounts.all_users(site.engine) if one.subject]
    assert len(made) == 1 and made[0].startswith("user-") and found(site, "nora") is None
    with site.engine.connect() as connection:
        lines = connection.execute(sa.select(audit)).all()
    assert "nora" not in str(lines)


def test_the_page_that_was_asked_for_comes_next_and_never_another_site(site: Site, provider: Provider) -> None:
    assert come_back(site, provider, following="/stations").location == "/stations"
    assert come_back(site, provider, following="//evil.example").location == "/cases"


def _other_key() -> RSAKey:
    return RSAKey.generate_key(2048, {"kid": "one", "alg": "RS256"})


@pytest.mark.parametrize(
    "lie",
    [
        lambda claims: claims | {"aud": "somebody else"},
        lambda claims: claims | {"iss": "https://evil.example"},
        lambda claims: claims | {"iat": claims["iat"] - 7200, "exp": claims["iat"] - 3600},
        lambda claims: claims | {"nonce": "another"},
        lambda claims: {name: value for name, value in claims.items() if name != "nonce"},
        lambda claims: {name: value for name, value in claims.items() if name != "sub"},
        lambda claims: {name: value for name, value in claims.items() if name != "exp"},
        lambda claims: claims | {"sub": ""},
        lambda claims: claims | {"sub": ["1234"]},
    ],
    ids=["audience", "issuer", "expired", "nonce", "no nonce", "nobody", "no end", "empty", "list"],
)
def test_an_answer_that_is_not_for_us_or_not_for_now_lets_nobody_in(
    site: Site, provider: Provider, lie: Callable[[dict[str, Any]], dict[str, Any]]
) -> None:
    provider.lie = lie
    _nobody_comes_in(site, provider)


def test_an_answer_signed_by_another_key_lets_nobody_in(site: Site, provider: Provider) -> None:
    provider.sign_with = _other_key()
    _nobody_comes_in(site, provider)


def _signed_anew(token: str, algorithm: str, key: bytes | None) -> str:
    """The same claims under another header, as somebody would who hopes that the header is believed."""
    header = _encoded(json.dumps({"alg": algorithm, "kid": "one"}).encode())
    text = f"{header}.{token.split('.')[1]}"
    return f"{text}.{_encoded(hmac.digest(key, text.encode(), 'sha256')) if key else ''}"


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def test_an_answer_signed_with_the_public_key_as_a_password_lets_nobody_in(site: Site, provider: Provider) -> None:
    public = provider.key.as_pem(private=False)
    provider.forge = lambda token: _signed_anew(token, "HS256", public)
    _nobody_comes_in(site, provider)


def test_an_answer_without_a_signature_or_with_a_changed_one_lets_nobody_in(site: Site, provider: Provider) -> None:
    for forge in (lambda token: _signed_anew(token, "none", None), lambda token: token[:-6] + "AAAAAA"):
        provider.forge = forge
        _nobody_comes_in(site, provider)


def test_an_answer_comes_in_once_and_only_where_it_was_asked_for(site: Site, provider: Provider) -> None:
    browser = site.stranger()
    back = provider.sign_in(browser.get("/login/company").location)
    assert site.stranger().get(back).status_code == 403, "another browser never asked"
    assert browser.get(back).status_code == 302
    assert browser.get(back).status_code == 403, "not again"
    state = back.rsplit("state=", 1)[1]
    for path in ("", "?code=x", f"?state={state}", "?code=x&state=forged", "?error=access_denied&state=forged"):
        assert site.stranger().get(f"/login/company/back{path}").status_code == 403, path


def test_a_cookie_from_before_does_not_make_an_answer_good_again(site: Site, provider: Provider) -> None:
    browser = site.stranger()
    back = provider.sign_in(browser.get("/login/company").location)
    cookie = browser.client.get_cookie("tankwatch")
    assert cookie is not None
    assert browser.get(back).status_code == 302
    thief = site.stranger()
    thief.client.set_cookie("tankwatch", cookie.value)
    assert thief.get(back).status_code == 403, "the provider takes each code once"


def test_a_provider_that_is_away_is_said(site: Site, provider: Provider, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(provider, "issuer", "http://127.0.0.1:1")
    (tmp_path / "b").mkdir()
    away = site_for(provider, tmp_path / "b", monkeypatch)
    answer = away.stranger().get("/login/company")
    assert (answer.status_code, "cannot be reached" in answer.text) == (403, True)


def test_a_disabled_user_does_not_come_in_this_way_either(site: Site, provider: Provider) -> None:
    come_back(site, provider)
    with site.engine.begin() as connection:
        accounts.change(connection, "nora", Change(disabled=True), Act(at=2.0))
    answer = come_back(site, provider)
    assert (answer.status_code, "disabled" in answer.text) == (403, True)


@pytest.mark.parametrize("name", ["admin", "a b", "<b>x", "", None])
def test_nobody_gets_a_local_users_account_or_an_odd_name(site: Site, provider: Provider, name: str | None) -> None:
    before = accounts.all_users(site.engine)
    provider.person = {"sub": "99", "preferred_username": name}
    answer = come_back(site, provider)
    assert (answer.status_code, "<b>x" in answer.text) == (403, False)
    assert accounts.all_users(site.engine) == before


def test_only_verified_addresses_of_the_companys_domains_come_in(provider: Provider, tmp_path, monkeypatch) -> None:
    site = site_for(provider, tmp_path, monkeypatch, domains=("plant.example",))
    for email, verified, status in (
        ("nora@plant.example", True, 302),
        ("nora@plant.example", False, 403),
        ("nora@plant.example", "true", 403),
        ("nora@plant.example.evil.example", True, 403),
        ("nora@evil.example", True, 403),
        (None, True, 403),
    ):
        provider.person = provider.person | {"email": email, "email_verified": verified}
        assert come_back(site, provider).status_code == status, (email, verified)


def test_the_provider_gives_and_takes_roles_where_it_is_told_to(provider: Provider, tmp_path, monkeypatch) -> None:
    site = site_for(provider, tmp_path, monkeypatch, role_claim="groups", default_role="none")
    plain = provider.person
    assert come_back(site, provider).status_code == 403, "no role, no entry"
    for groups, role in ((["staff", "expert", "quality"], "quality"), ("expert", "expert"), (["viewer"], "viewer")):
        provider.person = plain | {"groups": groups}
        assert come_back(site, provider).status_code == 302
        held = found(site, "nora")
        assert held is not None and held.role == role
    provider.person = plain | {"groups": ["king", 7, None]}
    assert come_back(site, provider).status_code == 403


def test_who_has_no_password_sets_others_only_shortly_after_signing_in(site: Site, provider: Provider) -> None:
    browser = site.stranger()
    come_back(site, provider, browser)
    with site.engine.begin() as connection:
        accounts.change(connection, "nora", Change(role="admin"), Act(at=2.0))
    come_back(site, provider, browser)
    page, new = "/users/expert/password", {"new": "another long one", "own": ""}
    assert "within 10 minutes" in browser.text(page)
    began_at = tables.sessions.c.began_at
    with site.engine.begin() as connection:
        connection.execute(sa.update(tables.sessions).values(began_at=began_at - confirming.FRESH_MIN * 60))
    refused = browser.send(page, new)
    assert (refused.status_code, "10 minutes ago, limit 10" in refused.get_data(as_text=True)) == (401, True)
    come_back(site, provider, browser)
    assert browser.send(page, new).status_code == 302
    assert site.stranger().sign_in("expert", "another long one").status_code == 302
    own = {"current": "", "new": "another long one", "again": "another long one"}
    assert browser.send("/password", own, on="/users").status_code == 400, "the company keeps hers"
    assert site.stranger().sign_in("nora", "another long one").status_code == 401


def test_a_kept_form_goes_on_after_the_company_sign_in_in_a_second_tab(site: Site, provider: Provider) -> None:
    provider.person = provider.person | {"sub": "77", "preferred_username": "quinn"}
    come_back(site, provider)
    with site.engine.begin() as connection:
        accounts.change(connection, "quinn", Change(role="quality"), Act(at=2.0))
    browser = site.stranger()
    page = browser.client.post("/datasets", data={"name": "weekly"}, headers=OURS).text
    kept = page.split('name="kept" value="')[1].split('"')[0]
    assert "in a new tab" in page
    come_back(site, provider, browser, following="/signed-in")
    assert "weekly" in browser.post("/login/resume", {"kept": kept}).text


def test_an_unfinished_configuration_is_one_clear_line(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.delenv("TANKWATCH_OIDC", raising=False)
    oidc = OidcConfig(issuer="https://id.example", client_id=CLIENT, secret_env="TANKWATCH_OIDC")
    with pytest.raises(ConfigError, match="needs url"):
        create_app(CloudConfig(data_dir=str(tmp_path), oidc=oidc))
    plain = msgspec.structs.replace(oidc, issuer="http://id.example")
    with pytest.raises(ConfigError, match="https"):
        create_app(CloudConfig(data_dir=str(tmp_path), oidc=plain, web=WEB))
    with pytest.raises(ConfigError, match="TANKWATCH_OIDC is not set"):
        create_app(CloudConfig(data_dir=str(tmp_path), oidc=oidc, web=WEB))


def _nobody_comes_in(site: Site, provider: Provider) -> None:
    browser, given = site.stranger(), provider.given
    answer = come_back(site, provider, browser)
    assert provider.given == given + 1, "it was the token that was refused"
    assert (answer.status_code, "does not hold" in answer.text) == (403, True)
    assert browser.get("/cases").status_code == 302
    assert found(site, "nora") is None
    assert PASSWORD not in answer.text


def test_answers_that_nobody_asked_for_fill_no_log_and_end_no_session(site: Site) -> None:
    browser = site.browser("expert")
    for _ in range(FAILURES_ADDRESS + 5):
        assert browser.get("/login/company/back?code=x&state=forged").status_code == 403
    assert browser.get("/review").status_code == 200
    failed = sa.select(sa.func.count()).where(audit.c.did == "sign_in_company_failed")
    with site.engine.connect() as connection:
        assert connection.scalar(failed) == FAILURES_ADDRESS
