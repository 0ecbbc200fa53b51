"""Signs of life -> the device's metrics: one row each, served under /metrics and described in docs/metrics.md.

Counters are those of the inspection and of the uplink, from their files: they survive the panel, and begin anew with
the process that counts. What describes a moment is left out once its process has fallen silent.
"""

from collections.abc import Callable
from typing import get_args

import msgspec

from edge_agent.automation import MODES
from edge_agent.exposition import Metric, Reading
from edge_agent.messages import (
    Alarm,
    AlarmPriority,
    InputMetrics,
    OutputMetrics,
    PictureMetrics,
    SoftwareMetrics,
)
from edge_agent.records import FramingStatus, WaterStatus
from edge_agent.signs_of_life import PROCESS_SILENT_S, Signs
from edge_agent.state import Process
from edge_agent.utc import seconds

MB, MM = 1e6, 1e-3


def _input(read: Callable[[InputMetrics], Reading]) -> Callable[[Signs], Reading]:
    """Of the moment."""
    return lambda signs: read(signs.live.input) if signs.live else None


def _picture(read: Callable[[PictureMetrics], Reading]) -> Callable[[Signs], Reading]:
    return lambda signs: read(signs.live.input.picture) if signs.live else None


def _seen(read: Callable[[InputMetrics], Reading]) -> Callable[[Signs], Reading]:
    """Counted since the inspection began."""
    return lambda signs: read(signs.state.input) if signs.state else None


def _said(read: Callable[[OutputMetrics], Reading]) -> Callable[[Signs], Reading]:
    return lambda signs: read(signs.state.output) if signs.state else None


def _told(read: Callable[[OutputMetrics], Reading]) -> Callable[[Signs], Reading]:
    """What would tell the inspector the machine's word."""
    return lambda signs: read(signs.state.output) if signs.state and signs.is_told else None


def _verdicts(signs: Signs) -> Reading:
    """That a unit was not tested is told in every mode."""
    counts = msgspec.structs.asdict(signs.state.output.verdicts) if signs.state else {}
    return {word: many for word, many in counts.items() if signs.is_told or word == "not_tested"}


def _machine(read: Callable[[SoftwareMetrics], Reading]) -> Callable[[Signs], Reading]:
    return lambda signs: read(signs.live_uplink.software) if signs.live_uplink else None


def _sent(read: Callable[[SoftwareMetrics], Reading]) -> Callable[[Signs], Reading]:
    """Counted since the uplink began."""
    return lambda signs: read(signs.uplink.software) if signs.uplink else None


def _by_process(read: Callable[[Process], float | None]) -> Callable[[Signs], Reading]:
    def reading(signs: Signs) -> Reading:
        inspect, uplink = (said.process if said else None for said in (signs.state, signs.uplink))
        found = {"inspect": inspect, "uplink": uplink, "panel": signs.panel}
        return {name: read(process) for name, process in found.items() if process}

    return reading


def _scaled(value: float | None, by: float) -> float | None:
    return None if value is None else value * by


def _counts(counts: msgspec.Struct) -> Reading:
    """A record of counts, field by field."""
    return msgspec.structs.asdict(counts)


def _which(word: str, words: tuple[str, ...]) -> Reading:
    """1 for the word that holds, 0 for the others."""
    return {one: float(one == word) for one in words}


def _frames(seen: InputMetrics) -> Reading:
    return msgspec.structs.asdict(seen.picture.frames) | {"dropped": seen.dropped, "left_out": seen.left_out}


def _models(signs: Signs) -> Reading:
    if signs.live is None:
        return {}
    speaking = {"champion": signs.live.bundle, "challenger": signs.live.challenger}
    return {(role, str(bundle.version)): 1.0 for role, bundle in speaking.items() if bundle}


def _alarms(signs: Signs) -> list[Alarm]:
    """On the screen."""
    return [*(signs.live.alarms if signs.live else ()), *(signs.live_uplink.alarms if signs.live_uplink else ())]


def _by_priority(alarms: list[Alarm]) -> Reading:
    return {word: float(sum(alarm.priority == word for alarm in alarms)) for word in get_args(AlarmPriority)}


def _unacknowledged(signs: Signs) -> Reading:
    return _by_priority([alarm for alarm in _alarms(signs) if alarm.state == "unacknowledged"])


def _shelved(signs: Signs) -> Reading:
    aside = [said.alarms_aside for said in (signs.live, signs.live_uplink) if said]
    return float(sum(alarm.state == "shelved" for alarms in aside for alarm in alarms))


def _about(signs: Signs) -> Reading:
    """Site and station are the scraper's to say: they would clash with what it calls the device."""
    return {signs.uplink.software.version: 1.0} if signs.uplink else {}


def _said_at(signs: Signs) -> Reading:
    return {"inspect": seconds(signs.state.at if signs.state else None), "uplink": _uplink_at(signs)}


def _uplink_at(signs: Signs) -> float | None:
    return seconds(signs.uplink.at) if signs.uplink else None


ABOUT: tuple[Metric[Signs], ...] = (
    Metric("tankwatch_device_info", "gauge", "Always 1; the version of the program.", _about, ("software",)),
    Metric("tankwatch_model_info", "gauge", "Always 1; the bundles that speak and that are heard beside them.", _models,
           ("role", "version")),
    Metric("tankwatch_automation_level", "gauge",
           "Degree of automation in force: 0 human_only, 1 shadow, 2 assist, 3 partial, 4 full.",
           lambda signs: float(MODES.index(signs.live.mode)) if signs.live else None),
    Metric("tankwatch_station_set_up", "gauge", "1 where the station has a profile, otherwise 0.",
           lambda signs: float(signs.live.profile_sha256 is not None) if signs.live else None),
    Metric("tankwatch_alarms_active", "gauge", "Alarms on the screen.", lambda signs: _by_priority(_alarms(signs)),
           ("priority",)),
    Metric("tankwatch_alarms_unacknowledged", "gauge", "Of them, those that nobody has acknowledged.", _unacknowledged,
           ("priority",)),
    Metric("tankwatch_alarms_shelved", "gauge", "Alarms that somebody has put aside for a while.", _shelved),
    Metric("tankwatch_alarms_recent", "gauge",
           "Alarms that asked people to look within the last ten minutes; one is the aim, more than ten are a flood.",
           lambda signs: float(signs.alarms_told)),
)  # fmt: skip
SOFTWARE: tuple[Metric[Signs], ...] = (
    Metric("tankwatch_process_up", "gauge", "1 while the process says how it is, 0 once it has fallen silent.",
           lambda signs: {name: float(signs.is_up(name)) for name in PROCESS_SILENT_S}, ("process",)),
    Metric("tankwatch_process_last_report_timestamp_seconds", "gauge", "When the process last said how it is (UTC).",
           _said_at, ("process",)),
    Metric("tankwatch_process_start_time_seconds", "gauge", "When the process began (UTC); a change is a restart.",
           _by_process(lambda one: seconds(one.started_at)), ("process",)),
    Metric("tankwatch_process_cpu_seconds_total", "counter", "Processor time of the process since its start.",
           _by_process(lambda one: one.cpu_s), ("process",)),
    Metric("tankwatch_process_resident_memory_bytes", "gauge", "Memory that the process holds.",
           _by_process(lambda one: one.resident_mb * MB), ("process",)),
    Metric("tankwatch_inspection_starts", "gauge",
           "Starts of the inspection since this bundle speaks, less those that ended as wanted: 1 is the usual number.",
           lambda signs: signs.live.inspect_starts if signs.live else None),
    Metric("tankwatch_cpu_busy_ratio", "gauge", "Share of all cores that was busy over the last 10 s.",
           _machine(lambda one: one.cpu_ratio)),
    Metric("tankwatch_memory_size_bytes", "gauge", "Memory of the device.",
           _machine(lambda one: _scaled(one.memory_mb, MB))),
    Metric("tankwatch_memory_available_bytes", "gauge", "Memory that programs can still have.",
           _machine(lambda one: _scaled(one.memory_free_mb, MB))),
    Metric("tankwatch_temperature_celsius", "gauge", "Of the device's hottest zone; left out where it does not tell.",
           _machine(lambda one: one.temperature_c)),
    Metric("tankwatch_disk_size_bytes", "gauge", "Of the disk that holds the outbox.",
           _machine(lambda one: _scaled(one.disk_mb, MB))),
    Metric("tankwatch_disk_free_bytes", "gauge", "Free on the disk that holds the outbox.",
           _machine(lambda one: one.disk_free_mb * MB if one.disk_mb else None)),
    Metric("tankwatch_outbox_cases", "gauge", "Cases that wait for the cloud's receipt.",
           _machine(lambda one: one.waiting_cases)),
    Metric("tankwatch_outbox_clips", "gauge", "Clips that wait for the cloud's receipt.",
           _machine(lambda one: one.waiting_clips)),
    Metric("tankwatch_outbox_bytes", "gauge", "Of the cases and clips that wait.",
           _machine(lambda one: one.waiting_bytes)),
    Metric("tankwatch_outbox_oldest_age_seconds", "gauge", "Of the case that has waited longest; 0 where none waits.",
           _machine(lambda one: one.oldest_waiting_s or 0.0)),
    Metric("tankwatch_link_connected", "gauge", "1 while there is a connection to the broker, otherwise 0.",
           lambda signs: float(signs.live_uplink.connected) if signs.live_uplink else None),
    Metric("tankwatch_link_change_timestamp_seconds", "gauge", "Since when it is so (UTC).",
           lambda signs: seconds(signs.live_uplink.since) if signs.live_uplink else None),
    Metric("tankwatch_link_certificate_expiry_timestamp_seconds", "gauge",
           "When the certificate for the broker ends (UTC); left out where there is none.",
           lambda signs: signs.certificate_ends_s),
    Metric("tankwatch_receipt_timestamp_seconds", "gauge", "When the cloud last confirmed anything (UTC).",
           lambda signs: seconds(signs.live_uplink.receipt_at) if signs.live_uplink else None),
    Metric("tankwatch_link_reconnects_total", "counter", "Connections to the broker after the first.",
           _sent(lambda one: one.reconnects)),
    Metric("tankwatch_messages_sent_total", "counter", "Messages published.", _sent(lambda one: one.sent)),
    Metric("tankwatch_messages_resent_total", "counter", "Of them, cases and clips sent again for want of a receipt.",
           _sent(lambda one: one.resent)),
    Metric("tankwatch_receipts_total", "counter", "Cases and clips that the cloud has confirmed.",
           _sent(lambda one: one.receipted)),
)  # fmt: skip
INPUT: tuple[Metric[Signs], ...] = (
    Metric("tankwatch_camera_up", "gauge", "1 while the camera gives pictures, otherwise 0.",
           _input(lambda one: float(one.camera == "ok"))),
    Metric("tankwatch_camera_frame_rate_hertz", "gauge", "Frames that the camera gives in a second.",
           _input(lambda one: one.fps)),
    Metric("tankwatch_camera_reconnects_total", "counter", "Connections to the camera after the first.",
           _seen(lambda one: one.reconnects)),
    Metric("tankwatch_frames_total", "counter",
           "Frames by what became of them: usable; misframed (markers not in place); blind (black, white); duplicated "
           "(the very picture before); frozen (the same for a second and more); passed (not looked at, over "
           "an empty tank in which nothing moves); dropped (nobody had time); left_out (its capture time did not "
           "rise, or it had come before).", _seen(_frames), ("outcome",)),
    Metric("tankwatch_framing_status", "gauge", "1 for the status that holds, 0 for the others.",
           _input(lambda one: _which(one.framing, get_args(FramingStatus))), ("status",)),
    Metric("tankwatch_framing_corners", "gauge", "Markers in sight, of four.", _picture(lambda one: one.corners_seen)),
    Metric("tankwatch_framing_shift_pixels", "gauge", "How far the markers lie from where they were at set-up.",
           _input(lambda one: one.shift_px)),
    Metric("tankwatch_framing_rotation_degrees", "gauge", "How far the camera is turned against set-up.",
           _picture(lambda one: one.rotation_deg)),
    Metric("tankwatch_picture_brightness_levels", "gauge", "Mean grey level of the tank view.",
           _input(lambda one: one.brightness)),
    Metric("tankwatch_picture_contrast_levels", "gauge", "Between the dark and the light parts of the tank view.",
           _picture(lambda one: one.contrast_levels)),
    Metric("tankwatch_picture_noise_levels", "gauge", "Camera noise, standard deviation.",
           _picture(lambda one: one.noise_levels)),
    Metric("tankwatch_picture_paper_levels", "gauge", "Between the markers' black and white: the light on this side.",
           _picture(lambda one: one.paper_levels)),
    Metric("tankwatch_picture_blur_pixels", "gauge", "Of the markers' edges in the tank view: the smaller the sharper.",
           _picture(lambda one: one.blur_px)),
    Metric("tankwatch_water_status", "gauge", "1 for the status that holds, 0 for the others.",
           _input(lambda one: _which(one.water, get_args(WaterStatus))), ("status",)),
    Metric("tankwatch_water_clarity_ratio", "gauge", "Clarity of the water: 0 opaque, 1 clear.",
           _input(lambda one: one.clarity)),
    Metric("tankwatch_smallest_bubble_pixels", "gauge", "Diameter in the tank view from which bubbles are found.",
           _picture(lambda one: one.smallest_bubble_px)),
    Metric("tankwatch_smallest_bubble_meters", "gauge", "The same in the tank; left out where the scale is not known.",
           _picture(lambda one: _scaled(one.smallest_bubble_mm, MM))),
    Metric("tankwatch_picture_looks_total", "counter", "Looks at the picture's figures, one every two seconds.",
           _seen(lambda one: one.picture.looks)),
    Metric("tankwatch_picture_missing_values_total", "counter",
           "Of them, those at which the value could not be measured (corners: fewer than four).",
           _seen(lambda one: _counts(one.picture.missing)), ("value",)),
)  # fmt: skip
OUTPUT: tuple[Metric[Signs], ...] = (
    Metric("tankwatch_cases_total", "counter", "Cases by the machine's word.", _verdicts, ("verdict",)),
    Metric("tankwatch_case_outcomes_total", "counter", "Cases by comparison of machine and inspector.",
           _told(lambda one: _counts(one.outcomes)), ("outcome",)),
    Metric("tankwatch_case_decisions_total", "counter", "Cases by the inspector's word.",
           _said(lambda one: _counts(one.decisions)), ("decision",)),
    Metric("tankwatch_case_deciders_total", "counter", "Cases by who decided.",
           _said(lambda one: _counts(one.deciders)), ("by",)),
    Metric("tankwatch_case_score_ratio", "histogram", "Leak probability at equal odds, of the cases that have one.",
           _told(lambda one: one.scores)),
    Metric("tankwatch_case_usable_seconds", "histogram", "Time of a case in which a leak could have been seen.",
           _said(lambda one: one.usable_s)),
    Metric("tankwatch_cycle_duration_seconds", "histogram",
           "From the beginning of one case to that of the next; pauses of ten minutes and more are left out.",
           _said(lambda one: one.cycle_s)),
    Metric("tankwatch_frame_step_duration_seconds", "histogram", "All that is done with one frame.",
           _said(lambda one: one.latency.step)),
    Metric("tankwatch_composite_duration_seconds", "histogram", "One composite: built, looked at, accounted for.",
           _said(lambda one: one.latency.composite)),
    Metric("tankwatch_verdict_duration_seconds", "histogram", "The champion's word on a case, once it is asked for.",
           _said(lambda one: one.latency.verdict)),
    Metric("tankwatch_case_record_delay_seconds", "histogram", "From a case's last frame to its record on the disk.",
           _said(lambda one: one.latency.record)),
    Metric("tankwatch_outbox_put_duration_seconds", "histogram", "The outbox takes a case for good, or refuses it.",
           _said(lambda one: one.latency.put)),
    Metric("tankwatch_challenger_cut_cases_total", "counter",
           "Cases in which the challenger was stopped so that the champion lost no frame.",
           _said(lambda one: one.challenger_cut)),
)  # fmt: skip
CATALOGUE = (*ABOUT, *SOFTWARE, *INPUT, *OUTPUT)
