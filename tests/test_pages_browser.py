"""Every page in a real browser, at two sizes, by day and by night: nobody is kept out, nothing runs off the screen, and
its picture is kept where TANKWATCH_SHOTS names a folder.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import sqlalchemy as sa
from browser import barriers
from cloud_fakes import a_case, case_message
from desk_site import PASSWORD, a_desk
from retrain_site import show_models
from test_desk_stories import CHROMIUM, Desk, chromium

from benchmarks import made_fleet
from cloud_sync import accounts, challenge_parts, db, desire, gold_cases, judgement, parallel, registry, rollouts
from cloud_sync.challenge_parts import NewPart
from cloud_sync.dead_letters import Message
from cloud_sync.judgement import Review
from cloud_sync.rollout_plan import Plan
from cloud_sync.tables import bundles, cases, second_words, stations
from cloud_sync.web import create_app
from edge_agent import wire
from edge_agent.bundle import open_bundle
from edge_agent.inspection import shipped_bundle
from edge_agent.messages import Status
from edge_agent.records import BundleRef, Mode, Sampled

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
__all__ = ["chromium"]
LOOKS = {"by-day": ("light", 1280, 720), "by-night-on-a-tablet": ("dark", 820, 1180)}
HEAVIEST_BYTES = 150_000
KINDS = ({}, {"verdict": "uncertain"}, {"verdict": "ok", "decision": "leak"}, {"verdict": "not_tested"})
AUDIT = {"verdict": "ok", "decision": "ok", "sampled": Sampled("audit", 0.02)}
NO_PAGES = (
    "static",
    "/api/",
    "/updates/",
    "/metrics",
    "/clips/",
    "/posters/",
    ".csv",
    ".tar",
    ".jsonl",
    ".json",
    ".pdf",
    ".html",
    "z",
    "/session",
    "/next",
)
"""Parts of addresses that answer with something else than a page."""
WEIGHT = """() => performance.getEntriesByType('resource')
    .filter((one) => !one.name.includes('/clips/') && !one.name.includes('/posters/'))
    .reduce((sum, one) => sum + one.decodedBodySize, document.documentElement.outerHTML.length)"""
"""Bytes of the page and all that belongs to it, without clips."""


@pytest.fixture(scope="module")
def filled(tmp_path_factory) -> Iterator[Desk]:
    """Cases of each kind, judged by two who do not always agree, one version of a dataset, one study, one gold case."""
    from cloud_sync.config import CloudConfig

    folder = tmp_path_factory.mktemp("pages")
    desk = Desk(folder, lambda data, **more: CloudConfig(data_dir=str(data), **more))
    accounts.add_user(desk.engine, "ada", PASSWORD, "admin", now=db.now())
    rules = a_desk()
    for sequence in range(1, 31):
        case_id = desk.case(sequence, **(AUDIT if sequence % 5 == 0 else KINDS[sequence % 4]))
        for name in ("erna", "emil")[: 1 + (sequence % 6 > 0)]:
            leak = sequence % 2 if name == "erna" or sequence % 5 else not sequence % 2
            word = "leak" if leak else "ok"
            review = Review(
                judgement=word, familiar=bool(sequence % 2), seen="stream" if leak else "trapped", took_s=4.0
            )
            judgement.record(desk.engine, rules, case_id, review, name, db.now() - 86_400 * (sequence % 6))
    status = Status(
        status="online",
        mode="shadow",
        mode_words="no order allows more",
        bundle=BundleRef(3, "b" * 64),
        software="x",
        since="2026-11-29",
    )
    row = {"site": "plant", "station": "TANK1", "status": msgspec.json.encode(status).decode(), "seen_at": db.now()}
    with desk.engine.begin() as connection:
        connection.execute(sa.insert(stations), [row])
    agreed = next(case_id for case_id in desk.case_ids() if desk.truth(case_id) == ("leak", "agreed"))
    gold_cases.declare(desk.engine, agreed, "leak", who="quinn", now=db.now())
    _challenge(desk)
    _run_beside(desk)
    _roll_out(desk)
    show_models(desk.config, desk.engine, folder, desk.case_ids()[:3])
    yield desk
    desk.close()


def _challenge(desk: Desk) -> None:
    """A leaker that was found a few times and then missed, and a good part with a long name."""
    for serial, truth, rate in (("R-0001", "leak", 1e-3), ("GOOD-DUMMY-COMPRESSOR-2026-000000000001", "ok", None)):
        new = NewPart(site="plant", station=None, serial=serial, truth=truth, leak_std_cm3_s=rate)
        with desk.engine.begin() as connection:
            challenge_parts.register(connection, new, who="quinn", now=db.now())
    shown = {"sampled": Sampled("challenge", 1.0), "serial": "R-0001", "decision": "leak"}
    for sequence in range(31, 37):
        desk.case(sequence, **shown)
    desk.case(37, **shown | {"verdict": "uncertain"})
    for sequence in range(38, 42):
        desk.case(sequence, **AUDIT | {"sampled": Sampled("none", 0.02)})
    desk.case(42, **shown | {"verdict": "ok"})


def _roll_out(desk: Desk) -> None:
    """A rollout that soaks: one device has the bundle and works with it, one is held back, one has never been heard."""
    with desk.engine.begin() as connection:
        made_fleet.add_bundles(connection)
    names = [f"TANK{number}" for number in range(1, 9)] + ["TANK-LONGEST-NAM"]
    for name in names:
        _says(desk, name, made_fleet.OLD, mode="partial" if name == "TANK8" else "shadow")
    with desk.engine.begin() as connection:
        places, reason = desire.known_places(connection), "17 judged cases: better on false alarms"
        rollouts.begin(connection, made_fleet.NEW.sha256, places, plan=Plan(), who="ada", reason=reason, now=db.now())
    rollouts.step(desk.engine, db.now())
    with desk.engine.connect() as connection:
        ((_, first),) = (place for place, one in desire.all_wanted(connection).items() if one.bundle == made_fleet.NEW)
    _says(desk, first, made_fleet.NEW)
    rollouts.step(desk.engine, db.now())
    for number in range(900, 940):
        about = {"verdict": "ok" if number % 9 else "uncertain", "decision": "ok", "bundle": made_fleet.NEW}
        case = a_case(number, case_id=f"{first}-{number}", station=first, **about)
        desk._intake.handle([case_message(case)], db.now())


def _says(desk: Desk, station: str, bundle: BundleRef, mode: Mode = "shadow") -> None:
    status = Status(status="online", mode=mode, bundle=bundle, software="1.0", since="2026-11-20T14:00:00Z")
    message = Message(wire.Topics("plant", station).status, wire.encode(status))
    desk._intake.handle([message], db.now())


def _run_beside(desk: Desk) -> None:
    """A challenger with a long name, heard since the first case; it says what the champion says, but for a few."""
    manifest = msgspec.json.encode(open_bundle(shipped_bundle()).manifest)
    with desk.engine.begin() as connection:
        for sha256, state in (("b" * 64, "champion"), ("d" * 64, "candidate")):
            named = {"sha256": sha256, "version": 3, "name": "bubbles-of-a-very-long-name-" + state, "scope": "general"}
            row = named | {"state": state, "manifest": manifest, "added_by": "ada", "added_at": 1.0}
            connection.execute(sa.insert(bundles).values(row))
        held = connection.execute(sa.select(cases.c.case_id, cases.c.verdict)).all()
        changed = {"leak": "ok", "uncertain": "leak"}
        words = [
            {"case_id": row.case_id, "bundle_sha256": "d" * 64, "score": 0.5, "reason": "why"}
            | {"verdict": changed.get(row.verdict, row.verdict) if number % 3 else row.verdict}
            for number, row in enumerate(held)
        ]
        connection.execute(sa.insert(second_words), words)
        wish = parallel.Beside((("plant", "TANK1"),), "b" * 64, "d" * 64)
        began = connection.scalar(sa.select(sa.func.min(cases.c.started_at)))
        parallel.start(connection, wish, a_desk().policy.promotion, who="quinn", now=began)
        moved = sa.update(cases).where(cases.c.sequence % 2 == 0).values(started_at=cases.c.started_at + 86_400)
        connection.execute(moved)


@pytest.mark.full
@pytest.mark.parametrize("look", ["by-day", "by-night-on-a-tablet"])
def test_every_page_is_open_to_all_fits_the_screen_and_is_light(filled: Desk, chromium, look: str) -> None:
    scheme, width, height = LOOKS[look]
    context = chromium.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
    page = context.new_page()
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(f"{page.url}: {error}"))
    page.goto(f"{filled.address}/login")
    faults += _faults(page, f"login-{look}")
    page.fill("#name", "ada")
    page.fill("#password", PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url(f"{filled.address}/review")
    _make_what_pages_show(page, filled)
    for path in _addresses(filled):
        answer = page.goto(f"{filled.address}{path}")
        if answer is None or answer.status != 200:
            faults.append(f"{path}: {answer and answer.status}")
        faults += _faults(page, f"{path.strip('/').partition('?')[0].replace('/', '-')}-{look}")
    context.close()
    assert faults == []


def test_no_page_is_left_out(filled: Desk) -> None:
    app = create_app(filled.config)
    rules = [rule for rule in app.url_map.iter_rules() if "GET" in (rule.methods or ())]
    pages = {rule.rule for rule in rules if not any(part in rule.rule for part in NO_PAGES)}
    adapter = app.url_map.bind("here")
    covered = {adapter.match(path.partition("?")[0], return_rule=True)[0].rule for path in _addresses(filled)}
    assert pages - covered - {"/", "/login"} == set()


def _addresses(desk: Desk) -> list[str]:
    case_ids = desk.case_ids()
    with desk.engine.connect() as connection:
        known = [one.sha256 for one in registry.all_bundles(connection)]
    first, second = (sha256 for sha256 in known if registry.path(desk.config, sha256).is_file())
    return [
        "/review",
        f"/review/{case_ids[0]}",
        "/cases",
        f"/cases/{case_ids[0]}",
        "/agreement",
        "/value?miss=500&false_alarm=20",
        "/errors",
        "/errors/cases?group=sampled+for&name=disagreement",
        "/datasets",
        "/datasets/weekly/1",
        "/datasets/weekly/1/compare?with=weekly/1",
        "/consistency",
        "/studies",
        "/studies/1",
        "/studies/1/look",
        "/gold",
        "/challenge",
        f"/challenge/{next(case_id for case_id in case_ids if case_id.endswith('42'))}",
        "/parallel",
        "/parallel/1",
        "/models",
        f"/models/{first}",
        f"/models/{second}",
        f"/models/compare?first={first}&second={second}",
        "/models/runs/1",
        "/models/runs/2",
        "/models/runs/3",
        "/stations",
        "/stations/plant/TANK1",
        "/stations/plant/TANK1?day=2026-11-20",
        "/stations/compare",
        "/rollouts",
        "/rollouts/1",
        "/automation",
        "/automation/plant/TANK1",
        "/drift",
        "/drift/plant/TANK1",
        "/audit",
        "/users",
        "/users/ada/password",
        "/password",
        "/tokens",
        "/vocabulary",
        "/signed-in",
    ]


def _make_what_pages_show(page, desk: Desk) -> None:
    page.goto(f"{desk.address}/datasets")
    page.click("text=Make a version of it")
    page.wait_for_url("**/datasets/weekly/1")
    page.goto(f"{desk.address}/studies")
    if not page.locator("a[href='/studies/1']").count():
        page.fill("#name", "First")
        page.fill("#parts", "10")
        page.check("label:has-text('ada') input")
        page.click("text=Make the study")
        page.wait_for_load_state()
        assert page.locator(".fault").count() == 0, page.inner_text(".fault")


def _faults(page, name: str) -> Iterator[str]:
    page.wait_for_timeout(150)
    if folder := os.environ.get("TANKWATCH_SHOTS"):
        page.screenshot(path=str(Path(folder) / f"{name}.png"))
    yield from (f"{name}: {barrier}" for barrier in barriers(page))
    if page.evaluate("() => document.documentElement.scrollWidth > window.innerWidth"):
        yield f"{name}: runs off the screen"
    if page.locator("main#main h1").count() != 1:
        yield f"{name}: has no heading, or several"
    loaded = page.evaluate(WEIGHT)
    if loaded > HEAVIEST_BYTES:
        yield f"{name}: {loaded} bytes"
