"""A new password, and the words of the place where it is to hold -> taken, or why it is easily guessed (ASVS 5.0, 6.2).

What is in common_passwords.txt, or short once the words of this place are taken out, is tried first by whoever guesses.
How passwords are kept is `accounts`' matter.
"""

import functools
import re
from collections.abc import Iterable
from pathlib import Path

from edge_agent.errors import ConfigError

SHORTEST = 10
DIFFERENT = 5
SHORTEST_WORD = 3
WORDS = (
    *("tankwatch", "leak", "bubble", "compressor", "inspector", "station", "factory", "fabrik", "review"),
    *("admin", "administrator", "expert", "quality", "viewer", "user"),
    *("password", "passwort", "kennwort", "contrasena", "secret", "geheim", "welcome", "willkommen", "bienvenido"),
    *("qwerty", "qwertz", "asdfgh", "12345", "abc123", "letmein", "changeme"),
)
"""Product, trade and roles; what people write when they are asked for a password; the keyboard. docs/accounts.md."""
ALIKE = str.maketrans("013457@$!", "oieastasi")
"""Signs that stand for letters."""
LIST = Path(__file__).with_name("common_passwords.txt")


def check(password: str, words: Iterable[str]) -> None:
    """`words`: of this user and place. Raises ConfigError with fact, limit and cure."""
    if len(password) < SHORTEST:
        raise ConfigError(
            f"password has {len(password)} characters, at least {SHORTEST} are needed: choose a longer one"
        )
    if (count := _different(password)) < DIFFERENT:
        raise ConfigError(
            f"password has {count} different characters, runs like 1234 or aaaa as one, at least {DIFFERENT} are "
            "needed: choose other ones"
        )
    if password.lower() in common():
        raise ConfigError(f"password is one of the {len(common())} that are used most: choose another one")
    left, found = _without(password.lower(), [*WORDS, *words])
    if left < SHORTEST:
        raise ConfigError(
            f"password has {left} characters beside words of this place ({', '.join(found)}), at least {SHORTEST} are "
            "needed: leave them out, or choose a longer one"
        )


@functools.cache
def common() -> frozenset[str]:
    """Lower case; the file says whose list it is."""
    lines = LIST.read_text(encoding="utf-8").splitlines()
    return frozenset(line for line in lines if line and not line.startswith("#"))


def _different(password: str) -> int:
    codes = [ord(character) for character in password.lower()]
    runs = zip([-2, *codes], codes, strict=False)
    return len({code for before, code in runs if abs(code - before) > 1})


def _without(password: str, words: Iterable[str]) -> tuple[int, list[str]]:
    """How many characters are left, and which words went; the longest go first."""
    parts = {part for word in words for part in (word.lower(), *re.split(r"[^a-z0-9]+", word.lower()))}
    left, found = password.translate(ALIKE), []
    for word in sorted(parts, key=lambda part: (-len(part), part)):
        if len(word) >= SHORTEST_WORD and word.translate(ALIKE) in left:
            found.append(word)
            left = left.replace(word.translate(ALIKE), "\0")
    return len(left.replace("\0", "")), found
