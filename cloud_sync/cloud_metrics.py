"""Figures of the cloud -> its metrics: one row each, served under /metrics and described in docs/metrics.md. PURE.

A station is named by `site` and `station` and by nothing else; no case, unit or person is ever a label.
"""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from cloud_sync.fleet_figures import ClipFigures, Figures
from edge_agent import utc
from edge_agent.automation import MODES
from edge_agent.exposition import Metric, Reading
from edge_agent.messages import Metrics, ModeCertificate

STATION = ("site", "station")
MB = 1e6


class Look(msgspec.Struct, frozen=True):
    """What one scrape is answered from."""

    figures: Figures
    clips: ClipFigures
    store_up: bool
    free_bytes: float
    """On the disk of data_dir."""
    now_s: float
    """UTC, seconds since 1970."""


def _cloud(read: Callable[[Figures], Reading]) -> Callable[[Look], Reading]:
    return lambda look: read(look.figures)


def _certified(read: Callable[[ModeCertificate], float | None]) -> Callable[[Look], Reading]:
    return lambda look: {place: read(one) for place, one in look.figures.certificates.items()}


def _health(read: Callable[[Metrics], float | None]) -> Callable[[Look], Reading]:
    return lambda look: {place: read(one) for place, one in look.figures.health.items()}


def _stations(figures: Figures) -> Reading:
    words = [status.status if status else "unknown" for status in figures.statuses.values()]
    return {word: words.count(word) for word in ("online", "offline", "unknown")}


def _levels(figures: Figures) -> Reading:
    return {place: MODES.index(one.mode) for place, one in figures.statuses.items() if one and one.mode}


def _models(figures: Figures) -> Reading:
    found: dict[Any, float] = {}
    for place, status in figures.statuses.items():
        speaking = {"champion": status.bundle, "challenger": status.challenger} if status else {}
        found |= {(*place, role, str(bundle.version)): 1.0 for role, bundle in speaking.items() if bundle}
    return found


def _heard_at(figures: Figures) -> Reading:
    return max([*figures.health_at.values(), *figures.seen_at.values()], default=None)


def _waited(look: Look) -> Reading:
    since = look.figures.oldest_look_at
    return 0.0 if since is None else max(0.0, look.now_s - since)


def _whole(counts: Mapping[str, int], *words: str) -> Reading:
    """With the words that do not occur: a count that is absent raises no alarm."""
    return dict.fromkeys(words, 0) | dict(counts)


FLEET: tuple[Metric[Look], ...] = (
    Metric("tankwatch_cloud_stations", "gauge", "Stations that have ever said anything, by what they say now.",
           _cloud(_stations), ("status",)),
    Metric("tankwatch_cloud_station_up", "gauge", "1 while the station's last word is that it is online.",
           _cloud(lambda all: {place: float(one is not None and one.status == "online")
                               for place, one in all.statuses.items()}), STATION),
    Metric("tankwatch_cloud_station_last_report_timestamp_seconds", "gauge", "When its metrics last came (UTC).",
           _cloud(lambda all: all.health_at), STATION),
    Metric("tankwatch_cloud_station_last_case_timestamp_seconds", "gauge", "When its latest case began (UTC).",
           _cloud(lambda all: all.last_case_at), STATION),
    Metric("tankwatch_cloud_station_automation_level", "gauge",
           "Degree of automation in force there: 0 human_only, 1 shadow, 2 assist, 3 partial, 4 full.",
           _cloud(_levels), STATION),
    Metric("tankwatch_cloud_station_model_info", "gauge", "Always 1; the bundles that run there.", _cloud(_models),
           (*STATION, "role", "version")),
    Metric("tankwatch_cloud_station_alarms_active", "gauge", "Alarms on its screen.", _cloud(lambda all: all.alarms),
           (*STATION, "priority")),
    Metric("tankwatch_cloud_station_name_shared", "gauge",
           "1 while two devices speak in its name by turns: a copied disk or certificate.",
           _cloud(lambda all: {place: float(place in all.doubled) for place in all.statuses}), STATION),
    Metric("tankwatch_cloud_station_missing_cases", "gauge", "Case numbers that never came and do not wait at it.",
           lambda look: dict.fromkeys(look.figures.statuses, 0) | look.figures.gap_cases, STATION),
    Metric("tankwatch_cloud_station_camera_up", "gauge", "1 while its camera gives pictures.",
           _health(lambda one: float(one.input.camera == "ok")), STATION),
    Metric("tankwatch_cloud_station_water_clarity_ratio", "gauge", "Clarity of its water: 0 opaque, 1 clear.",
           _health(lambda one: one.input.clarity), STATION),
    Metric("tankwatch_cloud_station_outbox_oldest_age_seconds", "gauge",
           "Of the case that has waited longest for its receipt; 0 where none waits.",
           _health(lambda one: one.software.oldest_waiting_s or 0.0), STATION),
    Metric("tankwatch_cloud_station_outbox_bytes", "gauge", "Of its cases and clips that wait for a receipt.",
           _health(lambda one: one.software.waiting_bytes), STATION),
    Metric("tankwatch_cloud_station_receipts_total", "counter", "Cases and clips of which its uplink has a receipt.",
           _health(lambda one: one.software.receipted), STATION),
    Metric("tankwatch_cloud_station_disk_free_bytes", "gauge", "Free on its disk.",
           _health(lambda one: one.software.disk_free_mb * MB if one.software.disk_mb else None), STATION),
    Metric("tankwatch_cloud_station_temperature_celsius", "gauge", "Of its hottest zone.",
           _health(lambda one: one.software.temperature_c), STATION),
    Metric("tankwatch_cloud_station_clip_bytes", "gauge", "Of its clips here, whole or on their way.",
           lambda look: look.clips.station_bytes, STATION),
    Metric("tankwatch_cloud_station_clips_refused", "gauge",
           "1 while its clips are refused because it has as many here as max_clip_gb_per_station allows.",
           lambda look: {place: float(place in look.figures.over_quota) for place in look.figures.statuses}, STATION),
    Metric("tankwatch_certificate_miss_rate_upper_ratio", "gauge",
           "Upper bound of the certificate that the station's mode rests on: of leaking units, those answered ok.",
           _certified(lambda one: one.miss_rate_upper), STATION),
    Metric("tankwatch_certificate_false_alarm_rate_upper_ratio", "gauge",
           "Upper bound of the same certificate: of good units, those answered leak.",
           _certified(lambda one: one.false_alarm_rate_upper), STATION),
    Metric("tankwatch_certificate_coverage_ratio", "gauge", "Share of the tested units that were answered ok or leak.",
           _certified(lambda one: one.coverage), STATION),
    Metric("tankwatch_certificate_expiry_timestamp_seconds", "gauge", "When it lapses, and the mode with it (UTC).",
           _certified(lambda one: utc.seconds(one.expires_at)), STATION),
)  # fmt: skip
DESK: tuple[Metric[Look], ...] = (
    Metric("tankwatch_cloud_cases_total", "counter", "Cases in the database.", _cloud(lambda all: all.cases),
           (*STATION, "verdict", "decision", "outcome")),
    Metric("tankwatch_cloud_looks", "gauge",
           "Judgements that were asked for: coming (the clip is under way), waiting, bare (no clip will come), judged.",
           _cloud(lambda all: all.looks), ("state",)),
    Metric("tankwatch_cloud_review_oldest_age_seconds", "gauge",
           "How long the first of those that wait has waited; 0 where none does.", _waited),
    Metric("tankwatch_cloud_dead_letters", "gauge", "Different messages that could not be taken.",
           _cloud(lambda all: all.dead_letters)),
    Metric("tankwatch_cloud_messages_refused_total", "counter", "Messages that could not be taken, each time.",
           _cloud(lambda all: all.refused)),
    Metric("tankwatch_cloud_ingest_lag_seconds", "gauge",
           "From a case's end, by the device's clock, to the database: of the latest hundred, the median station's "
           "median.", _cloud(lambda all: all.lag_s)),
    Metric("tankwatch_cloud_last_heard_timestamp_seconds", "gauge", "When any station was last heard (UTC).",
           _cloud(_heard_at)),
    Metric("tankwatch_cloud_clips", "gauge", "Clips by state: partial, stored.",
           lambda look: _whole(look.clips.count, "partial", "stored"), ("state",)),
    Metric("tankwatch_cloud_clip_bytes", "gauge", "Bytes of these clips.",
           lambda look: _whole(look.clips.bytes, "partial", "stored"), ("state",)),
    Metric("tankwatch_cloud_store_up", "gauge", "1 while clip store and database take what comes.",
           lambda look: float(look.store_up)),
    Metric("tankwatch_cloud_backup_timestamp_seconds", "gauge",
           "When the last whole 'cloud backup' was begun (UTC); 0 where none ever was.",
           _cloud(lambda all: all.backup_at)),
    Metric("tankwatch_cloud_data_free_bytes", "gauge", "Free on the disk of data_dir.",
           lambda look: look.free_bytes),
    Metric("tankwatch_cloud_training_runs", "gauge", "Training runs by state.",
           _cloud(lambda all: _whole(all.runs, "queued", "training", "failed", "done")), ("state",)),
    Metric("tankwatch_cloud_rollouts", "gauge", "Rollouts by state.", _cloud(lambda all: all.rollouts), ("state",)),
    Metric("tankwatch_cloud_parallel_runs", "gauge", "Parallel runs of a challenger beside its champion, by state.",
           _cloud(lambda all: all.parallel_runs), ("state",)),
)  # fmt: skip
CATALOGUE = (*FLEET, *DESK)
