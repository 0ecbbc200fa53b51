"""Rows of `desire` -> retained messages on the broker: at each connection all of them, afterwards what has changed.

Lives inside the loop of `ingest`, which owns the connection. Sent twice is sent once: devices go by the counter.
"""

import paho.mqtt.client as mqtt
from sqlalchemy.engine import Engine

from cloud_sync import desire
from cloud_sync.desire import Due

EVERY_S = 1.0
"""How often the table is looked at."""


class DesireSending:
    """What is under way to the broker, and what it has confirmed."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._everything = True
        self._next_s = 0.0
        self._under_way: dict[int, Due] = {}
        self._confirmed: list[Due] = []

    def connected(self) -> None:
        """A new connection: the broker may have forgotten what it held."""
        self._everything, self._next_s, self._under_way = True, 0.0, {}

    def confirmed(self, number: int) -> None:
        """The broker has the message of that number; others' numbers are none of ours."""
        if (one := self._under_way.pop(number, None)) is not None:
            self._confirmed.append(one)

    def turn(self, client: mqtt.Client, monotonic_s: float, now: float) -> None:
        """Publishes what is due and keeps what is confirmed. Raises SQLAlchemy's errors; nothing is lost by them."""
        if monotonic_s < self._next_s or not client.is_connected():
            return
        self._next_s = monotonic_s + EVERY_S
        if self._confirmed:
            with self._engine.begin() as connection:
                for one in self._confirmed:
                    desire.sent(connection, one, now)
            self._confirmed = []
        with self._engine.connect() as connection:
            due = desire.due(connection, everything=self._everything)
        waiting = set(self._under_way.values())
        refused = [one for one in due if one not in waiting and not self._publish(client, one)]
        self._everything = self._everything and bool(refused)

    def _publish(self, client: mqtt.Client, one: Due) -> bool:
        sent = client.publish(one.topic, one.payload, qos=1, retain=True)
        if sent.rc is not mqtt.MQTT_ERR_SUCCESS:
            return False
        self._under_way[sent.mid] = one
        return True
