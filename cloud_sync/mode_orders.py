"""How much each station may decide: ordered with a reason, by evidence alone, and lowered at once where it falls short.

Each order is a row that is only added to; its payload becomes the station's signed `mode.json` (`files`). A lower mode
goes over MQTT as well, which only lowers. What the device makes of both is `edge_agent.automation`.
"""

from collections.abc import Iterator, Mapping

import msgspec
import sqlalchemy as sa

from cloud_sync import audit_log, certificates, certify, desire
from cloud_sync.certificates import Place, Subject
from cloud_sync.certify import Measured
from cloud_sync.device_health import kept
from cloud_sync.policy import Automation, Requirement
from cloud_sync.tables import mode_orders, stations
from edge_agent import wire
from edge_agent.automation import MODES, lower
from edge_agent.errors import ConfigError
from edge_agent.messages import ModeCertificate, ModeOrder, Status
from edge_agent.offered import MODE
from edge_agent.records import Mode

ABOVE_SHADOW: tuple[Mode, ...] = MODES[MODES.index("shadow") + 1 :]
LASTS_DAYS = 3650
"""An order for no more than shadow needs no evidence and ends with the device."""
WHO = "tankwatch"
"""Who lowers a mode when the evidence does."""


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody orders. `bundle_sha256`: None = for the bundle that speaks."""

    place: Place
    mode: Mode
    reason: str
    bundle_sha256: str | None = None


def order(connection: sa.Connection, wanted: Wanted, automation: Automation, *, who: str, now: float) -> ModeOrder:
    """The caller commits. Raises ConfigError with words where no certificate allows it."""
    if not wanted.reason.strip():
        raise ConfigError("an order needs a reason: say why")
    audit_log.take_turn(connection)
    subject, before = _subject(connection, wanted), latest(connection, wanted.place)
    certificate = None
    if wanted.mode in ABOVE_SHADOW:
        found = certificates.measured(connection, subject)
        _check(found, wanted.mode, automation)
        certificate = _certificate(found, automation, now)
    answers = _tell(connection, wanted, before, who=who, now=now)
    given = ModeOrder(
        site=wanted.place[0],
        station=wanted.place[1],
        mode=wanted.mode,
        counter=desire.next_counter(before.counter if before else -1, now),
        bundle_sha256=subject.bundle_sha256,
        profile_sha256=subject.profile_sha256,
        answers_wish=answers,
        certificate=certificate,
        reason=wanted.reason.strip(),
        ordered_by=who,
        ordered_at=desire.utc(now),
        expires_at=certificate.expires_at if certificate else desire.utc(now + 86_400 * LASTS_DAYS),
    )
    _add(connection, given, now)
    return given


def follow(connection: sa.Connection, place: Place, bundle_sha256: str, automation: Automation, *, now: float) -> bool:
    """Orders the present mode for a bundle that is to speak next; the device obeys it from the switch on.

    The caller commits. False where the station is not above shadow or has the order already. Raises ConfigError where
    `may_switch` has words.
    """
    mode, before = mode_of(connection, place), latest(connection, place)
    if mode not in ABOVE_SHADOW or (before and (before.bundle_sha256, before.mode) == (bundle_sha256, mode)):
        return False
    wanted = Wanted(place=place, mode=mode, reason="the next bundle holds the certificate", bundle_sha256=bundle_sha256)
    order(connection, wanted, automation, who=WHO, now=now)
    return True


def may_switch(connection: sa.Connection, place: Place, bundle_sha256: str, automation: Automation) -> str:
    """Empty where a switch to this bundle steps the station down by nothing; else why it would."""
    mode, profile = mode_of(connection, place), certificates.profile_of(connection, place)
    if mode not in ABOVE_SHADOW:
        return ""
    if profile is None:
        return f"{'/'.join(place)} runs in {mode}, and its profile is not known"
    found = certificates.measured(connection, Subject(place, bundle_sha256, profile))
    fault = why_not(found, mode, automation)
    return f"{'/'.join(place)} runs in {mode}, and the bundle does not hold its certificate: {fault}" if fault else ""


def lapsed(
    connection: sa.Connection, automation: Automation, now: float, flags: Mapping[Place, str] | None = None
) -> list[tuple[Place, str]]:
    """Lowers every station whose evidence no longer supports its mode; the caller commits. `flags`: place -> words of
    whoever watches for drift or missed challenge parts. Gives those that were lowered, with the reason."""
    found = []
    for place in ordered_places(connection):
        given = latest(connection, place)
        if given is None or mode_of(connection, place) not in ABOVE_SHADOW:
            continue
        reason = (flags or {}).get(place, "") or _fault(connection, given, automation, now)
        if reason and desire.want(connection, place, who=WHO, reason=reason, now=now, mode="shadow"):
            found.append((place, reason))
    return found


def why_not(found: Measured, mode: Mode, automation: Automation) -> str:
    """What keeps this evidence from the mode, in words; empty where nothing does."""
    return in_words(certify.missing(found, required(automation, mode), least_parts=automation.least_parts))


def in_words(lack: certify.Missing) -> str:
    """What is missing, for a person; empty where nothing is."""
    words = list(lack.words)
    for number, of_what in ((lack.leaky, "judged leaky units or challenge parts"), (lack.good, "good units")):
        if number is None:
            words.append(f"the bound on {of_what.split()[-1]} is out of reach: judge what waits first")
        elif number:
            words.append(f"{number:,} more {of_what}")
    return "; ".join(words)


def required(automation: Automation, mode: Mode) -> Requirement:
    """Of a mode above shadow."""
    return {"assist": automation.assist, "partial": automation.partial, "full": automation.full}[mode]


def latest(connection: sa.Connection, place: Place) -> ModeOrder | None:
    """The order that holds for a station, whatever has become of it."""
    query = sa.select(mode_orders.c.payload).where(*_here(place)).order_by(mode_orders.c.counter.desc()).limit(1)
    payload = connection.scalar(query)
    return None if payload is None else wire.decode(bytes(payload), ModeOrder)


def mode_of(connection: sa.Connection, place: Place) -> Mode:
    """What was ordered, or what it was lowered to since."""
    given, wish = latest(connection, place), desire.wanted(connection, place)
    ordered = given.mode if given else "shadow"
    if wish.mode is None or (given and wish.counter <= given.answers_wish):
        return ordered
    return lower(ordered, wish.mode)


def is_above_shadow(connection: sa.Connection, place: Place) -> bool:
    """Does the machine's word count there, as ordered and not lowered since?"""
    return mode_of(connection, place) in ABOVE_SHADOW


def history(connection: sa.Connection, place: Place, most: int = 50) -> list[sa.Row]:
    """Newest first."""
    query = sa.select(mode_orders).where(*_here(place)).order_by(mode_orders.c.counter.desc()).limit(most)
    return list(connection.execute(query))


def ordered_places(connection: sa.Connection) -> list[Place]:
    """Stations that ever had an order."""
    query = sa.select(mode_orders.c.site, mode_orders.c.station).distinct()
    return sorted((row.site, row.station) for row in connection.execute(query))


def ordered_at(connection: sa.Connection) -> dict[Place, float]:
    """When each of these stations had its latest order."""
    query = sa.select(mode_orders.c.site, mode_orders.c.station, sa.func.max(mode_orders.c.at).label("at"))
    rows = connection.execute(query.group_by(mode_orders.c.site, mode_orders.c.station))
    return {(row.site, row.station): row.at for row in rows}


def files(connection: sa.Connection) -> Iterator[tuple[Place, str, bytes]]:
    """Place, name and bytes of what is to be signed for each station; the same again while nothing changes."""
    for place in ordered_places(connection):
        payload = connection.scalar(
            sa.select(mode_orders.c.payload).where(*_here(place)).order_by(mode_orders.c.counter.desc()).limit(1)
        )
        yield place, MODE, bytes(payload)  # type: ignore[arg-type]


def status_of(connection: sa.Connection, place: Place) -> Status | None:
    """What the device said of itself last."""
    here = (stations.c.site == place[0]) & (stations.c.station == place[1])
    return kept(connection.scalar(sa.select(stations.c.status).where(here)), Status)


def _subject(connection: sa.Connection, wanted: Wanted) -> Subject:
    """Bundle and profile for which an order is. Raises ConfigError where the station has not told them."""
    status, profile = status_of(connection, wanted.place), certificates.profile_of(connection, wanted.place)
    bundle = wanted.bundle_sha256 or (status.bundle.sha256 if status and status.bundle else None)
    if bundle is None or profile is None:
        lack = "which bundle speaks there" if bundle is None else "its profile: it has sent no case"
        raise ConfigError(f"{'/'.join(wanted.place)} has not told {lack}; order its mode once it has")
    return Subject(wanted.place, bundle, profile)


def _check(found: Measured, mode: Mode, automation: Automation) -> None:
    if fault := why_not(found, mode, automation):
        raise ConfigError(f"{mode} is not certified: {fault}")


def _certificate(found: Measured, automation: Automation, now: float) -> ModeCertificate:
    best = certify.shown(found, least_parts=automation.least_parts)
    return ModeCertificate(
        miss_rate_upper=round(best.miss_rate_upper, 6),
        false_alarm_rate_upper=round(found.false_alarm_rate_upper, 6),
        confidence=certify.CONFIDENCE,
        shown_by="challenge parts" if best.by == "challenge parts" else "units",
        leaky=found.challenge.leaky if best.by == "challenge parts" else found.leaky,
        good=found.answered_ok,
        coverage=round(found.coverage, 4),
        measured_at=desire.utc(now),
        expires_at=desire.utc(now + 86_400 * automation.valid_days),
    )


def _tell(connection: sa.Connection, wanted: Wanted, before: ModeOrder | None, *, who: str, now: float) -> int:
    """A lower mode goes ahead over MQTT, a higher one takes back what went there. The counter that is answered."""
    is_lower = MODES.index(wanted.mode) < MODES.index(before.mode if before else "shadow")
    mode = wanted.mode if is_lower or wanted.mode == "human_only" else None
    if desire.wanted(connection, wanted.place).mode != mode:
        desire.want(connection, wanted.place, who=who, reason=wanted.reason.strip(), now=now, mode=mode)
    return desire.wanted(connection, wanted.place).counter


def _fault(connection: sa.Connection, given: ModeOrder, automation: Automation, now: float) -> str:
    """Why an order for more than shadow no longer holds; empty where it does."""
    place = (given.site, given.station)
    if given.expires_at <= desire.utc(now):
        return f"the certificate ended at {given.expires_at}"
    found = certificates.measured(connection, Subject(place, given.bundle_sha256, given.profile_sha256))
    fault = why_not(found, given.mode, automation)
    return f"the evidence no longer shows what {given.mode} requires: {fault}" if fault else ""


def _add(connection: sa.Connection, given: ModeOrder, now: float) -> None:
    values = {"site": given.site, "station": given.station, "mode": given.mode, "counter": given.counter}
    values |= {"payload": wire.encode(given), "reason": given.reason, "who": given.ordered_by, "at": now}
    connection.execute(sa.insert(mode_orders).values(values))
    about = f"{given.site}/{given.station} {given.mode} for bundle {given.bundle_sha256[:12]}: {given.reason}"
    audit_log.note(connection, who=given.ordered_by, did="mode_ordered", about=about, now=now)


def _here(place: Place) -> tuple[sa.ColumnElement[bool], sa.ColumnElement[bool]]:
    return mode_orders.c.site == place[0], mode_orders.c.station == place[1]
