"""Listening sockets of a process that has no supervisor."""

import socket
from typing import Any, Tuple

Address = Tuple[str, int]


def listen(address: str, port: int) -> socket.socket:
    """'' is all interfaces, of IPv4. OSError if it cannot be bound."""
    infos = socket.getaddrinfo(address or '0.0.0.0', port, 0, socket.SOCK_STREAM, 0, socket.AI_PASSIVE)
    family, kind, protocol, _, place = min(infos, key=lambda info: info[0] != socket.AF_INET)
    result = socket.socket(family, kind, protocol)
    try:
        result.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        result.bind(place)
        result.listen(socket.SOMAXCONN)
    except OSError as error:
        result.close()
        raise OSError(error.errno, '%s: cannot listen at %s:%d' % (error.strerror, address or '*', port)) from None
    return result


def address_of(listener: socket.socket) -> Address:
    """Where it listens; of a Unix socket its path and 0."""
    name = listener.getsockname()  # type: Any
    return (name, 0) if isinstance(name, (str, bytes)) else (name[0], name[1])
