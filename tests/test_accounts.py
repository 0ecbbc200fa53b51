"""Users, roles and sessions: who may do what, when a session ends, and what the audit log knows of it."""

import contextlib
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import flask
import pytest
import sqlalchemy as sa
from desk_site import ONE_OF_EACH_ROLE, PASSWORD, Site, token_in

from cloud_sync import accounts, audit_log, db, roles, sessions, sign_in, tables, throttle, user_command
from cloud_sync import config as cloud_config
from cloud_sync.accounts import Act, Change
from cloud_sync.config import WebConfig
from cloud_sync.tables import audit
from edge_agent.errors import ConfigError

pytestmark = pytest.mark.usefixtures("quick_passwords")


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path, people=ONE_OF_EACH_ROLE)


def test_a_viewer_sees_and_an_expert_judges_and_neither_may_do_the_others_part() -> None:
    assert roles.may("viewer", "viewer") and not roles.may("viewer", "expert")
    assert roles.may("expert", "expert") and not roles.may("expert", "viewer")
    assert all(roles.may("quality", right) for right in ("viewer", "expert", "quality"))
    assert not roles.may("quality", "admin")
    assert all(roles.may("admin", right) for right in roles.ROLES)
    assert roles.may("expert", "viewer", "expert"), "any of them will do"


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/review", {"expert", "quality", "admin"}),
        ("/cases", {"viewer", "quality", "admin"}),
        ("/cases.csv", {"viewer", "quality", "admin"}),
        ("/datasets", {"viewer", "quality", "admin"}),
        ("/stations", {"viewer", "quality", "admin"}),
        ("/audit", {"quality", "admin"}),
        ("/users", {"admin"}),
        ("/tokens", {"admin"}),
        ("/signed-in", {"viewer", "expert", "quality", "admin"}),
    ],
)
def test_each_page_opens_for_its_roles_alone(site: Site, path: str, allowed: set[str]) -> None:
    for role in roles.ROLES:
        assert site.browser(role).get(path).status_code == (200 if role in allowed else 403), role


def test_everybody_comes_to_the_page_where_their_work_is(site: Site) -> None:
    assert site.browser("viewer").get("/").headers["Location"] == "/cases"
    assert site.browser("expert").get("/").headers["Location"] == "/review"


def test_a_viewer_changes_nothing_anywhere(site: Site) -> None:
    case_id = site.case()
    viewer = site.browser("viewer")
    token = token_in(viewer.text("/cases"))
    for path in _posting(site, case_id):
        if path not in ("/login", "/logout", "/login/resume", "/password", "/password/sessions"):
            assert viewer.post(path, {"csrf_token": token, "judgement": "ok"}).status_code == 403, path


def test_no_page_takes_a_form_without_its_token(site: Site) -> None:
    case_id = site.case()
    admin = site.browser("admin")
    for path in _posting(site, case_id):
        if path != "/login/resume":  # it only shows what is kept
            assert admin.post(path, {"judgement": "ok", "familiar": "yes"}).status_code == 400, path
            assert admin.post(path, {"csrf_token": "forged"}).status_code == 400, path


@pytest.mark.parametrize("change", [Change(role="viewer"), Change(password="another long one"), Change(disabled=True)])
def test_a_new_role_a_new_password_or_disabling_end_the_open_sessions(site: Site, change: Change) -> None:
    browser = site.browser("quality")
    assert browser.get("/audit").status_code == 200
    with site.engine.begin() as connection:
        accounts.change(connection, "quality", change, Act(at=2.0))
    assert browser.get("/audit").headers["Location"].startswith("/login")


def test_a_disabled_user_does_not_come_in_until_enabled(site: Site) -> None:
    with site.engine.begin() as connection:
        accounts.change(connection, "expert", Change(disabled=True), Act(at=2.0))
    assert site.stranger().sign_in("expert", PASSWORD).status_code == 401
    with site.engine.begin() as connection:
        accounts.change(connection, "expert", Change(disabled=False), Act(at=3.0))
    assert site.stranger().sign_in("expert", PASSWORD).status_code == 302


def test_a_session_ends_after_its_hours(tmp_path: Path) -> None:
    site = Site(tmp_path, web=WebConfig(session_h=2, idle_min=10), people=ONE_OF_EACH_ROLE)
    browser = site.browser("expert")
    _began_earlier(site, 2 * 3600 - 60)
    assert browser.get("/review").status_code == 200, "not yet"
    _began_earlier(site, 61)
    assert browser.get("/review").status_code == 302
    site.browser("viewer")
    assert [name for name, _ in _sessions(site)] == ["viewer"], "with the next sign-in its row goes"


def test_a_session_ends_after_idleness(tmp_path: Path) -> None:
    site = Site(tmp_path, web=WebConfig(session_h=2, idle_min=10), people=ONE_OF_EACH_ROLE)
    browser = site.browser("expert")
    for ago_s, status in ((10 * 60 - 60, 200), (10 * 60 + 1, 302)):
        with browser.client.session_transaction() as session:
            session["seen_at"] -= ago_s
        assert browser.get("/review").status_code == status


def test_a_copied_cookie_is_dead_after_signing_out(site: Site) -> None:
    browser, elsewhere, thief = site.browser("viewer"), site.browser("viewer"), site.stranger()
    cookie = browser.client.get_cookie("tankwatch")
    assert cookie is not None
    thief.client.set_cookie("tankwatch", cookie.value)
    assert thief.get("/cases").status_code == 200, "it was one"
    signed_out = browser.send("/logout", {}, on="/cases")
    assert signed_out.headers["Clear-Site-Data"] == '"cache"'
    assert thief.get("/cases").status_code == 302
    assert elsewhere.get("/cases").status_code == 200, "only this session has ended"


def test_signing_in_again_ends_the_session_before(site: Site) -> None:
    browser, thief = site.browser("viewer"), site.stranger()
    cookie = browser.client.get_cookie("tankwatch")
    assert cookie is not None
    browser.sign_in("viewer", PASSWORD)
    thief.client.set_cookie("tankwatch", cookie.value)
    assert thief.get("/cases").status_code == 302 and browser.get("/cases").status_code == 200


def test_a_sign_in_by_a_password_that_is_changed_at_this_moment_is_dead(site: Site) -> None:
    with site.engine.connect() as connection:
        found = accounts.with_password(connection, "viewer", PASSWORD)
    assert found is not None
    with site.engine.begin() as connection:
        accounts.change(connection, "viewer", Change(password="another long one"), Act(at=2.0))
    browser = site.stranger()
    with site.app.test_request_context():
        sessions.begin(found)
        stale = site.app.session_interface.get_signing_serializer(site.app).dumps(dict(flask.session))  # type: ignore[attr-defined]
    browser.client.set_cookie("tankwatch", stale)
    assert browser.get("/cases").status_code == 302


def test_whoever_goes_on_working_stays_but_a_page_that_asks_by_itself_is_nobody(site: Site) -> None:
    browser = site.browser("expert")
    for headers, renewed in (({"X-Tankwatch-Background": "1"}, False), ({}, True)):
        with browser.client.session_transaction() as session:
            session["seen_at"] -= 1800
        browser.get("/review", headers=headers)
        with browser.client.session_transaction() as session:
            assert (db.now() - session["seen_at"] < 60) is renewed


def test_an_administrator_adds_changes_and_disables_users(site: Site) -> None:
    admin = site.browser("admin")
    added = admin.send("/users", {"name": "nora", "password": PASSWORD, "role": "expert", "own": PASSWORD})
    assert added.status_code == 302
    nora = site.browser("nora")
    assert admin.send("/users/nora/role", {"value": "viewer"}, on="/users").status_code == 302
    assert nora.get("/cases").status_code == 302, "her session has ended"
    assert site.browser("nora").get("/cases").status_code == 200
    assert admin.send("/users/nora/password", {"new": "something else!", "own": PASSWORD}).status_code == 302
    assert site.stranger().sign_in("nora", PASSWORD).status_code == 401
    assert admin.send("/users/nora/disable", {}, on="/users").status_code == 302
    assert "disabled" in admin.text("/users")
    assert admin.send("/users/nora/enable", {}, on="/users").status_code == 302
    assert admin.send("/users/nora/end", {}, on="/users").status_code == 302
    assert [line for line in _acts(site) if line[1] == "user_changed"] == [
        ("admin", "user_changed", "nora: role viewer"),
        ("admin", "user_changed", "nora: new password"),
        ("admin", "user_changed", "nora: disabled"),
        ("admin", "user_changed", "nora: enabled"),
        ("admin", "user_changed", "nora: sessions ended"),
    ]


@pytest.mark.parametrize(
    ("path", "fields", "words"),
    [
        ("/users", {"name": "e v a", "password": PASSWORD, "role": "expert"}, "cannot be added"),
        ("/users", {"name": "eva\n", "password": PASSWORD, "role": "expert"}, "cannot be added"),
        ("/users", {"name": "<b>eva", "password": PASSWORD, "role": "expert"}, "cannot be added"),
        ("/users", {"name": "eva", "password": "short", "role": "expert"}, "at least 10"),
        ("/users", {"name": "eva", "password": PASSWORD, "role": "king"}, "cannot be added"),
        ("/users", {"name": "expert", "password": PASSWORD, "role": "admin"}, "already"),
        ("/users/nobody/disable", {}, "no user"),
        ("/users/expert/role", {"value": "king"}, "no role"),
        ("/users/expert/password", {"new": "short"}, "at least 10"),
        ("/users/expert/crown", {}, "cannot be done"),
        ("/users/admin/disable", {}, "last administrator"),
        ("/users/admin/role", {"value": "viewer"}, "last administrator"),
    ],
)
def test_what_cannot_be_done_to_a_user_is_said_and_not_done(
    site: Site, path: str, fields: dict[str, str], words: str
) -> None:
    before = accounts.all_users(site.engine)
    answer = site.browser("admin").send(path, {"own": PASSWORD, **fields}, on="/users")
    assert (answer.status_code, words in answer.get_data(as_text=True)) == (400, True)
    assert "<b>eva" not in answer.get_data(as_text=True)
    assert accounts.all_users(site.engine) == before


def test_two_administrators_cannot_push_each_other_out_at_once(site: Site) -> None:
    accounts.add_user(site.engine, "ada", PASSWORD, "admin", now=1.0)
    faults = []

    def demote(name: str) -> None:
        try:
            with site.engine.begin() as connection:
                accounts.change(connection, name, Change(role="viewer"), Act(at=2.0))
        except ConfigError as error:
            faults.append(str(error))

    _at_once([lambda: demote("ada"), lambda: demote("admin")])
    assert len(faults) == 1
    assert [user.role for user in accounts.all_users(site.engine)].count("admin") == 1


def test_wrong_passwords_at_the_same_moment_are_counted_like_others(site: Site) -> None:
    now = db.now()

    def attempt() -> None:
        assert sign_in.attempt(site.engine, "expert", "wrong wrong wrong", "192.0.2.1", now=now) is None

    _at_once([attempt] * 20)
    did = [line[1] for line in _acts(site)]
    assert did.count("sign_in_failed") == throttle.FAILURES_NAME, "only so many were looked at"
    assert did.count("sign_in_throttled") == 1, "knocking does not fill the log"
    assert sign_in.attempt(site.engine, "expert", PASSWORD, "192.0.2.1", now=now) is None
    assert sign_in.attempt(site.engine, "expert", PASSWORD, "192.0.2.2", now=now) is not None
    assert audit_log.verified(site.engine, None).fault is None


def test_whoever_signs_in_rightly_is_never_throttled(site: Site) -> None:
    for number in range(40):
        assert sign_in.attempt(site.engine, "expert", PASSWORD, "192.0.2.1", now=1000.0 + number) is not None


def test_an_address_that_tries_many_names_has_to_wait(site: Site) -> None:
    for number in range(throttle.FAILURES_ADDRESS):
        sign_in.attempt(site.engine, f"name{number}", "wrong wrong wrong", "192.0.2.1", now=1000.0)
    assert sign_in.attempt(site.engine, "expert", PASSWORD, "192.0.2.1", now=1001.0) is None
    later = 1001.0 + throttle.FAILURES_WITHIN_S
    assert sign_in.attempt(site.engine, "expert", PASSWORD, "192.0.2.1", now=later) is not None


def test_a_user_changes_the_own_password_with_the_present_one_and_is_signed_out_elsewhere(site: Site) -> None:
    here, elsewhere = site.browser("viewer"), site.browser("viewer")
    new = {"new": "another long one", "again": "another long one"}
    assert here.send("/password", {"current": "wrong", **new}).status_code == 401
    assert here.send("/password", {"current": PASSWORD, "new": "short", "again": "short"}).status_code == 400
    assert here.send("/password", {"current": PASSWORD, "new": "another long one", "again": "other"}).status_code == 400
    assert here.send("/password", {"current": PASSWORD, **new}).status_code == 302
    assert here.get("/cases").status_code == 200 and elsewhere.get("/cases").status_code == 302
    assert site.stranger().sign_in("viewer", PASSWORD).status_code == 401
    assert site.stranger().sign_in("viewer", "another long one").status_code == 302
    with site.engine.connect() as connection:
        did = connection.scalars(sa.select(audit.c.did).where(audit.c.who == "viewer")).all()
    assert "password_failed" in did and "user_changed" in did


def test_guessing_the_present_password_is_slowed_down_like_signing_in(site: Site) -> None:
    browser = site.browser("viewer")
    new = {"new": "another long one", "again": "another long one"}
    for _ in range(throttle.FAILURES_NAME):
        browser.send("/password", {"current": "wrong", **new})
    assert browser.send("/password", {"current": PASSWORD, **new}).status_code == 401, "the right one, too late"


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("/users", {"name": "eva", "password": "another long one", "role": "admin"}),
        ("/users/expert/password", {"new": "another long one"}),
        ("/password/sessions", {"session": "others"}),
    ],
)
def test_an_open_session_alone_lets_nobody_in_and_ends_no_other(site: Site, path: str, fields: dict[str, str]) -> None:
    site.browser("admin")
    admin, before = site.browser("admin"), accounts.all_users(site.engine)
    for own in ({}, {"own": "wrong wrong wrong"}):
        answer = admin.send(path, {**fields, **own}, on="/users")
        assert (answer.status_code, "does not fit" in answer.get_data(as_text=True)) == (401, True)
    assert accounts.all_users(site.engine) == before and len(_sessions(site)) == 2
    assert site.stranger().sign_in("expert", PASSWORD).status_code == 302
    for _ in range(throttle.FAILURES_NAME):
        admin.send(path, {**fields, "own": "wrong wrong wrong"}, on="/users")
    assert admin.send(path, {**fields, "own": PASSWORD}, on="/users").status_code == 401, "the right one, too late"


def test_a_user_sees_where_he_is_signed_in_and_ends_it_there(site: Site) -> None:
    here, there, third = (site.browser("viewer") for _ in range(3))
    foreign = site.browser("expert")
    with there.client.session_transaction() as session:
        key = session["key"]
    page = here.text("/password")
    assert page.count("Sign out there") == 2 and page.count(">here<") == 1 and "from 127.0.0.1" in page
    ended = here.send("/password/sessions", {"session": key, "own": PASSWORD}, on="/password")
    assert ended.status_code == 302
    assert [one.get("/cases").status_code for one in (here, there, third)] == [200, 302, 200]
    here.send("/password/sessions", {"session": "others", "own": PASSWORD}, on="/password")
    assert [one.get("/cases").status_code for one in (here, third)] == [200, 302]
    assert foreign.get("/review").status_code == 200
    with here.client.session_transaction() as session:
        own = session["key"]
    foreign.send("/password/sessions", {"session": own, "own": PASSWORD}, on="/password")
    assert here.get("/cases").status_code == 200, "another's session is not found"
    acts = [line for line in _acts(site) if line[1] == "session_ended"]
    assert acts == [
        ("viewer", "session_ended", "1 of viewer"),
        ("viewer", "session_ended", "1 of viewer"),
        ("expert", "session_ended", "0 of expert"),
    ]


def test_a_browser_may_call_itself_anything(site: Site) -> None:
    browser = site.stranger()
    browser.client.environ_base["HTTP_USER_AGENT"] = "<b>\0" + "x" * 5000
    assert browser.sign_in("viewer", PASSWORD).status_code == 302
    page = browser.text("/password")
    assert "&lt;b&gt;xxx" in page and "<b>x" not in page and "x" * 300 not in page


def test_whoever_asks_for_what_his_role_may_not_leaves_a_line_and_never_fills_the_log(site: Site) -> None:
    viewer = site.browser("viewer")
    for _ in range(throttle.FAILURES_ADDRESS + 5):
        assert viewer.get("/users").status_code == 403
    with site.engine.connect() as connection:
        lines = connection.execute(sa.select(audit).where(audit.c.did == "access_failed")).all()
    assert {(line.who, line.about) for line in lines} == {("viewer", "GET /users")}
    assert len(lines) == throttle.FAILURES_ADDRESS


def test_whoever_may_not_hears_that_also_while_the_database_takes_nothing(site: Site, caplog) -> None:
    viewer = site.browser("viewer")
    sa.event.listen(site.engine, "begin", lambda connection: connection.exec_driver_sql("PRAGMA busy_timeout=10"))
    with contextlib.closing(sqlite3.connect(site.config.folder / "cloud.db")) as other:
        other.execute("BEGIN IMMEDIATE")
        assert viewer.get("/users").status_code == 403
    assert "refusal user=viewer of GET /users is not noted: database is locked" in caplog.text


def test_whatever_is_posted_leaves_a_line_even_where_its_page_forgot(site: Site) -> None:
    """A page that forgets is put beside the others; those that do not leave one line and no second."""
    answers = iter((("no", 400), ("done", 200)))
    site.app.add_url_rule("/forgets", "forgets", accounts.needs("quality")(lambda: next(answers)), methods=["POST"])
    case_id = site.case()
    quality = site.browser("quality")
    quality.send("/forgets", {}, on="/cases")
    assert _acts(site)[-1][1] == "sign_in", "what was refused is no act"
    quality.send("/forgets", {}, on="/cases")
    assert _acts(site)[-1] == ("quality", "forgets", "/forgets")
    before = len(_acts(site))
    quality.send(f"/review/{case_id}?again=1", {"judgement": "ok", "familiar": "yes"})
    assert _acts(site)[-1][:2] == ("quality", "judged")
    quality.send("/logout", {}, on="/cases")
    assert _acts(site)[-1] == ("quality", "sign_out", "")
    assert len(_acts(site)) == before + 2
    assert audit_log.verified(site.engine, None).fault is None


def test_the_audit_page_filters_and_goes_back_page_by_page(site: Site) -> None:
    for number in range(250):
        with site.engine.begin() as connection:
            audit_log.note(connection, who="<script>", did="did_it", about=f"thing {number} 100%", now=1e9 + number)
    quality = site.browser("quality")
    first = quality.text("/audit?who=%3Cscript%3E")
    assert "<script>" not in first and "&lt;script&gt;" in first
    assert "thing 249 " in first and "thing 149 " not in first
    older = first.split('href="/audit?before=')[1].split('"')[0].replace("&amp;", "&")
    second = quality.text(f"/audit?before={older}")
    assert "thing 149 " in second and "thing 249 " not in second
    assert "thing 77 " in quality.text("/audit?about=77+100%25&did=did_it")
    assert "No line fits" in quality.text("/audit?about=%25%25")
    assert "No line fits" in quality.text("/audit?until=1969-01-01")
    for wrong in ("from=yesterday", "before=x", "before=99999999999999999999"):
        assert "not understood" in quality.text(f"/audit?{wrong}")


def test_users_are_changed_from_the_command_line(site: Site, monkeypatch, capsys) -> None:
    path = site.folder / "cloud.toml"
    path.write_bytes(cloud_config.dump(site.config))
    monkeypatch.setenv(user_command.PASSWORD_VARIABLE, PASSWORD)

    def user(*words: str) -> int:
        return user_command.user([*words, "--config", str(path)])

    assert user("add", "nora") == 0
    browser = site.browser("nora")
    assert user("role", "nora", "--role", "viewer") == 0
    assert browser.get("/review").status_code == 302
    assert user("disable", "nora") == 0
    user("list")
    assert "nora\tviewer\tdisabled" in capsys.readouterr().out
    with pytest.raises(ConfigError, match="no role was named"):
        user("role", "nora")
    with pytest.raises(ConfigError, match="no user 'zoe'"):
        user("enable", "zoe")
    with pytest.raises(ConfigError, match="last administrator"):
        user("disable", "admin")


def _posting(site: Site, case_id: str) -> Iterator[str]:
    """Every address of a page that takes a form."""
    parts = {"case_id": case_id, "name": "expert", "what": "disable"}
    with site.app.test_request_context():
        from flask import url_for

        for rule in site.app.url_map.iter_rules():
            if "POST" in (rule.methods or ()) and not rule.endpoint.startswith("api."):
                yield url_for(rule.endpoint, **{name: parts.get(name, 1) for name in rule.arguments})


def _sessions(site: Site) -> list[tuple[str, str]]:
    """Whose and from which browser."""
    with site.engine.connect() as connection:
        rows = connection.execute(sa.select(tables.sessions.c.name, tables.sessions.c.browser))
        return sorted(tuple(row) for row in rows)


def _began_earlier(site: Site, by_s: float) -> None:
    """Every session."""
    began_at = tables.sessions.c.began_at
    with site.engine.begin() as connection:
        connection.execute(sa.update(tables.sessions).values(began_at=began_at - by_s))


def _acts(site: Site) -> list[tuple[str, str, str]]:
    with site.engine.connect() as connection:
        rows = connection.execute(sa.select(audit.c.who, audit.c.did, audit.c.about).order_by(audit.c.id))
        return [tuple(row) for row in rows]


def _at_once(work: list) -> None:
    threads = [threading.Thread(target=one) for one in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
