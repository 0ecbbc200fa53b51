"""Who has left is a pseudonym in what was judged; figures and the audit log's chain stay, and nothing else changes."""

from pathlib import Path

import msgspec
import pytest
import sqlalchemy as sa
from cloud_kinds import NewCloud
from desk_site import Site

from cloud_sync import accounts, audit_log, db, forgetting, tables
from cloud_sync import config as cloud_config
from cloud_sync.accounts import Act
from cloud_sync.config import CloudConfig, RetentionConfig
from cloud_sync.forgetting import NAMED
from cloud_sync.retention import retain
from cloud_sync.user_command import user
from edge_agent.errors import ConfigError

pytestmark = pytest.mark.usefixtures("quick_passwords")
NOW = 2_000_000_000.0
NOT_PEOPLE = {"decided_by"}


@pytest.fixture
def site(tmp_path: Path, new_cloud: NewCloud) -> Site:
    made = Site(tmp_path, new_cloud(tmp_path / "cloud"))
    cases = [made.case(number) for number in (1, 2)]
    for name in ("erna", "emil"):
        for case_id in cases:
            assert made.browser(name).judge(case_id, "leak", seen="stream").status_code < 400
    return made


def names_in(site: Site, *, but: tuple[str, ...] = ()) -> set[str]:
    """Tables in which the name stands."""
    found = set()
    with site.engine.connect() as connection:
        for table in tables.metadata.sorted_tables:
            if any("erna" in str(value) for row in connection.execute(sa.select(table)) for value in row):
                found.add(table.name)
    return found - set(but)


def figures(site: Site) -> list:
    with site.engine.connect() as connection:
        count = sa.select(sa.func.count(), tables.reviews.c.judgement).group_by(
            tables.reviews.c.reviewer, tables.reviews.c.judgement
        )
        truths = connection.execute(sa.select(tables.truths).order_by(tables.truths.c.case_id)).all()
        return [sorted(map(tuple, connection.execute(count))), list(map(tuple, truths))]


def test_every_column_that_names_users_is_known():
    """A new table with a name in it must be thought of."""
    people = {"reviewer", "appraiser", "who"}
    for table in tables.metadata.sorted_tables:
        for column in table.columns:
            is_name = column.name in people or (column.name.endswith("_by") and column.name not in NOT_PEOPLE)
            if is_name and table.name != "audit":
                assert column.name in NAMED.get(table, ()), f"{table.name}.{column.name}"


def test_a_forgotten_user_is_a_pseudonym_everywhere_but_in_the_audit_log_and_figures_stay(site):
    before = figures(site)
    assert "reviews" in names_in(site)
    with site.engine.begin() as connection:
        pseudonym = forgetting.forget(connection, "erna", Act("ada", at=NOW))
    assert pseudonym.startswith("gone-") and names_in(site) == {"audit"}
    assert figures(site) == before
    checked = audit_log.verified(site.engine, None)
    assert checked.fault is None and checked.lines > 5
    with site.engine.connect() as connection:
        said = connection.execute(sa.select(tables.reviews.c.reviewer)).scalars().all()
        last = connection.execute(sa.select(tables.audit).order_by(tables.audit.c.id.desc()).limit(1)).one()
    assert sorted(said) == ["emil", "emil", pseudonym, pseudonym]
    assert (last.who, last.did) == ("ada", "user_forgotten") and pseudonym in last.about


def test_tables_that_are_only_added_to_refuse_changes_as_before(site):
    with site.engine.begin() as connection:
        forgetting.forget(connection, "erna", Act("ada", at=NOW))
    with pytest.raises(sa.exc.DatabaseError, match="only added to"), site.engine.begin() as connection:
        connection.execute(sa.update(tables.reviews).values(judgement="ok"))


def test_sessions_end_and_nobody_signs_in_under_the_old_name(site):
    browser = site.browser("erna")
    with site.engine.begin() as connection:
        forgetting.forget(connection, "erna", Act("ada", at=NOW))
    assert browser.get("/review").status_code == 302
    assert site.stranger().sign_in("erna", "correct horse battery").status_code == 401


def test_the_last_administrator_and_oneself_are_not_forgotten(site):
    with site.engine.begin() as connection, pytest.raises(ConfigError, match="last administrator"):
        forgetting.forget(connection, "ada", Act(at=NOW))
    with site.engine.begin() as connection, pytest.raises(ConfigError, match="another administrator"):
        forgetting.forget(connection, "erna", Act("erna", at=NOW))
    assert "reviews" in names_in(site)


def test_whoever_was_disabled_for_long_is_forgotten_where_the_policy_says_so(site):
    with site.engine.begin() as connection:
        accounts.change(connection, "erna", accounts.Change(disabled=True), Act(at=NOW))
    later = NOW + 31 * forgetting.DAY_S
    assert forgetting.forget_overdue(site.engine, RetentionConfig(), later) == []
    assert forgetting.forget_overdue(site.engine, RetentionConfig(names_days=32), later) == []
    (pseudonym,) = forgetting.forget_overdue(site.engine, RetentionConfig(names_days=30), later)
    assert names_in(site) == {"audit"} and pseudonym.startswith("gone-")


def test_both_commands_say_what_they_did(tmp_path, capsys):
    config = CloudConfig(data_dir=str(tmp_path / "cloud"), retention=RetentionConfig(names_days=1))
    path = tmp_path / "cloud.toml"
    path.write_bytes(cloud_config.dump(config))
    engine = db.open_database(config)
    for name in ("erna", "emil"):
        accounts.add_user(engine, name, "correct horse battery", "expert", now=1.0)
    assert user(["forget", "erna", "--config", str(path)]) == 0
    said = capsys.readouterr().err
    assert "gone-" in said and "audit log" in said
    with engine.begin() as connection:
        accounts.change(connection, "emil", accounts.Change(disabled=True), Act(at=2.0))
    assert retain(["--config", str(path)]) == 0
    assert "is gone-" in capsys.readouterr().err
    assert accounts.all_users(engine) == []


def test_pseudonyms_are_off_unless_they_are_asked_for():
    assert msgspec.convert({"issuer": "https://x", "client_id": "y"}, cloud_config.OidcConfig).pseudonyms is False
