"""Where a server listens, and listening sockets of a process that has no supervisor."""

import socket
from typing import Any, Tuple

Address = Tuple[str, int]


def checked(server_address: Any) -> Address:
    """TypeError or ValueError for what is no (address, port): the kernel would take 99999 for 34463."""
    if not isinstance(server_address, (tuple, list)) or len(server_address) != 2:
        raise TypeError('a server listens at (address, port), not at %r' % (server_address,))
    address, port = server_address
    if address is not None and not isinstance(address, str):
        raise TypeError('the address %r is no str' % (address,))
    if isinstance(port, bool) or not isinstance(port, (int, str)):
        raise TypeError('the port %r is no int' % (port,))
    if isinstance(port, str) and not port.isdigit() or not 0 <= int(port) <= 65535:
        raise ValueError('%r is no port' % (port,))
    return address or '', int(port)


def listen(address: str, port: int) -> socket.socket:
    """'' is all interfaces, of IPv4. OSError if it cannot be bound."""
    try:
        infos = socket.getaddrinfo(address or '0.0.0.0', port, 0, socket.SOCK_STREAM, 0, socket.AI_PASSIVE)
    except socket.gaierror as error:
        raise OSError(error.errno, '%s: cannot listen at %s:%d' % (error.strerror, address, port)) from None
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
