"""A valid message -> one that probably is none, and a topic -> an odd one: what a broken or hostile sender may say.

Structure first (other types, huge numbers, absent and double keys, deep nesting), then bytes (cut, doubled, flipped). A
seeded hand chooses, so that a number names the message for good.
"""

import copy
import json
import random
from collections.abc import Callable
from typing import Any

_MARK = "\x02{}\x03"
RAW = (
    b"NaN", b"Infinity", b"-Infinity", b"1e999", b"-1e400", b"9" * 400, b"9" * 4301, b"-" + b"1" * 30, b"0x10", b"01",
    b"+1", b"1.", b".5", b"undefined", b"'x'", b"", b'"\\ud800"', b'"\\udfff\\ud800"', b'"\xff\xfe"', b'"\xc0\x80"',
    b'"\xed\xa0\x80"', b'"\x00"', b'"\\u0000"', b'"\\x41"', b'"open', b"[" * 3000 + b"]" * 3000,
    b'{"a":' * 1500 + b"1" + b"}" * 1500, b"[" * 60000, b"[" + b"0," * 9000 + b"0]", b'"' + b"A" * 70_000 + b'"',
    b'"' + b"\\u0000" * 3000 + b'"', b"-0", b"1E+2", b"5e-324", b"//c", b"/*c*/1",
)  # fmt: skip
"""Values that JSON's own writers do not write."""
VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2**31, 2**53 + 1, 2**63 - 1, 2**63, 2**64, -(2**63) - 1, 10**30, 0.1, -0.0, 1e308,
    -1e308, 1.0, "", " ", "\0", "0", "-1", "null", "../../etc/passwd", "a/../b", "a" * 300, "a\n", "é\u202e\ufeff",
    "\U0001f4a7" * 50, "9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+14:00", "0000-00-00", "2026-13-45T99:99:99Z",
    "f" * 64, "F" * 64, "f" * 63 + "\n", [], {}, [[]], ["x", 1], [None] * 50, {"a": {"b": [{}]}}, [["a", "b"]] * 200,
    "tankwatch/case/2", "tankwatch/status/1",
)  # fmt: skip
Path = tuple[str | int, ...]


def mutated(chance: random.Random, payload: bytes) -> bytes:
    """`payload`: a JSON object, or any bytes, which are then changed as bytes alone."""
    draw = chance.random()
    if draw < 0.03:
        return chance.randbytes(chance.choice((0, 1, 7, 200, 5000)))
    try:
        message = json.loads(payload)
    except ValueError:
        return chance.choice(_BYTES)(chance, payload)
    raw: list[bytes] = []
    for _ in range(chance.choice((1, 1, 1, 2, 3)) if draw < 0.85 else 0):
        chance.choice(_STRUCTURE)(chance, message, raw)
    data = _written(message, raw)
    return chance.choice(_BYTES)(chance, data) if draw > 0.75 else data


def odd_topic(chance: random.Random, topic: str) -> str:
    """One level or more is not what it should be."""
    levels = topic.split("/")
    at = chance.randrange(len(levels))
    odd = chance.choice(
        ("", "..", ".", "+", "#", "$SYS", "a" * 300, "x y", "é", "\u202e", "CASE", "manifest", "٣", "-1", "007", "1e3",
         "999999", "1000000", "F" * 64, "f" * 63, "plant\n", "TANK1\n", "%2e%2e", "tank1", "clip", "case", "receipt",
         "desired", "command", "disposition", "reply")
    )  # fmt: skip
    kind = chance.randrange(5)
    if kind == 0:
        levels[at] = odd
    elif kind == 1:
        levels.insert(at, odd)
    elif kind == 2:
        levels.pop(at)
    elif kind == 3:
        levels = levels + [odd] * chance.choice((1, 2, 50))
    else:
        chance.shuffle(levels)
    return "/".join(levels)


def _written(message: Any, raw: list[bytes]) -> bytes:
    data = json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")
    for number, token in enumerate(raw):
        data = data.replace(json.dumps(_MARK.format(number)).encode(), token, 1)
    return data


def _places(value: Any, path: Path = ()) -> list[Path]:
    """Of every value in it, the whole left out."""
    parts = value.items() if isinstance(value, dict) else enumerate(value[:20]) if isinstance(value, list) else ()
    return [place for key, part in parts for place in ((*path, key), *_places(part, (*path, key)))]


def _a_place(chance: random.Random, message: Any) -> tuple[Any, Any] | None:
    """What holds a value, and under which key."""
    places = _places(message)
    if not places:
        return None
    *way, key = chance.choice(places)
    holder = message
    for step in way:
        holder = holder[step]
    return holder, key


def _a_value(chance: random.Random, raw: list[bytes]) -> Any:
    if chance.random() < 0.35:
        raw.append(chance.choice(RAW))
        return _MARK.format(len(raw) - 1)
    return copy.deepcopy(chance.choice(VALUES))


def _replace(chance: random.Random, message: Any, raw: list[bytes]) -> None:
    if place := _a_place(chance, message):
        place[0][place[1]] = _a_value(chance, raw)


def _remove(chance: random.Random, message: Any, _raw: list[bytes]) -> None:
    if place := _a_place(chance, message):
        del place[0][place[1]]


def _add(chance: random.Random, message: Any, raw: list[bytes]) -> None:
    if isinstance(message, dict):
        message[chance.choice(("extra", "", "\0", "schema ", "../x", "é", "a" * 500))] = _a_value(chance, raw)


def _wrap(chance: random.Random, message: Any, _raw: list[bytes]) -> None:
    if place := _a_place(chance, message):
        holder, key = place
        holder[key] = chance.choice(([holder[key]], {"value": holder[key]}, [holder[key]] * 500, str(holder[key])))


def _swap(chance: random.Random, message: Any, _raw: list[bytes]) -> None:
    one, other = _a_place(chance, message), _a_place(chance, message)
    if one and other:
        one[0][one[1]] = other[0][other[1]] if not isinstance(other[0][other[1]], dict | list) else None


def _say_other_version(chance: random.Random, message: Any, _raw: list[bytes]) -> None:
    if isinstance(message, dict):
        said = str(message.get("schema", ""))
        message["schema"] = chance.choice(
            (said[:-1] + "2", said[:-1] + "0", said.upper(), said + " ", "", None, [said])
        )


def _cut(chance: random.Random, data: bytes) -> bytes:
    return data[: chance.randrange(len(data) + 1)]


def _extend(chance: random.Random, data: bytes) -> bytes:
    return data + chance.choice((b"}", b"\0", b" " * 2000, b",", data, b"null", b"\n{}", chance.randbytes(30)))


def _flip(chance: random.Random, data: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 8)) if data else 0):
        changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def _repeat(chance: random.Random, data: bytes) -> bytes:
    at, length = chance.randrange(len(data) + 1), chance.randrange(200)
    return data[:at] + data[at : at + length] * chance.choice((0, 2, 100)) + data[at + length :]


def _double_key(chance: random.Random, data: bytes) -> bytes:
    key = chance.choice((b"schema", b"case_id", b"id", b"sha256", b"order", b"cases", b"counter"))
    return data.replace(b"{", b'{"' + key + b'":' + chance.choice(RAW[:12] + (b'"x"', b"[]", b"1")) + b",", 1)


def _dress(chance: random.Random, data: bytes) -> bytes:
    """The same words in other clothes."""
    text = data.decode("utf-8", "replace")
    return chance.choice((b"\xef\xbb\xbf" + data, text.encode("utf-16"), text.encode("utf-32"), b"\x1f\x8b" + data))


_STRUCTURE: tuple[Callable[[random.Random, Any, list[bytes]], None], ...] = (
    _replace, _replace, _replace, _remove, _add, _wrap, _swap, _say_other_version,
)  # fmt: skip
_BYTES: tuple[Callable[[random.Random, bytes], bytes], ...] = (
    _cut, _extend, _flip, _flip, _repeat, _double_key, _dress,
)  # fmt: skip
