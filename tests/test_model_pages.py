"""What the pages about models show and let happen, and to whom."""

import pytest
import sqlalchemy as sa
from desk_site import Site
from retrain_site import show_models

from cloud_sync import model_records, registry, runs
from cloud_sync.tables import audit, bundles


@pytest.fixture
def shown(site: Site) -> tuple[Site, list[str]]:
    case_ids = [site.case(number, with_clip=False) for number in (1, 2)]
    return site, show_models(site.config, site.engine, site.folder, case_ids)


def test_the_list_says_what_each_bundle_is_and_what_was_shown_of_it(shown) -> None:
    site, (champion, candidate) = shown
    text = site.browser("quinn").text("/models")
    for words in (
        champion[:12],
        candidate[:12],
        "1 of 18",
        "≤ 23.8 %",
        "looked at 100 of 2000 clips",
        "a week has passed",
    ):
        assert words in text


def test_the_list_asks_the_database_as_often_for_many_bundles_as_for_two(shown) -> None:
    site, (champion, _) = shown
    asked: list[str] = []
    sa.event.listen(site.engine, "before_cursor_execute", lambda *about: asked.append(about[2]))
    with site.engine.begin() as connection:
        model_records.listed(connection)
        few = len(asked)
        row = dict(connection.execute(sa.select(bundles).where(bundles.c.sha256 == champion)).mappings().one())
        more = [row | {"sha256": f"{number:064x}", "state": "retired"} for number in range(20)]
        connection.execute(sa.insert(bundles), more)
        asked.clear()
        assert len(model_records.listed(connection)) == 22 and len(asked) == few


def test_lineage_leads_both_ways_and_a_case_leads_to_its_bundle(shown) -> None:
    site, (champion, candidate) = shown
    browser = site.browser("quinn")
    text = browser.text(f"/models/{candidate}")
    assert f"/cases?bundle={candidate}" in text and "/models/runs/1" in text and "Model card" in text
    with site.engine.begin() as connection:
        connection.execute(sa.text("UPDATE cases SET bundle_sha256 = :one").bindparams(one=champion))
    assert f"/models/{champion}" in browser.text("/cases/TANK1-a1b2c3-000001")
    assert browser.get("/models/" + "0" * 64).status_code == 404


def test_two_bundles_are_compared_case_by_case_what_one_alone_has_right_first(shown) -> None:
    site, (champion, candidate) = shown
    text = site.browser("quinn").text(f"/models/compare?first={champion}&second={candidate}")
    assert text.index("TANK1-a1b2c3-000001") < text.index("TANK1-a1b2c3-000002")
    assert "first alone right</dt><dd>1</dd>" in text and 'href="/cases/TANK1-a1b2c3-000001"' in text
    assert site.browser("quinn").get("/models/compare?first=x&second=y").status_code == 404


def test_quality_retires_a_candidate_with_a_reason_and_never_the_champion(shown) -> None:
    site, (champion, candidate) = shown
    browser = site.browser("quinn")
    assert browser.send(f"/models/{candidate}", {"reason": " "}).status_code == 400
    assert browser.send(f"/models/{candidate}", {"reason": "misses slow leaks"}).status_code == 302
    assert browser.send(f"/models/{champion}", {"reason": "old"}, on=f"/models/{candidate}").status_code == 400
    with site.engine.connect() as connection:
        assert registry.find(connection, candidate).state == "retired"
        assert registry.find(connection, champion).state == "champion"
        assert "misses slow leaks" in registry.history(connection, candidate)[-1].reason
        assert "bundle_moved" in connection.scalars(sa.select(audit.c.did)).all()


def test_a_retraining_is_queued_once_and_a_failed_run_is_taken_up_again(shown) -> None:
    site, _ = shown
    browser = site.browser("quinn")
    for _ in range(2):
        answer = browser.send("/models", {"scope": "general", "reason": "a new camera"})
        assert answer.headers["Location"] == "/models/runs/4"
    assert browser.send("/models", {"scope": "everything", "reason": "why not"}).status_code == 400
    assert browser.send("/models/runs/2", {}).status_code == 302
    assert browser.send("/models/runs/1", {}, on="/models/runs/1").status_code == 400
    with site.engine.connect() as connection:
        assert [run.state for run in runs.every(connection)] == ["queued", "training", "queued", "done"]
        assert runs.find(connection, 4).started_by == "quinn"


def test_who_only_looks_starts_nothing(shown) -> None:
    site, (_, candidate) = shown
    for path in ("/models", f"/models/{candidate}", "/models/runs/2"):
        assert site.browser("erna").post(path, {"csrf_token": "x", "reason": "x"}).status_code in (400, 403)
    assert site.browser("erna").get("/models").status_code == 403


def test_a_report_runs_nothing_and_only_ours_are_served(shown) -> None:
    site, _ = shown
    folder = site.config.folder / "runs" / "1" / "twin"
    folder.mkdir(parents=True)
    (folder / "report.html").write_text("<!doctype html><title>x</title>")
    answer = site.browser("quinn").get("/models/runs/1/twin.html")
    assert answer.status_code == 200 and "sandbox" in answer.headers["Content-Security-Policy"]
    assert site.browser("quinn").get("/models/runs/1/..%2Ftwin.html").status_code == 404
    assert site.browser("quinn").get("/models/runs/99999999999/twin.html").status_code == 404


def test_programs_read_the_registry_too(shown) -> None:
    site, (champion, candidate) = shown
    answer = site.app.test_client().get("/api/v1/models", headers=site.token("viewer"))
    found = {one["sha256"]: (one["state"], one["run"]) for one in answer.get_json()["models"]}
    assert found == {champion: ("champion", None), candidate: ("candidate", 1)}
