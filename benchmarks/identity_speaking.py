"""Everybody says everything, and everybody listens to everything, at the real broker -> what was let in or kept out.

A cell is one word of one speaker on one topic, for one listener in one way. No time decides: when the broker has
acknowledged all words it has dealt them, and a word that everybody may hear comes behind them.
"""

from contextlib import ExitStack
from dataclasses import dataclass, field

from benchmarks import identity_rights as rights
from benchmarks.secured import Broker, Client
from edge_agent.errors import LinkError
from edge_agent.wire import Topics


@dataclass(slots=True)
class Matrix:
    """What was tried and seen. Names: `speaker says TOPIC, listener hears it (way)`."""

    cells: int = 0
    allowed: int = 0
    let_in: list[str] = field(default_factory=list)
    kept_out: list[str] = field(default_factory=list)

    def add(self, *, name: str, allowed: bool, happened: bool) -> None:
        self.cells, self.allowed = self.cells + 1, self.allowed + allowed
        if happened and not allowed:
            self.let_in.append(name)
        if allowed and not happened:
            self.kept_out.append(name)


def sitting(broker: Broker, places: dict[str, Topics], way: str, matrix: Matrix) -> None:
    """Two stations and the cloud; `places`: name -> its topics."""
    topics, everybody = rights.all_topics(places), (*places, rights.CLOUD)
    with ExitStack() as stack:
        if way == "retained":
            for who in everybody:
                with _client(broker, who) as speaker:
                    speaker.say(*_words(who, topics, way), retain=True)
        clients = {}
        for who in everybody:
            wanted = (*rights.filters(way, who, topics), _end(who, places))
            clients[who] = stack.enter_context(_client(broker, who, listen=wanted))
        if way != "retained":
            for who, client in clients.items():
                client.say(*_words(who, topics, way))
        clients[rights.CLOUD].say(*((_end(who, places), b"end") for who in everybody))
        for who, client in clients.items():
            if not client.hears(_end(who, places), b"end"):
                matrix.kept_out.append(f"{who} hears nothing at all ({way})")
            _compare(who, client, places, way, matrix)
        if way == "retained":
            for who, client in clients.items():
                client.say(*((topic, b"") for topic in topics if rights.may_say(who, topic, places)), retain=True)


def wills(broker: Broker, places: dict[str, Topics], matrix: Matrix) -> None:
    """A last will is a word too: the first station leaves one on every topic and breaks off."""
    own = next(iter(places))
    with _client(broker, rights.CLOUD, listen=["#"]) as cloud:
        for topic in rights.all_topics(places):
            word = f"{own}|{topic}|will".encode()
            try:
                with _client(broker, own, will=(topic, word)) as dying:
                    dying.break_off()
            except LinkError:
                # With such a will it is not let in at all.
                matrix.add(name=topic, allowed=False, happened=False)
                continue
            # Whoever comes under the same id is let in when the one before is gone, will and all.
            with _client(broker, own) as again:
                again.say((places[own].case, word))
            cloud.hears(places[own].case, word)
            allowed, heard = rights.may_say(own, topic, places), (topic, word) in cloud.heard
            if topic != places[own].case:
                matrix.add(name=f"{own} leaves a will on {topic}", allowed=allowed, happened=heard)


def dealt(broker: Broker, places: dict[str, Topics], group: str, *, shared: str, words: int = 20) -> tuple[int, int]:
    """A station joins the `group` that cloud.toml names; ingest listens to `shared`. (Said, heard by ingest.)"""
    thief, honest = list(places)
    stolen = f"$share/{group}/{shared.split('/', 2)[2]}"
    with (
        _client(broker, rights.CLOUD, listen=[shared, rights.HEAD]) as ingest,
        _client(broker, thief, listen=[stolen]),
        _client(broker, honest) as station,
    ):
        station.say(*((places[honest].case, b"%d" % number) for number in range(words)))
        ingest.say((rights.HEAD, b"end"))
        ingest.hears(rights.HEAD, b"end")
        return words, sum(topic == places[honest].case for topic, _ in ingest.heard)


def _client(broker: Broker, who: str, **more) -> Client:
    return Client(broker, broker.cloud if who == rights.CLOUD else broker.station(who), **more)


def _words(who: str, topics: tuple[str, ...], way: str) -> list[tuple[str, bytes]]:
    return [(topic, f"{who}|{topic}|{way}".encode()) for topic in topics]


def _end(who: str, places: dict[str, Topics]) -> str:
    """What the cloud may say and this one hear."""
    return rights.HEAD if who == rights.CLOUD else places[who].receipt


def _compare(who: str, client: Client, places: dict[str, Topics], way: str, matrix: Matrix) -> None:
    heard = set(client.heard)
    for speaker in (*places, rights.CLOUD):
        for topic, word in _words(speaker, rights.all_topics(places), way):
            allowed = rights.may_say(speaker, topic, places) and rights.may_hear(who, topic, places)
            name = f"{speaker} says {topic}, {who} hears it ({way})"
            matrix.add(name=name, allowed=allowed, happened=(topic, word) in heard)
    of_the_broker = {topic for topic, _ in heard if topic.startswith("$SYS/")}
    matrix.add(name=f"{who} hears $SYS ({way})", allowed=False, happened=bool(of_the_broker))
