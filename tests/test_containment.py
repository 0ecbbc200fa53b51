"""“Which units passed at TANK1 between 14:00 and 15:00 under bundle 7 with clarity below 0.6?”, in one form."""

import csv
import io
import json
import tarfile
from urllib.parse import urlencode

import pytest
from cloud_fakes import BEGIN, a_case
from desk_site import PASSWORD, Site

from cloud_sync import accounts, answers, case_table, clip_archive, search
from cloud_sync.search import Place, Search
from edge_agent.records import BundleRef, WaterSummary
from edge_agent.wire import sha256_of

QUESTION = {
    "station": "TANK1",
    "from": "2026-11-20T14:00",
    "until": "2026-11-20T15:00",
    "result": "passed",
    "bundle": "7",
    "clarity_below": "0.6",
}
MURKY, CLEAR, SEVEN = WaterSummary("murky", 0.41), WaterSummary("clear", 0.93), BundleRef(7, "7" * 64)


@pytest.fixture
def site(tmp_path, quick_passwords) -> Site:
    return Site(tmp_path)


@pytest.fixture
def plant(site: Site) -> Site:
    """Of these only the first two answer the question."""
    site.case(1, verdict="ok", bundle=SEVEN, water=MURKY, serial="SN-1")
    site.case(2, verdict="leak", bundle=SEVEN, water=MURKY, with_clip=False)
    site.case(3, verdict="ok", bundle=SEVEN, water=CLEAR, with_clip=False)
    site.case(4, verdict="ok", decision="leak", bundle=SEVEN, water=MURKY, with_clip=False)
    site.case(5, verdict="ok", water=MURKY, with_clip=False)
    site.case(61, verdict="ok", bundle=SEVEN, water=MURKY, with_clip=False)
    return site


def test_the_question_is_answered_with_number_list_csv_and_clips(plant: Site) -> None:
    browser = plant.browser("quinn")
    page = browser.text(f"/cases?{urlencode(QUESTION)}")
    assert "2 cases" in page
    assert [a_case(n).case_id in page for n in (1, 2, 3, 4, 5, 61)] == [True, True, False, False, False, False]
    rows = list(csv.DictReader(io.StringIO(browser.text(f"/cases.csv?{urlencode(QUESTION)}"))))
    assert [(row["case_id"], row["result"], row["serial"]) for row in rows] == [
        (a_case(1).case_id, "passed", "SN-1"),
        (a_case(2).case_id, "passed", ""),
    ]
    data = browser.get(f"/cases.tar?{urlencode(QUESTION)}").data
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        manifest = [json.loads(line) for line in archive.extractfile("manifest.jsonl").read().splitlines()]
        assert [line["case_id"] for line in manifest] == [a_case(1).case_id, a_case(2).case_id]
        assert manifest[1]["clip"] is None
        assert archive.getnames() == ["manifest.jsonl", manifest[0]["clip"]]
        assert sha256_of(archive.extractfile(manifest[0]["clip"]).read()) == manifest[0]["clip_sha256"]


def test_the_machines_word_lets_a_unit_pass_where_the_machine_decided(site: Site) -> None:
    site.case(1, verdict="ok", decision="none", decided_by="machine", with_clip=False)
    site.case(2, verdict="uncertain", decision="none", decided_by="none", with_clip=False)
    browser = site.browser("quinn")
    for result, passed in (("passed", 1), ("open", 2)):
        page = browser.text(f"/cases?result={result}")
        assert [a_case(n).case_id in page for n in (1, 2)] == [n == passed for n in (1, 2)]


def test_the_permanent_link_asks_the_same_and_leaves_out_what_comes_later(plant: Site) -> None:
    browser = plant.browser("quinn")
    now = 1e9 + 0.5
    wanted, fault = search.asked({"station": "TANK1", "result": "passed", "verdict": ""})
    assert fault is None
    fields = search.as_fields(search.fixed(wanted, now))
    expected = {"station": "TANK1", "until": "2001-09-09T01:46:41", "result": "passed", "known": "2001-09-09T01:46:41"}
    assert fields == expected
    assert search.asked(fields)[0] == search.fixed(wanted, now)
    assert "2001" not in browser.text("/cases?station=TANK1")
    assert "No case fits" in browser.text(f"/cases?{urlencode(fields)}")


@pytest.mark.parametrize(
    "fields",
    [
        {"from": "yesterday"},
        {"from": "2026-11-20T15:00", "until": "2026-11-20T14:00"},
        {"from": "0001-01-01T00:00"},
        {"bundle": "x"},
        {"bundle": "12345678901234567890x"},
        {"clarity_below": "murky"},
        {"clarity_below": "7"},
        {"score_from": "nan"},
        {"verdict": "perhaps"},
        {"tag": "x" * 500},
        {"profile": "%"},
        {"older": "1"},
        {"older": "nan~TANK1"},
        {"older": "1e400~TANK1"},
        {"older": "' OR 1=1 --~"},
        {"older": "1~a", "newer": "1~a"},
        {"newer": "1~" + "x" * 9999},
    ],
    ids=str,
)
def test_a_search_that_is_not_understood_is_refused_in_words(site: Site, fields: dict[str, str]) -> None:
    browser = site.browser("quinn")
    answer = browser.get(f"/cases?{urlencode(fields)}")
    assert answer.status_code == 400
    assert 'role="alert"' in answer.get_data(as_text=True)
    if not {"older", "newer"} & set(fields):
        assert browser.get(f"/cases.csv?{urlencode(fields)}").status_code == 400


def test_wild_texts_find_nothing_and_break_nothing(plant: Site) -> None:
    browser = plant.browser("quinn")
    for text in ("%", "_", "'; DROP TABLE cases; --", "\U0010ffff", "<script>alert(1)</script>"):
        for name in ("serial", "case", "tag", "station", "site"):
            page = browser.text(f"/cases?{urlencode({name: text})}")
            assert "No case fits" in page and "<script>alert" not in page


def test_pages_lead_from_the_newest_case_to_the_oldest_and_back(site: Site, monkeypatch) -> None:
    monkeypatch.setattr(answers.page, "__kwdefaults__", {"size": 2})
    for sequence in range(1, 6):
        site.case(sequence, with_clip=False)
    browser = site.browser("quinn")
    seen, path = [], "/cases"
    for _ in range(3):
        page = browser.text(path)
        seen.append([n for n in range(1, 6) if a_case(n).case_id in page])
        path = _link(page, "next") or _link(page, "prev")
    assert seen == [[4, 5], [2, 3], [1]]
    assert [n for n in range(1, 6) if a_case(n).case_id in browser.text(path)] == [2, 3]


def test_the_case_page_keeps_everything_on_record_and_the_record_byte_for_byte(plant: Site) -> None:
    browser, case_id = plant.browser("quinn"), a_case(1).case_id
    plant.browser().judge(case_id, "leak", note="<b>bold</b>")
    page = browser.text(f"/cases/{case_id}")
    for words in ("Passed", "SN-1", "clarity 0.41", "&lt;b&gt;bold&lt;/b&gt;", "7" * 64, "c" * 64, "held", "erna"):
        assert words in page, words
    record = browser.get(f"/cases/{case_id}/record.json")
    assert sha256_of(record.data) in page
    assert json.loads(record.data)["case_id"] == case_id
    assert browser.get("/cases/nobody").status_code == 404
    assert browser.get("/cases/nobody/record.json").status_code == 404


def test_a_record_that_names_an_inspector_is_for_the_quality_role_alone(plant: Site) -> None:
    accounts.add_user(plant.engine, "vera", PASSWORD, "viewer", now=1.0)
    named, unnamed = plant.case(8, inspector="P1"), a_case(1).case_id
    for name, status in (("quinn", 200), ("vera", 403)):
        browser = plant.browser(name)
        assert browser.get(f"/cases/{named}/record.json").status_code == status
        assert browser.get(f"/cases/{unnamed}/record.json").status_code == 200
        assert ("record.json" in browser.text(f"/cases/{named}")) == (status == 200)


def test_the_case_page_says_what_became_of_the_clip(plant: Site) -> None:
    browser, case_id = plant.browser("quinn"), a_case(1).case_id
    (path,) = plant.config.folder.glob("clips/*/*.twclip")
    path.write_bytes(path.read_bytes()[:-40])
    assert "damaged" in browser.text(f"/cases/{case_id}")
    path.unlink()
    assert "gone from the clip store" in browser.text(f"/cases/{case_id}")
    assert "not kept by the station" in browser.text(f"/cases/{a_case(2).case_id}")


def test_a_poster_is_a_small_picture_of_a_stored_clip(plant: Site) -> None:
    browser = plant.browser("quinn")
    (path,) = plant.config.folder.glob("clips/*/*.twclip")
    picture = browser.get(f"/posters/{path.stem}.jpg")
    assert picture.data[:2] == b"\xff\xd8" and len(picture.data) < 10_000
    assert browser.get(f"/posters/{'0' * 64}.jpg").status_code == 404
    path.write_bytes(b"TWCLIP1\nrot")
    assert browser.get(f"/posters/{path.stem}.jpg").status_code == 404


def test_experts_who_should_stay_blind_see_none_of_it(plant: Site) -> None:
    browser, case_id = plant.browser("erna"), a_case(1).case_id
    (path,) = plant.config.folder.glob("clips/*/*.twclip")
    paths = ("/cases", "/cases.csv", "/cases.tar", f"/cases/{case_id}", f"/cases/{case_id}/record.json")
    for address in (*paths, f"/posters/{path.stem}.jpg"):
        assert browser.get(address).status_code == 403, address


def test_more_clips_than_one_archive_holds_are_refused_in_words(plant: Site, monkeypatch) -> None:
    monkeypatch.setattr(clip_archive, "MOST_CASES", 3)
    answer = plant.browser("quinn").get("/cases.tar")
    assert answer.status_code == 400 and "more than 3 cases" in answer.get_data(as_text=True)


def test_a_cell_that_a_spreadsheet_would_run_is_quoted() -> None:
    assert case_table.safe("=HYPERLINK(1)") == "'=HYPERLINK(1)"
    assert case_table.safe(-0.5) == -0.5


def test_a_csv_that_is_cut_off_says_so(plant: Site, monkeypatch) -> None:
    monkeypatch.setattr(case_table, "LARGEST_CSV", 4)
    lines = plant.browser("quinn").text("/cases.csv").strip().splitlines()
    assert len(lines) == 1 + 4 + 1 and lines[-1].startswith("cut off after 4 cases")


def test_every_field_survives_the_way_into_the_address_and_back() -> None:
    full = Search(
        site="s", station="TANK1", since=BEGIN, until=BEGIN + 0.25, result="passed", verdict="ok", decision="leak",
        outcome="human_leak", truth="conflict", sampled="audit", bundle="7", profile="0abc", clarity_below=0.6,
        clarity_above=0.1, score_from=0.25, score_to=0.75, usable_below=3.5, smallest_leak_above=1e-4, serial="SN",
        case="T", tag="odd", known=BEGIN + 86400,
    )  # fmt: skip
    assert tuple(search.as_fields(full)) == search.NAMES
    assert search.asked(search.as_fields(full)) == (full, None)
    place = Place(BEGIN + 0.123456, "TANK1-~x", newer=True)
    assert search.place({"newer": str(place)}) == place


def _link(page: str, rel: str) -> str | None:
    before, found, after = page.partition(f'rel="{rel}" href="')
    return after.split('"')[0].replace("&amp;", "&") if found else None
