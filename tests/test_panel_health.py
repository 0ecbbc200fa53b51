"""What Prometheus and a watchdog are told of a device: from its files, whoever else is down."""

import time
from typing import get_args

import msgspec
import pytest
from device_files import ALARM, a_report, a_state, with_certificate, write
from panel_site import a_device, a_panel
from scraping import names, needs_promtool, promtool, samples, scrape, value

from edge_agent.alarm_history import AlarmHistory
from edge_agent.alarms import Event
from edge_agent.errors import ConfigError
from edge_agent.exposition import UNITS
from edge_agent.messages import InputMetrics
from edge_agent.panel_metrics import CATALOGUE
from edge_agent.records import DecisionWord, Mode, VerdictWord
from edge_agent.signs_of_life import INSPECT_SILENT_S, UPLINK_SILENT_S


@pytest.fixture
def device(tmp_path):
    return a_device(tmp_path)


def found_of(tmp_path, device, *said):
    write(device, *said)
    return samples(scrape(a_panel(tmp_path, device=device, pin=None)))


def asked(tmp_path, device, path):
    answer = a_panel(tmp_path, device=device, pin=None).test_client().get(path)
    return answer.status_code, answer.get_json()["faults"]


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    folder = tmp_path_factory.mktemp("panel")
    device = with_certificate(a_device(folder), folder)
    write(device, a_state(mode="assist"), a_report())
    return scrape(a_panel(folder, device=device, pin=None))


def test_every_metric_of_the_catalogue_is_served_where_all_is_known(text):
    served = names(samples(text))
    missing = [one.name for one in CATALOGUE if not {one.name, f"{one.name}_bucket"} & served]
    assert missing == []


@needs_promtool
def test_promtool_has_nothing_to_say_against_names_units_and_help(text):
    assert promtool("check", "metrics", given=text) == ""


def test_values_come_in_base_units(text):
    found = samples(text)
    assert value(found, "tankwatch_disk_free_bytes") == 2e10
    assert value(found, "tankwatch_smallest_bubble_meters") == pytest.approx(0.0015)
    assert value(found, "tankwatch_temperature_celsius") == 51.5
    assert value(found, "tankwatch_process_resident_memory_bytes", process="inspect") == 210e6
    assert value(found, "tankwatch_outbox_oldest_age_seconds") == 42.0


def test_the_end_of_the_certificate_is_told_and_one_that_cannot_be_read_is_left_out(text, tmp_path, device):
    name = "tankwatch_link_certificate_expiry_timestamp_seconds"
    assert value(samples(text), name) == pytest.approx(time.time() + 730 * 86_400, abs=3600)
    device = with_certificate(device, tmp_path)
    (tmp_path / "device.crt").write_text("none")
    assert name not in names(found_of(tmp_path, device, a_state(), a_report()))


def test_frames_are_told_by_what_became_of_them(text):
    found = samples(text)
    by = {
        word: value(found, "tankwatch_frames_total", outcome=word)
        for word in ("usable", "misframed", "blind", "duplicated", "frozen", "passed", "dropped", "left_out")
    }
    assert by == {
        "usable": 900, "misframed": 40, "blind": 5, "duplicated": 3, "frozen": 2, "passed": 60, "dropped": 7,
        "left_out": 4,
    }  # fmt: skip


def test_a_histogram_rises_to_its_count(text):
    found = samples(text)
    buckets = sorted(
        (float(dict(labels)["le"]), count)
        for (name, labels), count in found.items()
        if name == "tankwatch_case_score_ratio_bucket"
    )
    counts = [count for _, count in buckets]
    assert counts == sorted(counts) and counts[-1] == value(found, "tankwatch_case_score_ratio_count") == 12


def test_names_keep_to_the_prefix_base_units_and_the_endings_of_their_kind():
    for one in CATALOGUE:
        assert one.name.startswith("tankwatch_") and one.help.endswith(".")
        assert (one.kind == "counter") == one.name.endswith("_total")
        assert one.kind != "histogram" or one.unit in (UNITS["seconds"], UNITS["ratio"])
        assert len(one.labels) <= 3 and not {"case", "case_id", "serial", "sha256", "id"} & set(one.labels)
    assert len({one.name for one in CATALOGUE}) == len(CATALOGUE)


def test_counters_outlive_the_panel_and_begin_anew_with_the_inspection(tmp_path, device):
    first = found_of(tmp_path, device, a_state(mode="assist"), a_report())
    again = found_of(tmp_path, device)
    assert (
        value(first, "tankwatch_cases_total", verdict="ok") == value(again, "tankwatch_cases_total", verdict="ok") == 8
    )
    begun = a_state(mode="assist", output=msgspec.convert({}, type(a_state().output)))
    assert value(found_of(tmp_path, device, begun), "tankwatch_cases_total", verdict="ok") == 0


def test_a_silent_inspection_leaves_its_counters_and_takes_its_moment_with_it(tmp_path, device):
    found = found_of(tmp_path, device, a_state(age_s=INSPECT_SILENT_S + 1), a_report())
    assert value(found, "tankwatch_process_up", process="inspect") == 0
    assert value(found, "tankwatch_process_up", process="uplink") == 1
    assert sum(value(found, "tankwatch_case_decisions_total", decision=word) for word in get_args(DecisionWord)) == 12
    assert not {"tankwatch_picture_brightness_levels", "tankwatch_automation_level"} & names(found)


def test_a_machine_that_does_not_tell_has_no_disk_rather_than_a_full_one(tmp_path, device):
    software = msgspec.structs.replace(a_report().software, disk_mb=None, disk_free_mb=0.0, temperature_c=None)
    found = found_of(tmp_path, device, a_state(), a_report(software=software))
    assert not {"tankwatch_disk_free_bytes", "tankwatch_disk_size_bytes", "tankwatch_temperature_celsius"} & names(
        found
    )


def test_a_device_that_has_said_nothing_yet_still_answers(tmp_path, device):
    found = found_of(tmp_path, device)
    assert value(found, "tankwatch_process_up", process="inspect") == 0
    assert value(found, "tankwatch_alarms_active", priority="high") == 0


def test_alarms_are_told_by_priority_and_by_what_people_have_done_about_them(tmp_path, device):
    known = msgspec.structs.replace(ALARM, state="acknowledged")
    aside = msgspec.structs.replace(ALARM, id="tank", state="shelved")
    found = found_of(tmp_path, device, a_state(alarms=(ALARM, known), alarms_aside=(aside,)), a_report())
    assert value(found, "tankwatch_alarms_active", priority="medium") == 2
    assert value(found, "tankwatch_alarms_active", priority="high") == 0
    assert value(found, "tankwatch_alarms_unacknowledged", priority="medium") == 1
    assert value(found, "tankwatch_alarms_shelved") == 1


def test_alarms_of_the_last_ten_minutes_are_counted_from_their_history(tmp_path, device):
    now_s = time.time()
    at_s = [now_s - 700, now_s - 500, now_s - 400, now_s - 300, now_s + 86_400]
    events = [
        Event(at_s=when, id="camera", event=word, priority="high", told=word == "raised")
        for when, word in zip(at_s, ("raised", "raised", "returned", "raised", "raised"), strict=True)
    ]
    AlarmHistory(device.alarms_path / "history.db").append(events)
    found = found_of(tmp_path, device, a_state(), a_report())
    assert value(found, "tankwatch_alarms_recent") == 2


WORDS = {"tankwatch_case_outcomes_total", "tankwatch_case_score_ratio_bucket", "tankwatch_case_score_ratio_count"}


@pytest.mark.parametrize("mode", get_args(Mode))
def test_what_the_machine_said_is_told_to_all_in_those_modes_alone_that_tell_the_inspector(tmp_path, device, mode):
    found = found_of(tmp_path, device, a_state(mode=mode), a_report())
    verdicts = {dict(labels)["verdict"] for name, labels in found if name == "tankwatch_cases_total"}
    if mode in ("human_only", "shadow"):
        assert verdicts == {"not_tested"} and not WORDS & names(found)
    else:
        assert verdicts == set(get_args(VerdictWord)) and names(found) >= WORDS


def test_who_has_the_token_learns_what_the_machine_said_in_every_mode(tmp_path, monkeypatch):
    monkeypatch.setenv("TEST_METRICS_TOKEN", "a long one")
    device = a_device(tmp_path, metrics_token_env="TEST_METRICS_TOKEN")
    write(device, a_state(mode="shadow"), a_report())
    found = samples(scrape(a_panel(tmp_path, device=device, pin=None), {"Authorization": "Bearer a long one"}))
    assert value(found, "tankwatch_cases_total", verdict="ok") == 8 and names(found) >= WORDS


def test_metrics_ask_for_a_token_where_the_device_file_names_one_and_watchdogs_never_do(tmp_path, monkeypatch):
    device = a_device(tmp_path, metrics_token_env="TEST_METRICS_TOKEN")
    with pytest.raises(ConfigError, match="TEST_METRICS_TOKEN"):
        a_panel(tmp_path, device=device, pin=None)
    monkeypatch.setenv("TEST_METRICS_TOKEN", "a long one")
    client = a_panel(tmp_path, device=device, pin=None).test_client()
    answers = [
        client.get("/metrics", headers={"Authorization": given} if given else {}).status_code
        for given in ("", "Bearer another", "Bearer \xe4", "a long one", "Bearer a long one")
    ]
    assert answers == [401, 401, 401, 401, 200]
    assert client.get("/healthz").status_code == 503 and "token" not in client.get("/healthz").text


def test_a_well_device_is_healthy_and_ready(tmp_path, device):
    write(device, a_state(), a_report())
    assert asked(tmp_path, device, "/healthz") == (200, [])
    assert asked(tmp_path, device, "/readyz") == (200, [])


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (None, "inspect has not said anything yet"),
        ({"age_s": INSPECT_SILENT_S + 60}, "inspect has said nothing for 65 s (limit 5 s): look at 'systemctl status"),
        ({"age_s": -3600}, "inspect has said nothing for 3600 s"),
        ({"input": InputMetrics(camera="lost")}, "the camera is lost: check its cable and power"),
        ({"input": InputMetrics(camera="stalled")}, "the camera is stalled"),
    ],
)
def test_a_device_that_cannot_inspect_is_not_healthy_and_says_why(tmp_path, device, said, words):
    write(device, a_report(), *([a_state(**said)] if said is not None else []))
    status, faults = asked(tmp_path, device, "/healthz")
    assert status == 503 and len(faults) == 1 and faults[0].startswith(words)
    assert asked(tmp_path, device, "/readyz")[0] == 503


@pytest.mark.parametrize(
    ("changes", "age_s", "words"),
    [
        ({"profile_sha256": None}, 0, "the station has not been set up"),
        ({"input": InputMetrics(camera="ok", framing="lost")}, 0, "the framing is lost"),
        ({}, UPLINK_SILENT_S + 1, "uplink has said nothing for 16 s"),
    ],
)
def test_a_healthy_device_that_does_not_do_all_of_its_work_is_not_ready(tmp_path, device, changes, age_s, words):
    write(device, a_state(**changes), a_report(age_s=age_s))
    assert asked(tmp_path, device, "/healthz") == (200, [])
    status, faults = asked(tmp_path, device, "/readyz")
    assert status == 503 and len(faults) == 1 and faults[0].startswith(words)
