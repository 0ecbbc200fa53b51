"""Rules and dashboards as they ship: every name and label that they use is one that device or cloud really serves."""

import json
import re
from pathlib import Path

import pytest
import yaml
from desk_site import Site
from device_files import a_report, a_state, with_certificate, write
from metrics_site import work
from panel_site import a_device, a_panel
from scraping import needs_promtool, promtool, samples, scrape

from benchmarks import dashboards

ROOT = Path(__file__).resolve().parent.parent
MONITORING = ROOT / "systemd" / "monitoring"
RULES = sorted(MONITORING.glob("*.rules.yml"))
RULE_TESTS = sorted((ROOT / "tests" / "alert_rules").glob("*.test.yml"))
PAGES = sorted((MONITORING / "dashboards").glob("*.json"))
TARGET = {"job", "instance", "site", "station"}
"""Labels that Prometheus adds, or whoever configures it."""
NAME = re.compile(r"\b(tankwatch[a-z0-9_:]*)(?:\{([^}]*)\})?")


@pytest.fixture(scope="module")
def served(tmp_path_factory) -> dict[str, set[str]]:
    """Name -> labels, of everything that a device and a cloud have to say."""
    folder = tmp_path_factory.mktemp("served")
    device, cloud = with_certificate(a_device(folder), folder), Site(folder)
    write(device, a_state(mode="assist"), a_report())
    work(cloud)
    texts = scrape(a_panel(folder, device=device, pin=None)), scrape(cloud.app, cloud.token("viewer"))
    cloud.engine.dispose()
    found: dict[str, set[str]] = {}
    for text in texts:
        for name, labels in samples(text):
            found.setdefault(name, set()).update(label for label, _ in labels)
    return found


def rules() -> list[dict]:
    return [rule for path in RULES for group in yaml.safe_load(path.read_text())["groups"] for rule in group["rules"]]


def shown() -> list[str]:
    """The dashboards' expressions, as Prometheus gets them."""
    expressions = []
    for path in PAGES:
        page = json.loads(path.read_text())
        expressions += [target["expr"] for panel in page["panels"] for target in panel["targets"]]
        expressions += [
            re.sub(r"^label_values\((.*), \w+\)$", r"\1", choice["query"])
            for choice in page["templating"]["list"]
            if choice["type"] == "query"
        ]
    return [
        one.replace("$__rate_interval", "5m").replace("$site", ".*").replace("$station", ".*") for one in expressions
    ]


def test_every_metric_in_a_rule_or_a_dashboard_is_served_with_the_labels_that_are_asked_of_it(served):
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    for expression in [*(rule["expr"] for rule in rules()), *shown()]:
        for name, asked in NAME.findall(re.sub(r'job="[^"]*"', "", expression)):
            assert name in served or name in recorded, f"{name} in {expression} is served by nobody"
            labels = set(re.findall(r"(\w+)\s*[=!]", asked))
            assert name in recorded or labels <= served[name] | TARGET, f"{expression} asks {name} for {labels}"


def test_every_metric_that_counts_or_measures_is_shown_or_watched_somewhere(served):
    """What nobody looks at is not worth serving."""
    used = {name for text in [*(rule["expr"] for rule in rules()), *shown()] for name, _ in NAME.findall(text)}
    families = {re.sub(r"_(bucket|sum|count)$", "", name) for name in served if name.startswith("tankwatch_")}
    looked_at = {re.sub(r"_(bucket|sum|count)$", "", name) for name in used}
    assert families - looked_at <= {
        "tankwatch_device_info",
        "tankwatch_station_set_up",
        "tankwatch_process_last_report_timestamp_seconds",
        "tankwatch_inspection_starts",
        "tankwatch_disk_size_bytes",
        "tankwatch_outbox_cases",
        "tankwatch_outbox_clips",
        "tankwatch_link_change_timestamp_seconds",
        "tankwatch_receipt_timestamp_seconds",
        "tankwatch_link_reconnects_total",
        "tankwatch_receipts_total",
        "tankwatch_camera_frame_rate_hertz",
        "tankwatch_camera_reconnects_total",
        "tankwatch_framing_rotation_degrees",
        "tankwatch_smallest_bubble_pixels",
        "tankwatch_challenger_cut_cases_total",
        "tankwatch_cloud_station_last_case_timestamp_seconds",
        "tankwatch_cloud_station_camera_up",
        "tankwatch_certificate_coverage_ratio",
    }


def test_stations_of_two_sites_that_have_one_name_are_never_added_up():
    for expression in [*(rule["expr"] for rule in rules()), *shown()]:
        for labels in re.findall(r"\b(?:by|on) \(([^)]*)\)", expression):
            assert "station" not in labels or "site" in labels, expression


def test_every_alert_says_priority_cause_consequence_and_what_to_do():
    alerts = [rule for rule in rules() if "alert" in rule]
    assert len({rule["alert"] for rule in alerts}) == len(alerts) > 30
    for rule in alerts:
        assert set(rule["labels"]) == {"priority"} and rule["labels"]["priority"] in ("low", "medium", "high")
        assert set(rule["annotations"]) == {"summary", "cause", "consequence", "action"}, rule["alert"]


def test_the_dashboards_are_those_that_their_table_gives():
    for one in dashboards.DASHBOARDS:
        path = dashboards.FOLDER / f"{one.uid}.json"
        assert path.read_text() == dashboards.text(one), "run: python -m benchmarks.dashboards"
    assert len(PAGES) == len(dashboards.DASHBOARDS)


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_no_panel_lies_over_another_or_beside_the_page(page):
    places = [panel["gridPos"] for panel in json.loads(page.read_text())["panels"]]
    cells = [
        (place["x"] + dx, place["y"] + dy) for place in places for dx in range(place["w"]) for dy in range(place["h"])
    ]
    assert len(cells) == len(set(cells)) and max(x for x, _ in cells) < dashboards.COLUMNS


@needs_promtool
def test_promtool_finds_no_fault_in_the_rules():
    assert "FAILED" not in promtool("check", "rules", *map(str, RULES))


@needs_promtool
@pytest.mark.parametrize("path", RULE_TESTS, ids=lambda path: path.name)
def test_alerts_are_raised_when_they_should_be_and_not_otherwise(path):
    assert "SUCCESS" in promtool("test", "rules", str(path))


@needs_promtool
def test_prometheus_understands_every_expression_of_a_dashboard(tmp_path):
    recorded = [{"record": f"shown:{number}", "expr": expr} for number, expr in enumerate(shown())]
    path = tmp_path / "shown.rules.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "shown", "rules": recorded}]}))
    assert f"{len(recorded)} rules found" in promtool("check", "rules", str(path))


@needs_promtool
def test_promtool_finds_no_fault_in_the_example_of_a_configuration():
    promtool("check", "config", "--syntax-only", str(MONITORING / "prometheus.yml"))


def test_the_folder_explains_each_of_its_files():
    words = (MONITORING / "README.md").read_text()
    assert [path.name for path in MONITORING.rglob("*.*") if path.is_file() and path.name not in words] == ["README.md"]
