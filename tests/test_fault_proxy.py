"""What the proxy is told to do to a link, it does, to that packet and to no other."""

import socket
import threading
from collections import Counter

import pytest

from benchmarks.fault_proxy import HOST, FaultProxy, ProxyThread
from benchmarks.installation import until
from benchmarks.link_faults import KINDS, SIDES, Fault, schedule
from benchmarks.mqtt_packets import CONNECT, PUBACK, PUBLISH, Packets, kind, marked_again

WITHIN_S = 10.0


def packet(type_of: int, number: int, length: int = 300) -> bytes:
    """No more than its header is MQTT; the number tells them apart."""
    body, header, left = number.to_bytes(2, "big") * (length // 2), [type_of << 4], length // 2 * 2
    while left > 0x7F:
        header.append(0x80 | left & 0x7F)
        left >>= 7
    return bytes([*header, left]) + body


class Broker:
    """Takes connections and keeps what each has sent."""

    def __init__(self):
        self.server = socket.create_server((HOST, 0))
        self.port = self.server.getsockname()[1]
        self.connections: list[socket.socket] = []
        self.got: list[bytearray] = []
        self.ended: set[int] = set()
        threading.Thread(target=self._take, daemon=True).start()

    def _take(self):
        while True:
            try:
                connection, _ = self.server.accept()
            except OSError:
                return
            self.connections.append(connection)
            self.got.append(bytearray())
            threading.Thread(target=self._read, args=(connection, len(self.got) - 1), daemon=True).start()

    def _read(self, connection, place):
        try:
            while data := connection.recv(65536):
                self.got[place] += data
        except OSError:
            pass
        self.ended.add(place)

    def packets(self, place=0):
        return Packets().feed(bytes(self.got[place])) if len(self.got) > place else []

    def close(self):
        self.server.close()
        for connection in self.connections:
            connection.close()


class Rig:
    def __init__(self, broker, proxy, thread):
        self.broker, self.proxy, self.thread = broker, proxy, thread

    def arm(self, kind, **changes):
        planned = {"at": 2, "for_s": 0.3, "part": 0.5, "count": 1, "hard": False, "upward": True} | changes
        self.thread.call(self.proxy.arm((Fault(kind, "device", **planned),)))

    def connect(self):
        connection = socket.create_connection((HOST, self.proxy.port), timeout=WITHIN_S)
        connection.sendall(packet(CONNECT, 0))
        return connection

    def sees(self, *numbers, place=0):
        """Just these packets reach the broker, in this order."""
        wanted = [packet(PUBLISH, number) for number in numbers]
        return until(
            lambda: self.broker.packets(place)[:1] and self.broker.packets(place)[1:] == wanted, WITHIN_S, 0.01
        )


@pytest.fixture
def rig():
    broker = Broker()
    with ProxyThread() as thread:
        proxy = FaultProxy("device", (HOST, broker.port))
        thread.call(proxy.open())
        yield Rig(broker, proxy, thread)
        thread.call(proxy.close())
    broker.close()


def test_packets_are_cut_at_their_borders_however_they_arrive():
    sent = [packet(CONNECT, 0), packet(PUBLISH, 1, 20_000), bytes([PUBACK << 4, 2, 0, 1]), packet(PUBLISH, 2, 128)]
    whole = b"".join(sent)
    for step in (1, 3, 1000, len(whole)):
        packets = Packets()
        found = [one for at in range(0, len(whole), step) for one in packets.feed(whole[at : at + step])]
        assert found == sent and [kind(one) for one in found] == [CONNECT, PUBLISH, PUBACK, PUBLISH]
    with pytest.raises(ValueError, match="no MQTT"):
        Packets().feed(b"\x30\xff\xff\xff\xff\xff")


def test_without_a_fault_everything_passes_both_ways(rig):
    client = rig.connect()
    client.sendall(packet(PUBLISH, 1) + packet(PUBLISH, 2))
    assert rig.sees(1, 2)
    rig.broker.connections[0].sendall(packet(PUBLISH, 7))
    assert client.recv(65536) == packet(PUBLISH, 7)
    client.close()
    assert until(lambda: 0 in rig.broker.ended, WITHIN_S, 0.01)


@pytest.mark.parametrize("hard", [False, True])
def test_a_cut_ends_both_connections_in_the_middle_of_the_packet(rig, hard):
    client = rig.connect()
    rig.arm("cut", hard=hard)
    client.sendall(packet(PUBLISH, 1) + packet(PUBLISH, 2) + packet(PUBLISH, 3))
    assert until(lambda: 0 in rig.broker.ended, WITHIN_S, 0.01)
    assert len(rig.broker.packets()) <= 2
    if not hard:  # a reset takes with it what was not read yet
        assert len(rig.broker.got[0]) - len(packet(CONNECT, 0) + packet(PUBLISH, 1)) == len(packet(PUBLISH, 2)) // 2
    try:
        assert client.recv(10) == b""
    except ConnectionResetError:
        assert hard


@pytest.mark.parametrize("hard", [False, True])
def test_a_half_open_link_swallows_both_ways_and_tells_nobody_until_its_client_leaves(rig, hard):
    client = rig.connect()
    rig.arm("half_open", hard=hard)
    client.sendall(packet(PUBLISH, 1) + packet(PUBLISH, 2) + packet(PUBLISH, 3))
    assert until(lambda: rig.proxy.happened, WITHIN_S, 0.01) and rig.sees(1)
    rig.broker.connections[0].sendall(packet(PUBLISH, 7))
    client.settimeout(0.3)
    with pytest.raises(TimeoutError):
        client.recv(10)
    client.close()
    assert until(lambda: rig.proxy.noticed, WITHIN_S, 0.01)
    assert rig.proxy.noticed[0].kind == "half_open" and 0 not in rig.broker.ended and rig.sees(1)


def test_a_link_that_swallows_one_way_still_says_when_the_broker_ends_it(rig):
    client = rig.connect()
    assert rig.sees()
    rig.arm("one_way", at=1)
    client.sendall(packet(PUBLISH, 1))
    assert until(lambda: rig.proxy.happened, WITHIN_S, 0.01)
    rig.broker.connections[0].sendall(packet(PUBLISH, 7))
    assert client.recv(65536) == packet(PUBLISH, 7)
    rig.broker.connections[0].shutdown(socket.SHUT_WR)
    assert client.recv(10) == b"" and rig.sees()


def test_acknowledgements_are_lost_or_held_and_cases_pass_them(rig):
    client, acknowledged = rig.connect(), packet(PUBACK, 9)
    rig.arm("lost_acks", at=1, count=2)
    client.sendall(acknowledged * 3 + packet(PUBLISH, 1))
    assert until(lambda: len(rig.broker.packets()) == 3, WITHIN_S, 0.01)
    assert Counter(map(kind, rig.broker.packets())) == {CONNECT: 1, PUBACK: 1, PUBLISH: 1}
    rig.arm("withheld_acks", at=1)
    client.sendall(acknowledged + packet(PUBLISH, 2))
    assert until(lambda: len(rig.broker.packets()) == 5, WITHIN_S, 0.01)
    assert rig.broker.packets()[3:] == [packet(PUBLISH, 2), acknowledged]


def test_a_case_comes_twice_again_later_or_out_of_turn(rig):
    client, one, two, three = rig.connect(), *(packet(PUBLISH, number) for number in (1, 2, 3))
    rig.arm("duplicate", at=1)
    client.sendall(one)
    assert until(lambda: rig.broker.packets()[1:] == [one, marked_again(one)], WITHIN_S, 0.01)
    rig.arm("replay", at=1)
    client.sendall(two)
    assert until(lambda: rig.broker.packets()[3:] == [two, two], WITHIN_S, 0.01)
    rig.arm("reorder", at=1)
    client.sendall(one + two + three)
    assert until(lambda: rig.broker.packets()[5:] == [two, one, three], WITHIN_S, 0.01)


def is_turned_away(rig):
    try:
        rig.connect()
    except ConnectionError:
        return True
    return False


def test_whoever_is_turned_away_may_come_again_when_the_time_is_over(rig):
    client = rig.connect()
    rig.arm("refuse", at=1)
    client.sendall(packet(PUBLISH, 1))
    assert until(lambda: rig.proxy.happened, WITHIN_S, 0.001)
    # That it happens is noted a moment before the door is shut.
    assert until(lambda: is_turned_away(rig), WITHIN_S, 0.001)
    assert until(rig.proxy.is_quiet, WITHIN_S, 0.001)
    rig.thread.call(rig.proxy.fair())  # which comes at the moment when it opens by itself
    again = rig.connect()
    again.sendall(packet(PUBLISH, 2))
    assert rig.sees(2, place=1)


def test_who_meets_a_mute_listener_never_hears_a_word_and_who_comes_later_does(rig):
    client = rig.connect()
    rig.arm("mute", at=1, for_s=3.0)
    client.sendall(packet(PUBLISH, 1))
    assert until(lambda: rig.proxy.happened, WITHIN_S, 0.001)
    unheard = rig.connect()
    assert until(rig.proxy.is_quiet, WITHIN_S, 0.01)
    heard = rig.connect()
    heard.sendall(packet(PUBLISH, 2))
    assert rig.sees(2, place=1)
    unheard.close()
    assert until(lambda: rig.proxy.noticed, WITHIN_S, 0.01) and len(rig.broker.got) == 2


def test_a_stall_and_a_slow_link_lose_nothing(rig):
    client = rig.connect()
    for place, fault in enumerate(("stall", "slow")):
        rig.arm(fault, at=1)
        client.sendall(packet(PUBLISH, 2 * place) + packet(PUBLISH, 2 * place + 1))
    assert rig.sees(0, 1, 2, 3)


def test_a_schedule_is_the_same_each_time_and_twelve_of_them_have_every_kind_on_either_side_by_turns():
    assert schedule(3, 17) == schedule(3, 17) != schedule(4, 17)
    assert {schedule(0, number)[0].kind for number in range(12)} == set(KINDS)
    first = {(fault.kind, fault.side) for number in range(24) for fault in schedule(0, number)[:1]}
    assert first == {(kind, side) for kind in KINDS for side in SIDES}
    on_hosts = {(fault.kind, fault.side) for number in range(26) for fault in schedule(0, number, cable=True)[:1]}
    assert on_hosts == first | {("cable", "device")}
