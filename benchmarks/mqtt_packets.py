"""A stream of bytes -> whole MQTT packets: their borders and types, and nothing of what is in them."""

CONNECT, CONNACK, PUBLISH, PUBACK = 1, 2, 3, 4
_DUP = 0x08
_LONGEST_HEADER = 5


class Packets:
    """Cuts one direction of one connection at the borders of its packets."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """The packets that are whole now, in order. Raises ValueError where this is no MQTT."""
        self._rest += data
        whole = []
        while (size := _size(self._rest)) and len(self._rest) >= size:
            whole.append(bytes(self._rest[:size]))
            del self._rest[:size]
        return whole


def kind(packet: bytes) -> int:
    """PUBLISH, PUBACK, ...: MQTT's number of the type."""
    return packet[0] >> 4


def marked_again(packet: bytes) -> bytes:
    """A PUBLISH as its sender would send it once more: with the flag DUP."""
    return bytes([packet[0] | _DUP]) + packet[1:]


def _size(data: bytearray) -> int:
    """Of the packet that begins here, in bytes; 0 while its header is not whole."""
    length = 0
    for place, byte in enumerate(data[1:_LONGEST_HEADER]):
        length |= (byte & 0x7F) << (7 * place)
        if not byte & 0x80:
            return 2 + place + length
    if len(data) >= _LONGEST_HEADER:
        raise ValueError("no MQTT: the length of a packet does not end")
    return 0
