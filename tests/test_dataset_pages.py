"""Datasets, errors and label consistency as a quality engineer works with them."""

import io
import json
import tarfile
from pathlib import Path

import pytest
import sqlalchemy as sa
from desk_site import PASSWORD, Site

from cloud_sync import accounts, db, desire, judged_cases, standards, tagging
from cloud_sync.tables import audit, reviews, sent, stations, truths
from edge_agent.errors import ConfigError
from edge_agent.records import Sampled

POLICY = "version = 3\nsecond_share = 0.0\ngold_share = 0.0\n[pool]\ntraining_share = 1.0\nheld_out_share = 0.0\n"


@pytest.fixture
def site(tmp_path: Path, monkeypatch) -> Site:
    (tmp_path / "policy.toml").write_text(POLICY)
    monkeypatch.setattr("cloud_sync.policy_file.SHIPPED", tmp_path / "policy.toml")
    return Site(tmp_path)


@pytest.fixture
def judged(site: Site) -> Site:
    """Twelve cases: the machine missed three leaks in murky water, and was right about the rest."""
    erna = site.browser("erna")
    for number in range(1, 13):
        missed = number <= 3
        about = {"verdict": "ok", "decision": "leak" if missed else "ok"}
        case_id = site.case(number, **about, started_at=_recent(number))
        erna.judge(case_id, "leak" if missed else "ok")
    return site


def _recent(number: int) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(db.now() - 3600 + number, UTC).isoformat()


def case_ids(site: Site) -> list[str]:
    with site.engine.connect() as connection:
        return list(connection.scalars(sa.select(truths.c.case_id).order_by(truths.c.case_id)))


def done(site: Site) -> list[str]:
    with site.engine.connect() as connection:
        return list(connection.scalars(sa.select(audit.c.did).order_by(audit.c.id)))


def test_a_version_is_made_browsed_compared_and_exported(judged: Site, tmp_path: Path) -> None:
    quinn = judged.browser("quinn")
    assert "at most 20 of one class" in quinn.text("/datasets")
    assert quinn.send("/datasets", {"name": "weekly"}).location.endswith("/datasets/weekly/1")
    page = quinn.text("/datasets/weekly/1")
    assert page.count("data-case=") == 12 and "plant/TANK1" in page
    assert quinn.text("/datasets/weekly/1?split=train&label=leak&familiar=yes").count("data-case=") == 3
    assert quinn.text("/datasets/weekly/1?verdict=leak").count("data-case=") == 0
    assert quinn.text("/datasets/weekly/1?kind=%27%20OR%201%3D1&tag=x").count("data-case=") == 0
    judged.browser("erna").judge(judged.case(20, verdict="ok", decision="ok"), "ok")
    quinn.send("/datasets", {"name": "weekly"})
    compared = quinn.text("/datasets/weekly/2/compare?with=weekly/1")
    assert compared.count("<td>added</td>") == 1 and "<td>moved</td>" not in compared
    for bad in ("weekly/9", "weekly", "", "x/y", "weekly/99999999999"):
        assert quinn.get(f"/datasets/weekly/2/compare?with={bad}").status_code == 404
    with tarfile.open(fileobj=io.BytesIO(quinn.get("/datasets/weekly/2/export.tar").data)) as tar:
        tar.extractall(tmp_path / "out", filter="data")
    lines = (tmp_path / "out/weekly-2/manifest.jsonl").read_text().splitlines()
    assert all((tmp_path / "out/weekly-2" / json.loads(line)["video"]).is_file() for line in lines) and len(lines) == 13
    assert done(judged).count("dataset_released") == 2
    assert quinn.send("/datasets", {"name": "weekly"}).location.endswith("/datasets/weekly/2")
    assert done(judged).count("dataset_released") == 2, "nothing was released"


def test_a_manifest_tells_who_judged_what_by_which_policy_and_what_training_does(judged: Site) -> None:
    quinn = judged.browser("quinn")
    quinn.send("/datasets", {"name": "weekly"})
    first, *_, last = map(json.loads, quinn.text("/datasets/weekly/1/manifest.jsonl").splitlines())
    assert (first["split"], last["split"]) == ("train", "pool")
    assert first["lineage"]["words"][0] | {"at": ""} == {
        "by": "erna",
        "at": "",
        "judgement": "leak",
        "revision": 1,
        "seen": None,
        "familiar": True,
        "purpose": "first",
        "blind": True,
    }
    assert (first["lineage"]["policy_version"], first["lineage"]["drawn"]) == (3, "a mistake with something familiar")
    assert first["lineage"]["augmentation"] == {"pictures": [], "feature_jitter": 0.1, "weight": 6.0}


def test_a_disputed_case_is_no_example_and_says_where_it_waits(judged: Site) -> None:
    disputed = case_ids(judged)[0]
    judged.browser("emil").judge(disputed, "ok", seen="trapped")
    quinn = judged.browser("quinn")
    page = quinn.text("/consistency")
    assert "leak / ok: trapped" in page and disputed in page
    assert 'id="state-conflict">1<' in page
    quinn.send("/datasets", {"name": "weekly"})
    assert disputed not in quinn.text("/datasets/weekly/1/manifest.jsonl")
    text = "Air that stops within 5 s is trapped: ok. <script>"
    assert quinn.send("/consistency?by=seen", {"subject": "leak / ok: trapped", "text": text}).status_code == 302
    with judged.engine.connect() as connection:
        (held,) = standards.current(connection)
    assert (held.text, held.written_by) == (text, "quinn")
    assert "&lt;script&gt;" in quinn.text("/consistency?by=station") and "<script>" not in quinn.text(
        "/consistency?by=tag"
    )
    assert quinn.send("/consistency", {"subject": "x" * 121, "text": "y"}).status_code == 400


def test_the_latest_standard_holds_and_an_empty_one_takes_it_back(site: Site) -> None:
    with site.engine.begin() as connection:
        for text in ("first", "second"):
            standards.write(connection, "trapped air", text, who="quinn", now=1.0)
        assert [one.text for one in standards.current(connection)] == ["second"]
        standards.write(connection, "trapped air", "", who="quinn", now=2.0)
        assert standards.current(connection) == []


def test_errors_are_found_tagged_and_sent_to_training(judged: Site) -> None:
    quinn, ids = judged.browser("quinn"), case_ids(judged)
    assert 'href="/errors/cases?group=sampled+for&amp;name=disagreement&amp;days=90"' in quinn.text("/errors")
    slice_page = "/errors/cases?group=station&name=plant/TANK1&days=90"
    assert quinn.text(slice_page).count('name="case"') == 3
    assert quinn.text(slice_page + "&all=1").count('name="case"') == 12
    assert quinn.send(slice_page, {"act": "tag", "tag": "foam", "case": ids[:2]}).status_code == 302
    assert quinn.text("/errors/cases?group=tag&name=foam").count('name="case"') == 2
    quinn.send(slice_page, {"act": "untag", "tag": "foam", "case": ids[:1]})
    assert quinn.text("/errors/cases?group=tag&name=foam").count('name="case"') == 1
    quinn.send(slice_page, {"act": "send", "case": [*ids[5:7], "no-such-case"]})
    with judged.engine.connect() as connection:
        assert sorted(connection.scalars(sa.select(sent.c.case_id))) == ids[5:7]
    quinn.send("/datasets", {"name": "weekly"})
    lines = [json.loads(line) for line in quinn.text("/datasets/weekly/1/manifest.jsonl").splitlines()]
    assert {one["case_id"] for one in lines if one["lineage"]["drawn"] == "sent to training"} == set(ids[5:7])
    assert {"tag_added", "tag_removed", "sent_to_training"} <= set(done(judged))


def test_what_cannot_be_done_with_cases_is_said(judged: Site) -> None:
    quinn, ids = judged.browser("quinn"), case_ids(judged)
    page = "/errors/cases?group=station&name=plant/TANK1"
    assert "tick some" in quinn.send(page, {"act": "tag", "tag": "foam"}).get_data(as_text=True)
    for tag in ("", " ", "x" * 41, "<b>", "a,b"):
        assert quinn.send(page, {"act": "tag", "tag": tag, "case": ids[:1]}).status_code == 400
    assert quinn.send(page, {"act": "burn", "case": ids[:1]}).status_code == 400
    assert quinn.get("/errors/cases").location == "/errors", "cases of which slice?"
    assert "No case here" in quinn.text("/errors/cases?group=%3Cb%3E&name=x&_external=1&_scheme=javascript")
    with judged.engine.begin() as connection, pytest.raises(ConfigError, match="is no tag"):
        tagging.add(connection, ids, "a/b", who="quinn", now=1.0)


def test_more_of_a_kind_is_ordered_of_the_devices_and_can_be_ended(judged: Site) -> None:
    quinn = judged.browser("quinn")
    order = {"reason": "murk: clarity below 0.4", "clarity_below": "0.4", "percent": "60", "days": "7"}
    assert quinn.send("/errors/order", order).status_code == 400
    with judged.engine.begin() as connection:
        connection.execute(sa.insert(stations).values(site="plant", station="TANK1", seen_at=1.0))
    for wrong in (
        {"percent": "0"},
        {"percent": "x"},
        {"days": "0"},
        {"days": "1e9"},
        {"place": "plant/TANK8"},
        {"verdict": "maybe"},
        {"clarity_below": "nan"},
        {"score_from": "inf"},
    ):
        assert quinn.send("/errors/order", order | wrong).status_code == 400, wrong
    assert quinn.send("/errors/order", order).status_code == 302
    quinn.send("/errors/order", order | {"percent": "80"})
    with judged.engine.connect() as connection:
        ((row, wish),) = desire.wishes(connection, db.now())
    assert (row.station, wish.probability, wish.clarity_below) == ("TANK1", 0.8, 0.4)
    assert "on its way" in quinn.text("/errors")
    quinn.send("/errors/order/end", {"site": "plant", "station": "TANK1", "wish": wish.id})
    assert "Nothing beyond the usual" in quinn.text("/errors")


def test_a_viewer_reads_the_manifest_and_takes_no_originals(judged: Site) -> None:
    judged.browser("quinn").send("/datasets", {"name": "weekly"})
    accounts.add_user(judged.engine, "vera", PASSWORD, "viewer", now=1.0)
    vera = judged.browser("vera")
    assert "export.tar" not in vera.text("/datasets/weekly/1")
    assert vera.get("/datasets/weekly/1/export.tar").status_code == 403
    assert vera.get("/datasets/weekly/1/manifest.jsonl").status_code == 200


def test_the_pages_are_for_the_quality_role_and_stand_empty_too(site: Site) -> None:
    erna, quinn = site.browser("erna"), site.browser("quinn")
    for path in ("/datasets", "/errors", "/errors/cases?group=tag&name=foam", "/consistency"):
        assert erna.get(path).status_code == 403
        assert quinn.get(path).status_code == 200
    assert quinn.get("/datasets/none/1").status_code == 404
    with site.engine.connect() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(reviews)) == 0


def test_a_case_that_somebody_picked_by_hand_stands_for_itself_alone(site: Site) -> None:
    picked = site.case(1, verdict="ok", decision="ok", sampled=Sampled("none", 0.02))
    drawn = site.case(2, verdict="ok", decision="ok", sampled=Sampled("audit", 0.02))
    for case_id in (picked, drawn):
        site.browser("erna").judge(case_id, "leak")
    with site.engine.connect() as connection:
        assert {one.case_id: one.probability for one in judged_cases.judged(connection)} == {picked: 1.0, drawn: 0.02}
