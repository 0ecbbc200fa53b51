"""An attribute study from plan to PDF: blind, in each appraiser's own order, and nothing shown before all is done."""

import re
from pathlib import Path

import pytest
import sqlalchemy as sa
from agreement_site import Filled
from flask.testing import FlaskClient
from test_agreement_pages import browser

from cloud_sync.tables import audit, study_parts, study_trials

PLAN = {"name": "Spring", "parts": "20", "trials": "2", "borderline": "40", "seed": "5", "appraiser": ["erna", "emil"]}


@pytest.fixture
def filled(tmp_path: Path) -> Filled:
    site = Filled(tmp_path)
    site.clips()
    return site


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> Filled:
    """For plans that are refused, which leaves everything as it was."""
    site = Filled(tmp_path_factory.mktemp("cloud"))
    site.clips()
    return site


def appraise(filled: Filled, client: FlaskClient, *, wrong: int = 0) -> int:
    """Every look that is left, judged as the truth is but for the first `wrong` leaking ones."""
    looks = 0
    while match := re.search(r'name="trial" value="(\d+)"', client.get("/studies/1/look").text):
        truth = _truth(filled, int(match[1]))
        if truth == "leak" and wrong:
            truth, wrong = "ok", wrong - 1
        assert client.post("/studies/1/look", data={"trial": match[1], "judgement": truth}).status_code == 302
        looks += 1
    return looks


def _truth(filled: Filled, trial: int) -> str:
    part = (study_parts.c.study_id == study_trials.c.study_id) & (study_parts.c.part == study_trials.c.part)
    query = sa.select(study_parts.c.truth).join(study_trials, part).where(study_trials.c.id == trial)
    with filled.engine.connect() as connection:
        return connection.scalar(query)


def test_a_study_from_plan_to_report(filled):
    quinn, erna, emil = (browser(filled, name) for name in ("quinn", "erna", "emil"))
    assert quinn.post("/studies", data=PLAN).headers["Location"] == "/studies/1"
    assert "Trials are under way" in quinn.get("/studies/1").text
    assert quinn.get("/studies/1/report.pdf").status_code == 404
    assert appraise(filled, erna) == 40
    assert "All your looks are done" in erna.get("/studies/1/look").text
    assert "Trials are under way" in quinn.get("/studies/1").text
    assert appraise(filled, emil, wrong=3) == 40
    page = quinn.get("/studies/1").text
    for words in ("machine", "by parts at most", "emil, erna", "unacceptable", "100.0\N{NO-BREAK SPACE}%"):
        assert words in page
    report = quinn.get("/studies/1/report.pdf")
    assert report.mimetype == "application/pdf"
    assert report.data.startswith(b"%PDF") and len(report.data) > 3000
    with filled.engine.connect() as connection:
        did = connection.scalars(sa.select(audit.c.did)).all()
    assert did.count("study_trial") == 80


def test_a_trial_tells_nothing_of_part_truth_or_others(filled):
    browser(filled).post("/studies", data=PLAN)
    page = browser(filled, "erna").get("/studies/1/look").text
    for telltale in ("uncertain", "agreed", "0.99", "Machine", "truth", "borderline"):
        assert telltale not in page
    assert "Look 1 of 40" in page


def test_only_quality_sees_plans_and_results_and_only_appraisers_look(filled):
    browser(filled).post("/studies", data={**PLAN, "appraiser": ["erna"]})
    erna, emil = browser(filled, "erna"), browser(filled, "emil")
    assert erna.get("/studies/1").status_code == erna.get("/studies/1/report.pdf").status_code == 403
    assert erna.post("/studies", data=PLAN).status_code == emil.get("/studies/1/look").status_code == 403
    assert "Spring" in erna.get("/studies").text
    assert "Spring" not in emil.get("/studies").text


def test_what_was_said_first_stays_and_nobody_judges_for_another(filled):
    browser(filled).post("/studies", data=PLAN)
    erna, emil = browser(filled, "erna"), browser(filled, "emil")
    trial = re.search(r'name="trial" value="(\d+)"', erna.get("/studies/1/look").text)[1]
    for client, word in ((emil, "cannot_tell"), (erna, "leak"), (erna, "ok")):
        client.post("/studies/1/look", data={"trial": trial, "judgement": word})
    with filled.engine.connect() as connection:
        assert connection.scalar(sa.select(study_trials.c.judgement).where(study_trials.c.id == int(trial))) == "leak"
    for nonsense in ({}, {"trial": trial, "judgement": "perhaps"}, {"trial": "x", "judgement": "ok"}):
        assert erna.post("/studies/1/look", data=nonsense).status_code == 400
    assert erna.get("/studies/7/look").status_code == browser(filled).get("/studies/7").status_code == 404


def test_a_study_that_somebody_leaves_can_be_closed_without_them(filled):
    quinn, erna = browser(filled), browser(filled, "erna")
    quinn.post("/studies", data=PLAN)
    assert quinn.post("/studies/1/close").status_code == 400
    appraise(filled, erna)
    assert quinn.post("/studies/1/close").status_code == 302
    page = quinn.get("/studies/1").text
    assert "erna, machine" in page
    assert "emil" not in page.split("Against the reference")[1]
    assert "closed" in browser(filled, "emil").get("/studies/1/look").text


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"parts": "150"}, "60 are needed"),
        ({"parts": "3"}, "parts"),
        ({"borderline": "90"}, "borderline"),
        ({"appraiser": ["nobody"]}, "no expert is called"),
        ({"appraiser": []}, "appraisers"),
        ({"name": ""}, "name"),
    ],
)
def test_a_plan_that_cannot_be_is_said_with_its_reason_and_kept_in_the_form(untouched, change, words):
    answer = browser(untouched).post("/studies", data={**PLAN, **change})
    assert answer.status_code == 400
    assert "This study cannot be made" in answer.text
    assert words in answer.text.split('role="alert">')[1].split("</p>")[0]


def test_a_look_says_nothing_by_which_a_part_could_be_known_again(filled: Filled) -> None:
    quinn, erna = browser(filled, "quinn"), browser(filled, "erna")
    quinn.post("/studies", data=PLAN)
    with filled.engine.connect() as connection:
        ids = connection.scalars(sa.select(study_parts.c.case_id)).all()
    page = erna.get("/studies/1/look").text
    assert ids and not any(case_id in page for case_id in ids)
