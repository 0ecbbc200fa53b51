"""Whatever hypothesis thinks of as a message is held, or set aside with a reason, and the good one after it is held."""

from contextlib import suppress

import msgspec
from cloud_fakes import TOPICS, a_case, case_message
from cloud_kinds import NewCloud, opened
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmarks import payload_seeds
from cloud_sync import case_row, cases, dead_letters
from cloud_sync.dead_letters import Message
from cloud_sync.intake import Intake
from edge_agent import wire
from edge_agent.errors import LinkError

NOW = 1_800_000_000.0
SEEDS = [message for message in payload_seeds.from_station("TANK1", 3) if b"schema" in message.payload]
WORDS = st.text(max_size=20) | st.sampled_from(["\0", "../../x", "2026-11-29T20:00:00Z", "0" * 64])
NUMBERS = st.integers() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | WORDS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS, inner, max_size=4),
    max_leaves=12,
)


@st.composite
def changed_messages(draw: st.DrawFn) -> Message:
    """A message of a station in which some fields, however deep, are something else."""
    message = draw(st.sampled_from(SEEDS))
    said = msgspec.json.decode(message.payload)
    for _ in range(draw(st.integers(1, 3))):
        holder = said
        while isinstance(holder, dict) and holder:
            key = draw(st.sampled_from(sorted(holder)))
            if not isinstance(holder[key], dict) or draw(st.booleans()):
                holder[key] = draw(VALUES)
                break
            holder = holder[key]
    return Message(message.topic, msgspec.json.encode(said))


MESSAGES = st.one_of(
    changed_messages(),
    st.builds(Message, st.sampled_from([one.topic for one in SEEDS]), st.binary(max_size=200)),
    st.builds(Message, WORDS | st.sampled_from([f"{TOPICS.case}/", "tankwatch/v1//TANK1/case"]), st.binary(max_size=9)),
)


def is_message(message: Message) -> bool:
    with suppress(LinkError):
        topic = wire.parse_topic(message.topic)
        if topic.kind != "alarm" or message.payload:
            wire.decode(message.payload, wire.MESSAGES[topic.kind])
        return topic.kind != "case" or bool(case_row.rows(topic, message.payload, NOW))
    return False


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batch=st.lists(MESSAGES, min_size=1, max_size=12))
def test_any_message_is_held_or_set_aside_and_the_good_one_after_it_is_held(new_cloud: NewCloud, tmp_path, batch):
    engine, store = _cloud(new_cloud, tmp_path)
    intake = Intake(engine, store, max_clip_bytes=1_000_000)
    with engine.connect() as connection:
        letters, held = dead_letters.refused(connection).messages, cases.held(connection)["cases"]
    good = case_message(a_case(held + 1))
    handled = intake.handle([*batch, good], NOW)
    assert any(wire.sha256_of(good.payload).encode() in receipt.payload for receipt in handled.receipts)
    with engine.connect() as connection:
        told = dead_letters.refused(connection).messages - letters
    assert told >= sum(not is_message(message) for message in batch)


_clouds: dict = {}


def _cloud(new_cloud: NewCloud, folder) -> tuple:
    """One for all examples of a test."""
    if folder not in _clouds:
        _clouds[folder] = opened(new_cloud(folder / "cloud"))
    return _clouds[folder]
