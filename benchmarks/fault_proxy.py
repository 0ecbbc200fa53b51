"""A TCP proxy before a broker that does to a link what `link_faults` says, packet by packet.

Fair until it is armed. It knows borders and types of MQTT packets; what they say is none of its business.
"""

import asyncio
import contextlib
import random
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from contextlib import AbstractContextManager, nullcontext
from typing import Self, TypeVar

from benchmarks.link_faults import Fault, Side
from benchmarks.mqtt_packets import PUBACK, PUBLISH, Packets, kind, marked_again
from benchmarks.proxied_link import Course, Link, Noticed, close, until_closed
from edge_agent.errors import LinkError

T = TypeVar("T")
HOST = "127.0.0.1"
PORTS = range(20_000, 32_000)
READ_BYTES = 65536
OVERTAKEN_S = 2.0
"""A packet that waits for others to overtake it goes then at the latest."""
SLOW_BYTES_S = 12_500


class FaultProxy:
    """One way to the broker at `upstream`. Its methods belong to the loop that runs it (`ProxyThread.call`)."""

    def __init__(self, side: Side, upstream: tuple[str, int], host: str = HOST) -> None:
        self.side, self.port = side, _free_port(host)
        self.happened: list[Fault] = []
        self.noticed: list[Noticed] = []
        self.pull_cable: Callable[[float], Coroutine[object, object, None]] | None = None
        """Takes the link between two hosts down for so many seconds."""
        self.host, self._upstream = host, upstream
        self._armed: list[Fault] = []
        self._seen: Counter[tuple[bool, int]] = Counter()
        self._courses = {True: Course(), False: Course()}
        self._links: set[Link] = set()
        self._tasks: set[asyncio.Task] = set()
        self._server: asyncio.Server | None = None
        self._door = asyncio.Lock()
        self._mute: Fault | None = None
        self._busy_until_s = 0.0

    async def open(self) -> None:
        """Listens, always at the same port; it may do so already."""
        async with self._door:
            if self._server is None:
                self._server = await asyncio.start_server(self._accept, self.host, self.port)

    async def arm(self, faults: tuple[Fault, ...]) -> None:
        """From here on packets are counted, and these faults happen to them."""
        self.happened, self.noticed = [], []
        self._armed, self._seen = [fault for fault in faults if fault.side == self.side], Counter()

    async def fair(self) -> None:
        """Nothing more happens, and what is held goes on. A link that swallows goes on swallowing."""
        self._armed = []
        for upward in (True, False):
            self._release_acks(upward)
            self._courses[upward] = Course(overtaken=self._courses[upward].overtaken)
            self._release_overtaken(upward, all_of_them=True)
        self._mute = None
        await self.open()

    async def close(self) -> None:
        """Everything ends, and has ended."""
        self._stop_listening()
        for task in list(self._tasks):
            task.cancel()
        while self._links or self._tasks:
            for link in list(self._links):
                link.end(hard=True)
            await asyncio.sleep(0.01)

    def is_quiet(self) -> bool:
        """Every fault has happened and had its time."""
        return not self._armed and time.monotonic() > self._busy_until_s

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        link = Link(writer)
        self._links.add(link)
        try:
            if self._mute is not None:
                link.swallow(self._mute, True, False)
                await self._pump(link, reader, True)
                return
            from_broker, link.broker = await asyncio.open_connection(*self._upstream)
            await asyncio.gather(self._pump(link, reader, True), self._pump(link, from_broker, False))
        except OSError:
            link.end(hard=True)  # no broker there: the client sees it as it would without us
        finally:
            self._links.discard(link)

    async def _pump(self, link: Link, source: asyncio.StreamReader, upward: bool) -> None:
        packets = Packets()
        # How a connection ends makes no difference.
        with contextlib.suppress(ConnectionError):
            while True:
                if link.swallows.get(upward):
                    await until_closed(link.client if upward else link.broker)
                    break
                if not (data := await source.read(READ_BYTES)):
                    break
                if upward in link.swallows:
                    continue
                for packet in packets.feed(data):
                    await self._pass(link, packet, upward)
        self._ended(link, upward)

    def _ended(self, link: Link, upward: bool) -> None:
        """One end is gone. The other one hears of it, unless the link swallows that too."""
        if link.swallowed_by:
            after_s = round(time.monotonic() - link.since_s, 2)
            if upward or len(link.swallows) == 1:
                self.noticed.append(Noticed(link.swallowed_by, self.side, after_s))
                link.swallowed_by = None
        if upward not in link.swallows:
            link.end()
        elif (own := link.sink(not upward)) is not None:
            close(own, hard=False)

    async def _pass(self, link: Link, packet: bytes, upward: bool) -> None:
        self._seen[upward, kind(packet)] += 1
        for fault in self._due(packet, upward):
            self._armed.remove(fault)
            self.happened.append(fault)
            self._busy_until_s = max(self._busy_until_s, time.monotonic() + fault.lasts_s)
            packet = await self._happen(fault, link, packet)
        if not packet or upward in link.swallows or self._keeps(link, packet, upward):
            return
        await self._forward(link, packet, upward)
        if kind(packet) == PUBLISH:
            self._release_overtaken(upward)

    def _due(self, packet: bytes, upward: bool) -> list[Fault]:
        place = (upward, kind(packet), self._seen[upward, kind(packet)])
        return [fault for fault in self._armed if (fault.upward, fault.packet, fault.at) == place]

    async def _happen(self, fault: Fault, link: Link, packet: bytes) -> bytes:
        """What is left of the packet to pass on."""
        match fault.kind:
            case "cut" | "duplicate" | "replay" | "reorder":
                return await self._meddle(fault, link, packet)
            case "withheld_acks" | "lost_acks" | "stall" | "slow":
                self._change_course(fault)
            case "half_open":
                link.swallow(fault, True, False)
            case "one_way":
                link.swallow(fault, fault.upward)
            case "cable":
                self._pull(fault)
            case "refuse" | "mute":
                self._turn_away(fault)
                return b""
        return packet

    async def _meddle(self, fault: Fault, link: Link, packet: bytes) -> bytes:
        """With this packet alone."""
        if fault.kind == "cut":
            link.send(packet[: max(1, int(fault.part * (len(packet) - 1)))], fault.upward)
            await asyncio.sleep(0)
            link.end(hard=fault.hard)
            return b""
        if fault.kind == "reorder":
            self._courses[fault.upward].overtaken.append((link, packet, fault.count))
            self._later(OVERTAKEN_S, self._release_overtaken, fault.upward, True)
            return b""
        if fault.kind == "replay":
            self._later(fault.for_s / 3, link.send, packet, fault.upward)
            return packet
        link.send(packet, fault.upward)
        return marked_again(packet)

    def _change_course(self, fault: Fault) -> None:
        """Of all that comes this way."""
        course, until_s = self._courses[fault.upward], time.monotonic() + fault.for_s
        if fault.kind == "withheld_acks":
            course.held_acks = course.held_acks or []
            self._later(fault.for_s, self._release_acks, fault.upward)
        elif fault.kind == "lost_acks":
            course.lose_acks += fault.count
        elif fault.kind == "stall":
            course.still_until_s = until_s
        else:
            course.slow_until_s = until_s

    def _turn_away(self, fault: Fault) -> None:
        """Whoever is connected, and for a time whoever comes."""
        if fault.kind == "mute":
            self._mute = fault
            self._later(fault.for_s, self._speak_again, fault)
        else:
            self._stop_listening()
            self._later(fault.for_s, self._listen_again)
        for link in list(self._links):
            if not link.swallows:
                link.end(hard=fault.hard)

    def _keeps(self, link: Link, packet: bytes, upward: bool) -> bool:
        """Whether the packet is an acknowledgement that is lost or held."""
        course = self._courses[upward]
        if kind(packet) != PUBACK:
            return False
        if course.lose_acks:
            course.lose_acks -= 1
            return True
        if course.held_acks is not None:
            course.held_acks.append((link, packet))
            return True
        return False

    async def _forward(self, link: Link, packet: bytes, upward: bool) -> None:
        course, sink = self._courses[upward], link.sink(upward)
        while (left_s := course.still_until_s - time.monotonic()) > 0:
            await asyncio.sleep(min(left_s, 0.1))
        if (left_s := course.slow_until_s - time.monotonic()) > 0:
            await asyncio.sleep(min(left_s, len(packet) / SLOW_BYTES_S))
        # A packet goes as one: what timers send must not come between.
        link.send(packet, upward)
        if sink is not None:
            await sink.drain()

    def _release_acks(self, upward: bool) -> None:
        held, self._courses[upward].held_acks = self._courses[upward].held_acks or [], None
        for link, packet in held:
            link.send(packet, upward)

    def _release_overtaken(self, upward: bool, all_of_them: bool = False) -> None:
        """One more packet has passed those that wait."""
        course = self._courses[upward]
        waiting = [(link, packet, left - 1) for link, packet, left in course.overtaken]
        course.overtaken = [one for one in waiting if one[2] > 0 and not all_of_them]
        for link, packet, left in waiting:
            if left <= 0 or all_of_them:
                link.send(packet, upward)

    def _listen_again(self) -> None:
        self._keep(self.open())

    def _speak_again(self, fault: Fault) -> None:
        """For whoever connects from now on; who is there already never hears a word."""
        if self._mute is fault:
            self._mute = None

    def _pull(self, fault: Fault) -> None:
        if self.pull_cable is not None:
            self._keep(self.pull_cable(fault.for_s))

    def _stop_listening(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    def _later(self, after_s: float, done: Callable[..., None], *arguments: object) -> None:
        asyncio.get_running_loop().call_later(after_s, done, *arguments)

    def _keep(self, work: Coroutine[object, object, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class ProxyThread:
    """Runs proxies beside a drill. `inside`: where its sockets are made, such as another host's network."""

    def __init__(self, inside: Callable[[], AbstractContextManager] = nullcontext) -> None:
        self._inside, self._loop = inside, asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="fault proxy", daemon=True)

    def call(self, work: Coroutine[object, object, T]) -> T:
        """Does it in the proxies' loop and waits for the end."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self) -> None:
        with self._inside():
            self._loop.run_forever()


def _free_port(host: str) -> int:
    """Known before the proxy runs: whoever is to use it may be started first. No port that the kernel gives to whoever
    connects somewhere: while nobody is let in it would be free to take."""
    for port in random.sample(PORTS, len(PORTS)):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind((host, port))
            return port
    raise LinkError(f"no port of {PORTS} is free on {host}: end what uses them")
