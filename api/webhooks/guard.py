"""The check of the addresses that a process connects to: public ones, and the networks of FITSTOP_WEBHOOK_NETWORKS.

The check is an audit hook (PEP 578): Python calls it with the IP address of each connection of any library, after the
host name was resolved. So a name that resolves to another address later cannot bypass it. A hook cannot be removed.
"""

import sys
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any

from shared.networks import Networks

_CONNECTS = frozenset({"socket.connect", "socket.sendto", "socket.sendmsg"})
# NAT64 (RFC 6052): the last 32 bits are an address of version 4.
_NAT64 = ip_network("64:ff9b::/96")


class RefusedAddress(PermissionError):
    """A connection to an address that is neither public nor in an allowed network."""


def install(networks: Networks, on_refusal: Callable[[str], None] = lambda _reason: None) -> None:
    """Refuse all later connections of this process to other addresses. `on_refusal` gets each reason."""

    def check(event: str, arguments: tuple[Any, ...]) -> None:
        if event not in _CONNECTS:
            return
        try:
            check_address(arguments[1], networks)
        except RefusedAddress as error:
            on_refusal(str(error))
            raise

    sys.addaudithook(check)


def check_address(address: object, networks: Networks) -> None:
    """Raise RefusedAddress unless connections to this socket address are allowed."""
    if address is None:
        return  # a message on a connected socket
    host = address[0] if isinstance(address, tuple) and address else None
    try:
        is_allowed = isinstance(host, str) and is_reachable(host, networks)
    except ValueError:
        is_allowed = False
    if not is_allowed:
        shown = host if isinstance(host, str) else "a socket of this machine"
        raise RefusedAddress(f"{shown} is not a public address; FITSTOP_WEBHOOK_NETWORKS does not allow it")


def is_reachable(host: str, networks: Networks) -> bool:
    """Whether connections to an IP address, without brackets, are allowed. Raises ValueError for other text."""
    found = ip_address(host.partition("%")[0])
    target = _find_target(found)
    return any(one in network for network in networks for one in {found, target}) or (
        _is_public(found) and _is_public(target)
    )


def _is_public(address: IPv4Address | IPv6Address) -> bool:
    return address.is_global and not address.is_multicast


def _find_target(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """The IPv4 address that an IPv6 address is translated to, or the address itself."""
    if isinstance(address, IPv4Address):
        return address
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    teredo = address.teredo
    return address.ipv4_mapped or address.sixtofour or (teredo[1] if teredo else address)
