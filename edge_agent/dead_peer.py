"""A TCP connection whose other side is gone without a word: closed by the kernel, whatever its owner is busy with.

A pulled cable, a switch or a firewall that forgot the connection: by default Linux tries again for 15 minutes.
"""

import fcntl
import socket
import struct
import termios

DEAD_S = 20
"""No byte was acknowledged for so long; on a slow link some always are."""
_IDLE_S, _PROBE_S = 10, 5


def notice(connection: socket.socket) -> None:
    """From now on the connection breaks within about DEAD_S of its other side."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _IDLE_S)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, _PROBE_S)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, (DEAD_S - _IDLE_S) // _PROBE_S)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, DEAD_S * 1000)


def under_way_bytes(connection: object) -> int:
    """Handed to the kernel and not yet acknowledged by the other side's; 0 without a connection."""
    if not isinstance(connection, socket.socket):
        return 0
    return int(struct.unpack("i", fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, b"\0" * 4))[0])
