"""Which address the local stack listens on."""

import socket

DEFAULT_PORT = 8000
# Nine ports that are easy to guess, before any free one.
_NEAR_PORTS = range(DEFAULT_PORT, DEFAULT_PORT + 10)


class StackError(Exception):
    """The stack can't be started like this; the message says how to fix it."""


def free_port(host: str = "127.0.0.1") -> int:
    """A free port."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family) as server:
        return int(server.getsockname()[1])


def choose_port(host: str, wanted: int | None) -> int:
    """`wanted` where it was named; else 8000 or the next free one. Raises StackError where it is taken."""
    if wanted == 0:
        return free_port(host)
    if wanted is not None:
        if not is_free(host, wanted):
            raise StackError(f"port {wanted} on {host} is in use; omit --port to use a free port")
        return wanted
    return next((port for port in _NEAR_PORTS if is_free(host, port)), None) or free_port(host)


def is_free(host: str, port: int) -> bool:
    """Whether the API could listen there. Raises StackError where `host` is no address of this machine."""
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
    """The name under which this machine reaches what listens on `host`."""
    if host in {"0.0.0.0", ""}:  # noqa: S104  nothing is bound here
        return "127.0.0.1"
    if ":" in host:
        return "[::1]" if host == "::" else f"[{host}]"
    return host
