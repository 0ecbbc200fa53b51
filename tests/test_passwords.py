"""New passwords: what whoever guesses would try first is refused, wherever it is set; everything else is taken."""

import re
from pathlib import Path

import pytest
import sqlalchemy as sa
from desk_site import PASSWORD, Site
from hypothesis import given
from hypothesis import strategies as st

from cloud_sync import accounts, passwords, tables
from edge_agent.errors import ConfigError

WORDS = ["maria.schmidt", "north-plant", "TANK7"]


@pytest.mark.parametrize(
    "password",
    [
        PASSWORD,
        "fifty silent moorhens",
        "Zw3tschgen-knödel",
        "tankwatch is not a password that I like",
        "maria likes blue kettles",
        "7 plants, 1 tank",
        "пароль на каждый день",
        "\U0001f40b\U0001f980\U0001f41f\U0001f427\U0001f422 in the tank",
    ],
)
def test_what_nobody_would_guess_is_taken(password: str) -> None:
    passwords.check(password, WORDS)


@pytest.mark.parametrize(
    ("password", "words"),
    [
        ("kettles12", "has 9 characters, at least 10"),
        ("aaaaaaaaaaaa", "has 1 different characters"),
        ("1234567890", "has 2 different characters"),
        ("abcdefghijklm", "has 1 different characters"),
        ("9876543210", "has 1 different characters"),
        ("abcabcabcabc", "has 1 different characters"),
        ("13131313131313", "has 2 different characters"),
        ("basketball", "one of the 3000 that are used most"),
        ("BasketBall", "one of the 3000 that are used most"),
        ("Tankwatch2026!", "5 characters beside words of this place (tankwatch), at least 10"),
        ("T4nkw@tch2026", "4 characters beside words of this place (tankwatch)"),
        ("Passwort!2026", "5 characters beside words of this place (passwort)"),
        ("qwertzuiop12", "6 characters beside words of this place (qwertz)"),
        ("maria.schmidt99", "2 characters beside words of this place (maria.schmidt)"),
        ("Schmidt+Maria.1", "3 characters beside words of this place (schmidt, maria)"),
        ("NORTHplant26", "2 characters beside words of this place (north, plant)"),
        ("tank7-tank7-", "2 characters beside words of this place (tank7)"),
    ],
)
def test_what_is_guessed_first_is_refused_with_fact_limit_and_cure(password: str, words: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(words)) as refused:
        passwords.check(password, WORDS)
    assert ": choose" in str(refused.value) or ": leave them out" in str(refused.value)


@given(st.text(min_size=passwords.SHORTEST), st.lists(st.text(max_size=20), max_size=3))
def test_any_text_is_taken_or_refused_in_one_line(password: str, words: list[str]) -> None:
    try:
        passwords.check(password, words)
    except ConfigError as error:
        assert str(error).startswith("password ")


def test_the_list_is_what_its_head_says() -> None:
    head = passwords.LIST.read_text(encoding="utf-8").split("\n\n")[0]
    assert "SecLists" in head and "MIT License" in head
    assert len(passwords.common()) == 3000, "as many as ASVS asks for"
    assert all(len(word) >= passwords.SHORTEST and word == word.lower() for word in passwords.common())
    assert passwords.LIST.name in (passwords.LIST.parent.parent / "setup.cfg").read_text(encoding="utf-8")


def test_every_word_of_the_product_is_in_the_documents() -> None:
    page = (passwords.LIST.parent.parent / "docs" / "accounts.md").read_text(encoding="utf-8")
    for word in passwords.WORDS:
        assert f"`{word}`" in page, word


@pytest.mark.usefixtures("quick_passwords")
def test_user_and_station_are_thought_of_wherever_a_password_is_set(tmp_path: Path) -> None:
    site = Site(tmp_path)
    with site.engine.begin() as connection:
        row = {"site": "harbour", "station": "BASIN4", "status": None, "seen_at": 1.0}
        connection.execute(sa.insert(tables.stations).values(row))
    for name in ("nora", "erna"):
        for password in (f"{name}2026!!!", "harbour-2026", "Basin4Basin4"):
            with pytest.raises(ConfigError, match="beside words of this place"):
                accounts.add_user(site.engine, name, password, "expert", now=2.0)
    admin, own = site.browser("ada"), {"own": PASSWORD, "current": PASSWORD}
    for path, fields in (
        ("/users", {"name": "nora", "password": "harbour-2026", "role": "expert"}),
        ("/users/erna/password", {"new": "harbour-2026"}),
        ("/password", {"new": "harbour-2026", "again": "harbour-2026"}),
    ):
        answer = admin.send(path, {**fields, **own}, on="/users")
        assert (answer.status_code, "(harbour)" in answer.get_data(as_text=True)) == (400, True), path
