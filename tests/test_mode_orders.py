"""Orders: by evidence alone, with role and reason, lowered at once, and never a step down by a switch of bundles."""

from pathlib import Path

import msgspec
import pytest
import sqlalchemy as sa
from mode_site import CHALLENGER, CHAMPION, NOW, PROFILE, SITE, ModeSite

from cloud_sync import certificates, desire, mode_orders
from cloud_sync.certificates import Subject
from cloud_sync.mode_orders import Wanted
from cloud_sync.policy import Automation
from cloud_sync.tables import audit
from edge_agent import wire
from edge_agent.errors import ConfigError
from edge_agent.messages import ModeOrder

PLACE = (SITE, "TANK1")
POLICY = Automation()
DAY_S = 86_400.0


@pytest.fixture
def site(tmp_path: Path) -> ModeSite:
    found = ModeSite(tmp_path)
    found.station("TANK1")
    return found


def order(site: ModeSite, mode: str, *, now: float = NOW, **other) -> ModeOrder:
    wanted = Wanted(**({"place": PLACE, "mode": mode, "reason": "earned"} | other))
    with site.engine.begin() as connection:
        return mode_orders.order(connection, wanted, POLICY, who="quinn", now=now)


def mode(site: ModeSite) -> str:
    with site.engine.connect() as connection:
        return mode_orders.mode_of(connection, PLACE)


def lapsed(site: ModeSite, now: float = NOW, flags=None) -> list:
    with site.engine.begin() as connection:
        return mode_orders.lapsed(connection, POLICY, now, flags)


def test_no_mode_above_shadow_without_its_evidence_and_the_refusal_says_what_is_missing(site):
    site.proven("TANK1", leaky=100, good=200)
    with pytest.raises(
        ConfigError, match=r"partial is not certified: 1\d\d more judged leaky units or challenge parts"
    ):
        order(site, "partial")
    with pytest.raises(ConfigError, match="needs a reason"):
        order(site, "shadow", reason=" ")
    assert mode(site) == "shadow"
    site.proven("TANK1", leaky=200, good=500)
    given = order(site, "partial")
    assert (given.bundle_sha256, given.profile_sha256, given.mode) == (CHAMPION, PROFILE, "partial")
    assert given.certificate is not None and given.certificate.miss_rate_upper <= 0.02
    assert (given.certificate.leaky, given.certificate.good, given.certificate.coverage) == (300, 700, 1.0)
    with pytest.raises(ConfigError, match="full is not certified"):
        order(site, "full")


def test_a_station_that_has_told_nothing_gets_no_order(site):
    with pytest.raises(ConfigError, match="has not told its profile"):
        order(site, "shadow")
    with pytest.raises(ConfigError, match="has not told which bundle"):
        order(site, "shadow", place=(SITE, "TANK9"))


def test_counters_rise_payloads_are_what_is_signed_and_the_log_knows_who(site):
    site.proven("TANK1")
    first, second = order(site, "assist"), order(site, "partial")
    assert second.counter == first.counter + 1 >= NOW // 60
    with site.engine.connect() as connection:
        ((place, name, data),) = mode_orders.files(connection)
        assert (place, name, wire.decode(data, ModeOrder)) == (PLACE, "mode.json", second)
        assert [row.mode for row in mode_orders.history(connection, PLACE)] == ["partial", "assist"]
        did = connection.execute(sa.select(audit.c.who, audit.c.about).where(audit.c.did == "mode_ordered")).all()
    assert len(did) == 2 and "plant/TANK1 partial for bundle aaaaaaaaaaaa: earned" in did[1].about


def test_orders_are_only_added_to(site):
    site.proven("TANK1")
    order(site, "partial")
    for statement in ("UPDATE mode_orders SET mode = 'full'", "DELETE FROM mode_orders"):
        with pytest.raises(sa.exc.IntegrityError, match="only added to"), site.engine.begin() as connection:
            connection.execute(sa.text(statement))


def test_lowering_goes_ahead_over_mqtt_and_raising_takes_it_back_by_a_signed_answer(site):
    site.proven("TANK1")
    order(site, "partial")
    order(site, "shadow", reason="line is rebuilt")
    with site.engine.connect() as connection:
        wish = desire.wanted(connection, PLACE)
    assert (wish.mode, mode(site)) == ("shadow", "shadow")
    again = order(site, "partial", reason="line is ready")
    with site.engine.connect() as connection:
        later = desire.wanted(connection, PLACE)
    assert later.mode is None and again.answers_wish == later.counter > wish.counter
    assert mode(site) == "partial"


def test_evidence_that_turns_lowers_at_once_and_once(site):
    site.proven("TANK1")
    order(site, "partial")
    assert lapsed(site) == []
    site.units("TANK1", "ok", "leak", 9, decision="leak", outcome="human_leak", sampled_for="disagreement")
    ((place, reason),) = lapsed(site)
    assert place == PLACE and "9 of 309 leaks seen were answered ok" in reason
    assert lapsed(site) == [] and mode(site) == "shadow"
    with site.engine.connect() as connection:
        assert desire.wanted(connection, PLACE).mode == "shadow"
        about = connection.scalars(sa.select(audit.c.about).where(audit.c.did == "device_asked")).all()
    assert "9 of 309 leaks seen were answered ok" in about[-1]


def test_disagreements_that_nobody_has_judged_lower_too(site):
    site.proven("TANK1")
    order(site, "partial")
    site.units("TANK1", "ok", None, 9, decision="leak", outcome="human_leak", sampled_for="disagreement")
    assert len(lapsed(site)) == 1


def test_an_old_certificate_and_somebody_elses_flag_lower_too(site):
    site.proven("TANK1")
    order(site, "partial")
    assert lapsed(site, NOW + 29 * DAY_S) == []
    ((_, reason),) = lapsed(site, flags={PLACE: "challenge part SN-3 was missed"})
    assert reason == "challenge part SN-3 was missed"
    order(site, "partial", now=NOW + DAY_S)
    ((_, reason),) = lapsed(site, NOW + 32 * DAY_S)
    assert reason.startswith("the certificate ended")


def test_only_a_bundle_that_holds_the_certificate_may_speak_above_shadow(site):
    site.proven("TANK1")

    def why() -> str:
        with site.engine.connect() as connection:
            return mode_orders.may_switch(connection, PLACE, CHALLENGER, POLICY)

    assert why() == "", "in shadow a switch steps nobody down"
    order(site, "partial")
    assert why().startswith("plant/TANK1 runs in partial, and the bundle does not hold its certificate: ")
    with site.engine.begin() as connection, pytest.raises(ConfigError):
        mode_orders.follow(connection, PLACE, CHALLENGER, POLICY, now=NOW)
    site.proven("TANK1", bundle_sha256=CHALLENGER)
    assert why() == ""
    with site.engine.begin() as connection:
        assert mode_orders.follow(connection, PLACE, CHALLENGER, POLICY, now=NOW)
        given = mode_orders.latest(connection, PLACE)
    assert given is not None and (given.bundle_sha256, given.mode) == (CHALLENGER, "partial")
    assert mode(site) == "partial"


def test_postgresql_orders_counts_and_lowers_as_sqlite_does(postgres, tmp_path):
    site = ModeSite(tmp_path, database=postgres.new_database())
    site.station("TANK1")
    site.proven("TANK1")
    assert order(site, "partial").certificate.leaky == 300
    assert len(lapsed(site, flags={PLACE: "drift"})) == 1 and mode(site) == "shadow"
    with pytest.raises(sa.exc.IntegrityError, match="only added to"), site.engine.begin() as connection:
        connection.execute(sa.text("DELETE FROM mode_orders"))
    site.engine.dispose()


def test_only_what_the_line_would_have_been_told_counts(site):
    site.units("TANK1", "ok", "ok", 5)
    site.units("TANK1", "ok", "ok", 4, due_verdict=None)
    site.units("TANK1", "ok", "leak", 3, due_verdict="uncertain")
    site.units("TANK1", "leak", "leak", 2, due_verdict="ok", sampled_for="disagreement")
    site.units("TANK1", "leak", "leak", 7, sampled_for="challenge")
    site.units("TANK1", "ok", "ok", 6, profile_sha256="e" * 64)
    with site.engine.connect() as connection:
        found = certificates.measured(connection, Subject(PLACE, CHAMPION, PROFILE))
    assert (found.tested, found.answered, found.seen_missed) == (14, 7, 2)


def test_a_station_whose_status_cannot_be_read_gets_no_order(site):
    site.proven("TANK1")
    with site.engine.begin() as connection:
        connection.execute(sa.text("UPDATE stations SET status = '{}'"))
        assert mode_orders.status_of(connection, PLACE) is None
    assert msgspec.json.encode({}) == b"{}"
    with pytest.raises(ConfigError, match="which bundle"):
        order(site, "assist")
