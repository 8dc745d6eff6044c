"""Chooses the port that the local stack listens on."""

import socket

DEFAULT_PORT = 8000
# The next ports, which are easy to guess, before any other free one.
_NEAR_PORTS = range(DEFAULT_PORT, DEFAULT_PORT + 10)


class StackError(Exception):
    """The stack cannot be started; the message says how to fix that."""


def free_port(host: str = "127.0.0.1") -> int:
    """A free port."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family) as server:
        return int(server.getsockname()[1])


def choose_port(host: str, wanted: int | None) -> int:
    """`wanted`, or if it is None 8000 or the next free port. Raises StackError if `wanted` is in use."""
    if wanted == 0:
        return free_port(host)
    if wanted is not None:
        if not is_free(host, wanted):
            raise StackError(f"port {wanted} on {host} is in use; omit --port to use a free port")
        return wanted
    return next((port for port in _NEAR_PORTS if is_free(host, port)), None) or free_port(host)


def is_free(host: str, port: int) -> bool:
    """Whether the API could listen there. Raises StackError if `host` is not an address of this machine."""
    try:
        address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except OSError as error:
        raise StackError(f"{host} is not an address of this machine: {error}") from error
    with socket.socket(address[0], socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address[4])
        except OSError:
            return False
    return True


def reachable(host: str) -> str:
    """The host name by which this machine reaches a server that listens on `host`."""
    if host in {"0.0.0.0", ""}:  # noqa: S104  nothing is bound here
        return "127.0.0.1"
    if ":" in host:
        return "[::1]" if host == "::" else f"[{host}]"
    return host
