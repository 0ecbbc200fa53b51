"""Rows of panels -> Grafana's dashboards in systemd/monitoring/dashboards: `python -m benchmarks.dashboards` writes
them, a test compares. Their metrics' names are held against what is served.
"""

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from edge_agent.automation import MODES

FOLDER = Path(__file__).parent.parent / "systemd" / "monitoring" / "dashboards"
COLUMNS = 24
HIGH = 8
MODE = "mode"
"""In place of a unit: the degree of automation, by its name."""


@dataclass(frozen=True, slots=True)
class Panel:
    """One picture: a title, a unit of Grafana's, and expressions with their legends."""

    title: str
    unit: str
    lines: tuple[tuple[str, str], ...]
    kind: Literal["timeseries", "stat", "heatmap"] = "timeseries"
    width: int = 8
    words: str = ""
    of_names: bool = False
    """The legends are what counts: the values are all 1."""


@dataclass(frozen=True, slots=True)
class Dashboard:
    """A page of panels. `of`: the metric whose labels give the choice of stations."""

    uid: str
    title: str
    of: str
    panels: Sequence[Panel]


def here(metric: str, **labels: str) -> str:
    """The metric at the stations that were chosen; a label's value is a regular expression."""
    more = "".join(f', {name}=~"{value}"' for name, value in labels.items())
    return f'{metric}{{site=~"$site", station=~"$station"{more}}}'


def rate(metric: str, by: str, **labels: str) -> str:
    """A counter's increase in a second."""
    return f"sum by (site, station, {by}) (rate({here(metric, **labels)}[$__rate_interval]))"


def slowest(metric: str, share: str = "0.95") -> str:
    """So long at most, but for a few."""
    buckets = f"sum by (site, station, le) (rate({here(metric + '_bucket')}[$__rate_interval]))"
    return f"histogram_quantile({share}, {buckets})"


def median_line(metric: str) -> tuple[str, str]:
    return slowest(metric, "0.5"), "{{site}}/{{station}} median"


def slow_line(metric: str) -> tuple[str, str]:
    return slowest(metric), "{{site}}/{{station}} 95th percentile"


DEVICE = Dashboard(
    "tankwatch-device",
    "Tankwatch: devices",
    "tankwatch_camera_up",
    (
        Panel("Inspection runs", "bool_yes_no",
              ((here("tankwatch_process_up", process="inspect"), "{{site}}/{{station}}"),), "stat", 4),
        Panel("Camera", "bool_on_off", ((here("tankwatch_camera_up"), "{{site}}/{{station}}"),), "stat", 4),
        Panel("Link", "bool_on_off", ((here("tankwatch_link_connected"), "{{site}}/{{station}}"),), "stat", 4),
        Panel("Mode", MODE, ((here("tankwatch_automation_level"), "{{site}}/{{station}}"),), "stat", 4),
        Panel("Bundle", "none", ((here("tankwatch_model_info"), "{{site}}/{{station}} {{role}} {{version}}"),), "stat",
              4, of_names=True),
        Panel("Alarms", "none", ((here("tankwatch_alarms_active"), "{{site}}/{{station}} {{priority}}"),), "stat", 4),
        Panel("Alarms over time", "none", ((here("tankwatch_alarms_active"), "{{site}}/{{station}} {{priority}}"),
                                           (here("tankwatch_alarms_unacknowledged"),
                                            "{{site}}/{{station}} {{priority}}, not acknowledged"),
                                           (here("tankwatch_alarms_shelved"), "{{site}}/{{station}} shelved"),
                                           (here("tankwatch_alarms_recent"),
                                            "{{site}}/{{station}} raised in ten minutes"))),
        Panel("Cases a minute, by the machine's word", "none",
              ((f"60 * {rate('tankwatch_cases_total', 'verdict')}", "{{site}}/{{station}} {{verdict}}"),)),
        Panel("Cases a minute, by the inspector's word", "none",
              ((f"60 * {rate('tankwatch_case_decisions_total', 'decision')}", "{{site}}/{{station}} {{decision}}"),)),
        Panel("Agreement of a day", "percentunit", ((here("tankwatch:agreement:ratio_1d"), "{{site}}/{{station}}"),),
              words="Of the units that both answered. Which of the two is right only experts can tell."),
        Panel("Outcomes a minute", "none",
              ((f"60 * {rate('tankwatch_case_outcomes_total', 'outcome')}", "{{site}}/{{station}} {{outcome}}"),)),
        Panel("Scores", "percentunit",
              ((f"sum by (le) (increase({here('tankwatch_case_score_ratio_bucket')}[$__rate_interval]))", "{{le}}"),),
              "heatmap"),
        Panel("Who decided, a minute", "none",
              ((f"60 * {rate('tankwatch_case_deciders_total', 'by')}", "{{site}}/{{station}} {{by}}"),)),
        Panel("Usable seconds", "s", (median_line("tankwatch_case_usable_seconds"),)),
        Panel("Cycle", "s", (median_line("tankwatch_cycle_duration_seconds"),)),
        Panel("Smallest bubble", "lengthm", ((here("tankwatch_smallest_bubble_meters"), "{{site}}/{{station}}"),)),
        Panel("Frames a second, by what became of them", "hertz",
              ((rate("tankwatch_frames_total", "outcome"), "{{site}}/{{station}} {{outcome}}"),)),
        Panel("Frames lost", "percentunit", ((here("tankwatch:frames_lost:ratio_5m"), "{{site}}/{{station}}"),)),
        Panel("Framing", "pixel", ((here("tankwatch_framing_shift_pixels"), "{{site}}/{{station}} shift"),
                                   (here("tankwatch_framing_corners"), "{{site}}/{{station}} markers in sight"))),
        Panel("Light", "none", ((here("tankwatch_picture_brightness_levels"), "{{site}}/{{station}} brightness"),
                                (here("tankwatch_picture_contrast_levels"), "{{site}}/{{station}} contrast"),
                                (here("tankwatch_picture_paper_levels"), "{{site}}/{{station}} markers"))),
        Panel("Sharpness and noise", "none", ((here("tankwatch_picture_blur_pixels"), "{{site}}/{{station}} blur, px"),
                                              (here("tankwatch_picture_noise_levels"),
                                               "{{site}}/{{station}} noise, levels"))),
        Panel("Water", "percentunit", ((here("tankwatch_water_clarity_ratio"), "{{site}}/{{station}}"),)),
        Panel("Values that could not be measured", "percentunit",
              ((f"{rate('tankwatch_picture_missing_values_total', 'value')} / on (site, station) group_left () "
                f"sum by (site, station) (rate({here('tankwatch_picture_looks_total')}[$__rate_interval]))",
                "{{site}}/{{station}} {{value}}"),)),
        Panel("A frame takes", "s", (median_line("tankwatch_frame_step_duration_seconds"),
                                     slow_line("tankwatch_frame_step_duration_seconds"))),
        Panel("A composite and a verdict take", "s", (slow_line("tankwatch_composite_duration_seconds"),
                                                      slow_line("tankwatch_verdict_duration_seconds"))),
        Panel("From last frame to record", "s", (slow_line("tankwatch_case_record_delay_seconds"),
                                                 slow_line("tankwatch_outbox_put_duration_seconds"))),
        Panel("Processor", "percentunit",
              ((here("tankwatch_cpu_busy_ratio"), "{{site}}/{{station}} all"),
               (rate("tankwatch_process_cpu_seconds_total", "process"),
                "{{site}}/{{station}} {{process}}, of a core"))),
        Panel("Memory", "bytes", ((here("tankwatch_process_resident_memory_bytes"), "{{site}}/{{station}} {{process}}"),
                                  (here("tankwatch_memory_available_bytes"), "{{site}}/{{station}} available"))),
        Panel("Temperature", "celsius", ((here("tankwatch_temperature_celsius"), "{{site}}/{{station}}"),)),
        Panel("Disk free", "bytes", ((here("tankwatch_disk_free_bytes"), "{{site}}/{{station}}"),)),
        Panel("Waiting for a receipt", "bytes", ((here("tankwatch_outbox_bytes"), "{{site}}/{{station}}"),)),
        Panel("Oldest that waits", "s", ((here("tankwatch_outbox_oldest_age_seconds"), "{{site}}/{{station}}"),)),
        Panel("Messages a second", "none",
              ((f"sum by (site, station) (rate({here('tankwatch_messages_sent_total')}[$__rate_interval]))",
                "{{site}}/{{station}} sent"),
               (f"sum by (site, station) (rate({here('tankwatch_messages_resent_total')}[$__rate_interval]))",
                "{{site}}/{{station}} sent again"))),
        Panel("Restarts of a day", "none",
              ((f"changes({here('tankwatch_process_start_time_seconds')}[1d])", "{{site}}/{{station}} {{process}}"),)),
    ),
)  # fmt: skip

FLEET = Dashboard(
    "tankwatch-fleet",
    "Tankwatch: fleet",
    "tankwatch_cloud_station_up",
    (
        Panel("Stations", "none", (("tankwatch_cloud_stations", "{{status}}"),), "stat", 6),
        Panel("Alarms of high priority", "none",
              ((f"sum({here('tankwatch_cloud_station_alarms_active', priority='high')})", "active"),), "stat", 6),
        Panel("Cases missing", "none", ((f"sum({here('tankwatch_cloud_station_missing_cases')})", "never came"),),
              "stat", 6),
        Panel("Stations where the machine decides", "none",
              ((f"count({here('tankwatch_cloud_station_automation_level')} >= 3)", "partial or full"),), "stat", 6),
        Panel("Online", "bool_on_off", ((here("tankwatch_cloud_station_up"), "{{site}}/{{station}}"),), "stat"),
        Panel("Mode", MODE, ((here("tankwatch_cloud_station_automation_level"), "{{site}}/{{station}}"),), "stat"),
        Panel("Bundles", "none",
              ((here("tankwatch_cloud_station_model_info"), "{{site}}/{{station}} {{role}} {{version}}"),), "stat",
              of_names=True),
        Panel("Cases an hour", "none",
              ((f"sum by (site, station) (increase({here('tankwatch_cloud_cases_total')}[1h]))",
                "{{site}}/{{station}}"),)),
        Panel("Agreement of a day", "percentunit",
              ((f"sum by (site, station) (increase({here('tankwatch_cloud_cases_total', outcome='agree')}[1d])) / "
                "sum by (site, station) (increase("
                f"{here('tankwatch_cloud_cases_total', outcome='agree|machine_leak|human_leak')}[1d]))",
                "{{site}}/{{station}}"),)),
        Panel("Not tested, of a day", "percentunit",
              ((f"sum by (site, station) (increase({here('tankwatch_cloud_cases_total', verdict='not_tested')}[1d])) / "
                f"sum by (site, station) (increase({here('tankwatch_cloud_cases_total')}[1d]))",
                "{{site}}/{{station}}"),)),
        Panel("Certificates: misses at most", "percentunit",
              ((here("tankwatch_certificate_miss_rate_upper_ratio"), "{{site}}/{{station}}"),)),
        Panel("Certificates: false alarms at most", "percentunit",
              ((here("tankwatch_certificate_false_alarm_rate_upper_ratio"), "{{site}}/{{station}}"),)),
        Panel("Certificates end in", "s",
              ((f"{here('tankwatch_certificate_expiry_timestamp_seconds')} - time()", "{{site}}/{{station}}"),)),
        Panel("Water", "percentunit",
              ((here("tankwatch_cloud_station_water_clarity_ratio"), "{{site}}/{{station}}"),)),
        Panel("Oldest case that waits", "s",
              ((here("tankwatch_cloud_station_outbox_oldest_age_seconds"), "{{site}}/{{station}}"),)),
        Panel("Waiting on the devices", "bytes",
              ((here("tankwatch_cloud_station_outbox_bytes"), "{{site}}/{{station}}"),)),
        Panel("Disk free", "bytes", ((here("tankwatch_cloud_station_disk_free_bytes"), "{{site}}/{{station}}"),)),
        Panel("Temperature", "celsius",
              ((here("tankwatch_cloud_station_temperature_celsius"), "{{site}}/{{station}}"),)),
        Panel("Since the last report", "s",
              ((f"time() - {here('tankwatch_cloud_station_last_report_timestamp_seconds')}",
                "{{site}}/{{station}}"),)),
    ),
)  # fmt: skip

CLOUD = Dashboard(
    "tankwatch-cloud",
    "Tankwatch: cloud",
    "tankwatch_cloud_station_up",
    (
        Panel("Clip store", "bool_on_off", (("tankwatch_cloud_store_up", "usable"),), "stat", 6),
        Panel("Oldest case that waits for an expert", "s", (("tankwatch_cloud_review_oldest_age_seconds", "waited"),),
              "stat", 6),
        Panel("Dead letters", "none", (("tankwatch_cloud_dead_letters", "different ones"),), "stat", 6),
        Panel("Since anything was heard", "s",
              (("time() - tankwatch_cloud_last_heard_timestamp_seconds", "any station"),), "stat", 6),
        Panel("Review queue", "none", (('tankwatch_cloud_looks{state!="judged"}', "{{state}}"),)),
        Panel("Judged an hour", "none", (('delta(tankwatch_cloud_looks{state="judged"}[1h])', "judged"),)),
        Panel("Cases an hour, by the machine's word", "none",
              (("sum by (verdict) (increase(tankwatch_cloud_cases_total[1h]))", "{{verdict}}"),)),
        Panel("Outcomes an hour", "none",
              (("sum by (outcome) (increase(tankwatch_cloud_cases_total[1h]))", "{{outcome}}"),)),
        Panel("From a case's end to the database", "s", (("tankwatch_cloud_ingest_lag_seconds", "median"),)),
        Panel("Receipts a second", "none",
              (("sum(rate(tankwatch_cloud_station_receipts_total[$__rate_interval]))", "all stations"),)),
        Panel("Refused messages an hour", "none",
              (("increase(tankwatch_cloud_messages_refused_total[1h])", "refused"),)),
        Panel("Clips", "none", (("tankwatch_cloud_clips", "{{state}}"),)),
        Panel("Bytes of clips", "bytes", (("tankwatch_cloud_clip_bytes", "{{state}}"),)),
        Panel("Since the last backup", "s", (("time() - tankwatch_cloud_backup_timestamp_seconds", "begun"),)),
        Panel("Clips by station", "bytes", (("tankwatch_cloud_station_clip_bytes", "{{site}}/{{station}}"),)),
        Panel("Free for data_dir", "bytes", (("tankwatch_cloud_data_free_bytes", "free"),)),
        Panel("Training runs", "none", (("tankwatch_cloud_training_runs", "{{state}}"),)),
        Panel("Rollouts", "none", (("tankwatch_cloud_rollouts", "{{state}}"),)),
        Panel("Parallel runs", "none", (("tankwatch_cloud_parallel_runs", "{{state}}"),)),
    ),
)  # fmt: skip
DASHBOARDS = (DEVICE, FLEET, CLOUD)


def text(dashboard: Dashboard) -> str:
    """The JSON that Grafana imports."""
    page = {
        "uid": dashboard.uid,
        "title": dashboard.title,
        "tags": ["tankwatch"],
        "editable": True,
        "schemaVersion": 39,
        "refresh": "30s",
        "time": {"from": "now-24h", "to": "now"},
        "timezone": "browser",
        "templating": {"list": list(_choices(dashboard.of))},
        "panels": list(_panels(dashboard.panels)),
    }
    return json.dumps(page, indent=1) + "\n"


def _choices(metric: str) -> Iterator[dict[str, object]]:
    yield {"name": "source", "label": "Prometheus", "type": "datasource", "query": "prometheus"}
    asked = {"site": f"label_values({metric}, site)", "station": f'label_values({metric}{{site=~"$site"}}, station)'}
    for name, query in asked.items():
        yield {
            "name": name,
            "label": name.capitalize(),
            "type": "query",
            "datasource": {"type": "prometheus", "uid": "$source"},
            "query": query,
            "refresh": 2,
            "sort": 1,
            "multi": True,
            "includeAll": True,
            "allValue": ".*",
        }


def _panels(panels: Sequence[Panel]) -> Iterator[dict[str, object]]:
    """From left to right, line after line."""
    x = y = high = 0
    for number, panel in enumerate(panels, 1):
        if x + panel.width > COLUMNS:
            x, y = 0, y + high
        high = HIGH // 2 if panel.kind == "stat" else HIGH
        yield _panel(panel, number, {"x": x, "y": y, "w": panel.width, "h": high})
        x += panel.width


def _panel(panel: Panel, number: int, place: dict[str, int]) -> dict[str, object]:
    source = {"type": "prometheus", "uid": "$source"}
    targets = [
        {
            "refId": chr(ord("A") + count),
            "datasource": source,
            "expr": expression,
            "legendFormat": legend,
            "instant": panel.kind == "stat",
            "format": "heatmap" if panel.kind == "heatmap" else "time_series",
        }
        for count, (expression, legend) in enumerate(panel.lines)
    ]
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.words,
        "datasource": source,
        "gridPos": place,
        "fieldConfig": {"defaults": _shown_as(panel), "overrides": []},
        "options": {"textMode": "name" if panel.of_names else "auto"} if panel.kind == "stat" else {},
        "targets": targets,
    }


def _shown_as(panel: Panel) -> dict[str, object]:
    """What is on or off is green or red, and a mode has its name."""
    if panel.unit == MODE:
        names = {str(level): {"text": mode, "index": level} for level, mode in enumerate(MODES)}
        return {"unit": "none", "mappings": [{"type": "value", "options": names}]}
    if not panel.unit.startswith("bool"):
        return {"unit": panel.unit}
    steps = [{"color": "red", "value": None}, {"color": "green", "value": 1}]
    return {"unit": panel.unit, "thresholds": {"mode": "absolute", "steps": steps}}


def main() -> int:
    FOLDER.mkdir(parents=True, exist_ok=True)
    for dashboard in DASHBOARDS:
        path = FOLDER / f"{dashboard.uid}.json"
        path.write_text(text(dashboard), encoding="utf-8")
        print(f"{path} written", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
