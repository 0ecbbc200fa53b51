"""/api/v1 for programs: what its description promises, as blind as the pages, and never a 5xx."""

from pathlib import Path

import jsonschema
import pytest
import sqlalchemy as sa
from desk_site import ONE_OF_EACH_ROLE, Site

from benchmarks import web_fuzz
from cloud_sync import audit_log, db, tokens
from cloud_sync.accounts import Act
from cloud_sync.roles import ROLES
from cloud_sync.tables import audit, reviews, withdrawals
from cloud_sync.tables import tokens as token_table
from edge_agent.errors import ConfigError

pytestmark = pytest.mark.usefixtures("quick_passwords")
JUDGED = {"judgement": "ok", "familiar": True, "seen": "debris", "note": "particles"}
BASE = "/api/v1"


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path, people=ONE_OF_EACH_ROLE)


def ask(site: Site, path: str, headers: dict[str, str] | None = None, **more):
    return site.app.test_client().get(BASE + path, headers=headers or {}, **more)


def test_each_operation_opens_for_its_rights_alone(site: Site) -> None:
    case_id = site.case()
    allowed = {
        "/cases": {"viewer", "quality", "admin"},
        f"/cases/{case_id}": set(ROLES),
        f"/cases/{case_id}/reviews": {"viewer", "quality", "admin"},
        "/queue": set(ROLES),
        "/datasets": {"viewer", "quality", "admin"},
        "/models": {"viewer", "quality", "admin"},
        "/stations": {"viewer", "quality", "admin"},
        "/audit/head": {"quality", "admin"},
    }
    headers = {role: site.token(role) for role in ROLES}
    for path, roles in allowed.items():
        assert {role for role in ROLES if ask(site, path, headers[role]).status_code == 200} == roles, path
    judged = site.app.test_client().post(f"{BASE}/cases/{case_id}/reviews", json=JUDGED, headers=headers["viewer"])
    assert (judged.status_code, judged.json["error"]["code"]) == (403, "role")


def test_an_expert_stays_blind_until_having_judged(site: Site) -> None:
    case_id = site.case()
    headers = site.token("expert", name="erna")
    before = ask(site, f"/cases/{case_id}", headers)
    assert before.json["told"] is None
    assert before.json["clip"] == "ready"
    assert not any(word in before.text for word in ("leak", "disagreement", "score", "0.98"))
    refused = ask(site, f"/cases/{case_id}/reviews", headers)
    assert (refused.status_code, refused.json["error"]["code"]) == (403, "blind")
    added = site.app.test_client().post(f"{BASE}/cases/{case_id}/reviews", json=JUDGED, headers=headers)
    assert added.status_code == 201
    (review,) = added.json["reviews"]
    assert (review["reviewer"], review["judgement"], review["note"]) == ("token:erna", "ok", "particles")
    assert ask(site, f"/cases/{case_id}", headers).json["told"]["verdict"] == "leak"
    assert review["withdrawn"] is False
    assert ask(site, f"/cases/{case_id}/reviews", headers).json == added.json
    other = site.token("expert", name="emil")
    assert ask(site, f"/cases/{case_id}", other).json["told"] is None, "the next one is as blind"
    with site.engine.connect() as connection:
        line = connection.execute(sa.select(audit).where(audit.c.did == "judged")).one()
    assert (line.who, line.about) == ("token:erna", f"{case_id} revision 1: ok")


@pytest.mark.parametrize("path", ["/cases/{}", "/cases/{}/reviews"])
def test_a_quality_engineer_who_was_told_everything_judges_no_longer_blind(site: Site, path: str) -> None:
    told, untold = site.case(1), site.case(2)
    headers = site.token("quality", name="quinn")
    assert ask(site, path.format(told), headers).status_code == 200
    for case_id in (told, untold):
        added = site.app.test_client().post(f"{BASE}/cases/{case_id}/reviews", json=JUDGED, headers=headers)
        assert added.status_code == 201
    with site.engine.connect() as connection:
        said = connection.execute(sa.select(reviews.c.case_id, reviews.c.blind)).all()
    assert dict(map(tuple, said)) == {told: False, untold: True}


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"judgement": "maybe"}, 400, "bad_body"),
        ({"judgement": "ok"}, 422, "incomplete"),
        ({"judgement": "ok", "familiar": True, "seen": "stream"}, 422, "incomplete"),
        ({"judgement": "ok", "familiar": True, "verdict": "leak"}, 400, "bad_body"),
        ({"judgement": "ok", "familiar": True, "note": "x" * 2001}, 400, "bad_body"),
        ({"judgement": "ok", "familiar": True, "note": "a\0b"}, 400, "bad_body"),
        ([], 400, "bad_body"),
        ({"judgement": "ok", "familiar": True, "note": "x" * 10_000_000}, 413, "request_entity_too_large"),
    ],
)
def test_a_judgement_that_does_not_fit_is_refused_with_a_word(site: Site, body, status: int, code: str) -> None:
    case_id = site.case()
    headers = site.token("expert")
    answer = site.app.test_client().post(f"{BASE}/cases/{case_id}/reviews", json=body, headers=headers)
    assert (answer.status_code, answer.json["error"]["code"]) == (status, code)
    with site.engine.connect() as connection:
        assert connection.execute(sa.select(reviews)).all() == []


@pytest.mark.parametrize("data", [b"", b"{", b"\xff", b'{"judgement":"ok","note":"\\ud800"}', b"[" * 60_000])
def test_a_body_that_is_no_json_is_refused(site: Site, data: bytes) -> None:
    case_id, headers = site.case(), site.token("expert")
    path = f"{BASE}/cases/{case_id}/reviews"
    client = site.app.test_client()
    assert client.post(path, data=data, content_type="application/json", headers=headers).status_code == 400
    assert client.post(path, data=data, content_type="text/plain", headers=headers).status_code == 415


def test_without_a_video_only_cannot_tell_is_taken(site: Site) -> None:
    case_id, headers = site.case(with_clip=False), site.token("expert")
    path, client = f"{BASE}/cases/{case_id}/reviews", site.app.test_client()
    assert client.post(path, json=JUDGED, headers=headers).status_code == 409
    assert client.post(path, json={"judgement": "cannot_tell"}, headers=headers).status_code == 201
    missing = client.post(f"{BASE}/cases/none/reviews", json=JUDGED, headers=headers)
    assert (missing.status_code, missing.json["error"]["code"]) == (404, "not_found")


def test_cases_are_filtered_and_paged_without_one_twice_or_none(site: Site) -> None:
    for sequence in range(1, 8):
        site.case(sequence, with_clip=False, verdict="leak" if sequence % 2 else "ok", decision="ok")
    headers, found, cursor, pages = site.token("viewer"), [], "", 0
    while cursor is not None:
        page = ask(site, "/cases", headers, query_string={"limit": 2} | ({"cursor": cursor} if cursor else {})).json
        found += [case["sequence"] for case in page["cases"]]
        cursor, pages = page["next"], pages + 1
    assert (found, pages) == ([7, 6, 5, 4, 3, 2, 1], 4)
    asked = {"verdict": "leak", "since": "2026-11-20T14:03:00Z", "until": "2026-11-20T16:07:00+02:00", "bundle": 3}
    page = ask(site, "/cases", headers, query_string=asked).json
    assert [case["sequence"] for case in page["cases"]] == [5, 3]
    assert ask(site, "/cases", headers, query_string={"station": "TANK9"}).json == {"cases": [], "next": None}
    assert ask(site, "/cases", headers, query_string={"clarity_below": 0.5}).json["cases"] == []


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=201", "limit=x", "verdict=maybe", "since=yesterday", "since=2026-11-20T14:00:00", "cursor=zz",
     "cursor=00", "bundle=99999999999999999999", "clarity_below=nan", "colour=red", "limit=1&limit=2", "serial="],
)  # fmt: skip
def test_a_query_that_does_not_fit_is_refused_with_a_word(site: Site, query: str) -> None:
    answer = ask(site, f"/cases?{query}", site.token("viewer"))
    assert answer.status_code == 400
    assert answer.json["error"]["words"].startswith(("This query", "This cursor", "'limit'"))


def test_datasets_and_their_manifests_are_given(site: Site) -> None:
    case_id = site.case()
    quality = site.browser("quality")
    quality.send(f"/review/{case_id}", {"judgement": "ok", "familiar": "no"})
    quality.send("/datasets", {"name": "weekly"})
    headers = site.token("viewer")
    (held,) = ask(site, "/datasets", headers).json["datasets"]
    assert (held["name"], held["version"], held["counts"]) == ("weekly", 1, {"test": 1})
    assert ask(site, "/datasets/weekly/1", headers).json == held
    manifest = ask(site, "/datasets/weekly/1/manifest", headers)
    assert (manifest.mimetype, case_id in manifest.text) == ("application/jsonl", True)
    for path in ("/datasets/weekly/2", "/datasets/none/1", "/datasets/weekly/x", "/datasets/weekly/2/manifest"):
        assert ask(site, path, headers).status_code == 404
    assert ask(site, "/datasets/weekly/99999999999999999999", headers).status_code == 404


def test_the_audit_head_is_the_one_that_was_published(site: Site) -> None:
    headers = site.token("quality")
    assert ask(site, "/audit/head", headers).json["published"] is None
    head = audit_log.publish(site.engine, site.folder / "heads", 5.0)
    told = ask(site, "/audit/head", headers).json
    assert (told["last_id"], told["hash"]) == (head.last_id, head.hash)
    assert told["published"] == {"at": "1970-01-01T00:00:05Z", "last_id": head.last_id, "hash": head.hash}


def test_no_token_a_wrong_an_expired_and_a_revoked_one_are_refused(site: Site) -> None:
    old = site.token("viewer", name="old", now=1.0)
    gone = site.token("viewer", name="gone")
    with site.engine.begin() as connection:
        tokens.revoke(connection, "gone", Act(at=db.now()))
    for headers in (old, gone, {"Authorization": "Bearer tw_forged"}, {"Authorization": "Bearer "}):
        answer = ask(site, "/queue", headers)
        assert (answer.status_code, answer.json["error"]["code"]) == (401, "bad_token")
    for headers in ({}, {"Authorization": "Basic YWRtaW46YWRtaW4="}, {"Authorization": "tw_x"}):
        answer = ask(site, "/queue", headers)
        assert (answer.status_code, answer.json["error"]["code"]) == (401, "no_token")
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")


def test_a_signed_in_browser_is_nobody_to_the_api(site: Site) -> None:
    """So no other site can use its cookie there, and no form token is needed."""
    assert site.browser("admin").get("/api/v1/cases").status_code == 401


def test_guessing_tokens_is_slowed_down_and_good_ones_go_on(site: Site) -> None:
    good = site.token("viewer")
    codes = [ask(site, "/queue", {"Authorization": f"Bearer tw_{n}"}).status_code for n in range(40)]
    assert codes == [401] * 30 + [429] * 10
    answer = ask(site, "/queue", {"Authorization": "Bearer tw_x"})
    assert answer.headers["Retry-After"] == "900"
    assert ask(site, "/queue", good).status_code == 200


def test_a_token_is_kept_as_a_hash_and_its_use_noted_once_a_minute(site: Site) -> None:
    headers = site.token("viewer")
    secret = headers["Authorization"].split()[1]
    ask(site, "/queue", headers)
    with site.engine.connect() as connection:
        row = connection.execute(sa.select(token_table)).one()
    assert secret not in str(tuple(row))
    assert row.used_at is not None
    ask(site, "/queue", headers)
    with site.engine.connect() as connection:
        assert connection.execute(sa.select(token_table)).one().used_at == row.used_at
    assert secret.encode() not in (site.config.folder / "cloud.db").read_bytes()


def test_an_administrator_makes_a_token_on_its_page_sees_it_once_and_revokes_it(site: Site) -> None:
    admin = site.browser("admin")
    fields = {"name": "ci", "role": "viewer", "days": "30"}
    made = admin.send("/tokens", fields)
    secret = made.text.split('id="secret">')[1].split("<")[0]
    headers = {"Authorization": f"Bearer {secret}"}
    assert ask(site, "/cases", headers).status_code == 200
    assert secret not in admin.text("/tokens")
    for wrong in ({}, {"days": "0"}, {"days": "731"}, {"days": "²"}, {"days": "x"}, {"role": "king"}, {"name": "a b"}):
        answer = admin.send("/tokens", fields | {"name": "other"} | wrong if wrong else fields)
        assert answer.status_code == 400, wrong
    assert admin.send("/tokens/ci/revoke", {}, on="/tokens").status_code == 302
    assert ask(site, "/cases", headers).status_code == 401
    assert admin.send("/tokens/ci/revoke", {}, on="/tokens").status_code == 400
    with site.engine.connect() as connection:
        did = connection.scalars(sa.select(audit.c.did).where(audit.c.who == "admin")).all()
    assert did[-2:] == ["token_added", "token_revoked"]


def test_tokens_are_made_listed_and_revoked_from_the_command_line(site: Site, capsys) -> None:
    from cloud_sync import config as cloud_config
    from cloud_sync.token_command import token

    path = site.folder / "cloud.toml"
    path.write_bytes(cloud_config.dump(site.config))
    assert token(["add", "ci", "--role", "quality", "--days", "7", "--config", str(path)]) == 0
    secret = capsys.readouterr().out.strip()
    assert ask(site, "/audit/head", {"Authorization": f"Bearer {secret}"}).status_code == 200
    token(["list", "--config", str(path)])
    assert capsys.readouterr().out == "ci\tquality\tvalid\n"
    token(["revoke", "ci", "--config", str(path)])
    assert ask(site, "/audit/head", {"Authorization": f"Bearer {secret}"}).status_code == 401
    with pytest.raises(ConfigError, match="1 to 730 days"):
        token(["add", "x", "--days", "9999", "--config", str(path)])


def test_what_is_not_there_is_told_in_the_same_shape(site: Site) -> None:
    client = site.app.test_client()
    nothing, method = client.get("/api/v1/nothing"), client.delete("/api/v1/cases")
    assert (nothing.status_code, nothing.json["error"]["code"]) == (404, "not_found")
    assert (method.status_code, method.json["error"]["code"]) == (405, "method_not_allowed")
    assert set(method.headers["Allow"].split(", ")) == {"GET", "HEAD", "OPTIONS"}


def test_the_description_is_openapi_and_names_every_address(site: Site) -> None:
    told = site.app.test_client().get("/api/v1/openapi.json").json
    assert told["openapi"] == "3.1.0"
    rules = {
        rule.rule.replace("<", "{").replace(">", "}")
        for rule in site.app.url_map.iter_rules()
        if rule.endpoint.startswith("api.") and rule.endpoint != "api.document_json"
    }
    assert set(told["paths"]) == rules
    for schema in told["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)


# --- whatever is sent


def everything_sent(site: Site, *, examples: int) -> int:
    """Schemathesis's requests, right and wrong ones, against each operation; how many there were."""
    case_id, bare = site.case(), site.case(2, with_clip=False)
    quality = site.browser("quality")
    quality.send(f"/review/{case_id}", {"judgement": "ok", "familiar": "no"})
    quality.send("/datasets", {"name": "weekly"})
    known = {"case_id": [case_id, bare, "none"], "name": ["weekly", "none"], "version": [1, 2]}
    sent = web_fuzz.api(site.app, site.token("admin", days=700), known, examples=examples)
    assert sent.faults == []
    return sent.requests


def test_whatever_is_sent_is_answered_as_described_and_never_with_5xx(site: Site) -> None:
    assert everything_sent(site, examples=10) >= 90


@pytest.mark.full
@pytest.mark.timeout(3000)
def test_twenty_thousand_requests_are_answered_as_described_and_never_with_5xx(site: Site) -> None:
    assert everything_sent(site, examples=2100) >= 20_000


def test_a_judgement_that_was_taken_back_says_so(site: Site) -> None:
    case_id = site.case()
    with site.engine.begin() as connection:
        row = {"case_id": case_id, "revision": 1, "reviewer": "erna", "judgement": "leak", "note": "", "at": 1.0}
        number = connection.scalar(sa.insert(reviews).values(row).returning(reviews.c.id))
        connection.execute(sa.insert(withdrawals).values(review_id=number, at=2.0))
    (review,) = ask(site, f"/cases/{case_id}/reviews", site.token("viewer")).json["reviews"]
    assert (review["judgement"], review["withdrawn"]) == ("leak", True)
