"""Limits for anonymous clients, which have sent no valid API key: few threads, connections, and requests per second.

Connections and requests are limited for each address, so that one client cannot use up the share of others. No limit
applies to a client with a valid key, even if its address has exceeded every limit.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from hashlib import sha256
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Any

from cachetools import TTLCache

from api.serving.connection import Connection
from shared.networks import parse_networks

# More threads would only wait for Python's global lock, and make the event loop wait for it, too.
THREADS = 2
MOST_CONNECTIONS = 256
MOST_REQUESTS_PER_SECOND = 100
# The page of a shared job consists of fifty files, and several people at one address may open it in the same second.
MOST_FILES_PER_SECOND = 300
_FILES = "/page/static/"
_WINDOW_SECONDS = 1.0
# A valid key is remembered for this time. The thread that handles a request still refuses a revoked key at once.
_KNOWN_SECONDS = 30.0
_MOST_KNOWN = 10_000

Client = tuple[str, int]
Environ = dict[str, Any]


class AnonymousClients:
    """Finds out which clients are anonymous, and applies their limits. For use on the event loop only.

    `shows_key` runs in a thread. `trusted_proxies` are addresses and networks whose X-Forwarded-For is used.
    """

    def __init__(self, shows_key: Callable[[Environ], bool], trusted_proxies: str = "") -> None:
        self.threads = ThreadPoolExecutor(THREADS, "anonymous")
        self._shows_key = shows_key
        # A thread of its own: a request of an anonymous client may wait for a volume that hangs.
        self._checks = ThreadPoolExecutor(1, "key")
        self._known: TTLCache[bytes, bool] = TTLCache(_MOST_KNOWN, _KNOWN_SECONDS)
        self._proxies = parse_networks(trusted_proxies)
        self._connections: defaultdict[str, dict[Client, Connection]] = defaultdict(dict)
        self._requests: Counter[tuple[str, bool]] = Counter()
        self._window_ends = 0.0

    def connect(self, connection: Connection) -> None:
        """Add a connection. Above MOST_CONNECTIONS of an address, abort the oldest: the newest may yet send a key."""
        if self._is_proxy(connection.client[0]):
            connection.keep()
            return
        found = self._connections[_group(connection.client[0])]
        found[connection.client] = connection
        if len(found) > MOST_CONNECTIONS:
            found.pop(next(iter(found))).abort()

    def trust(self, client: Client) -> None:
        """Lift the limits from the connection of a client that has sent a valid key."""
        connection = self.disconnect(client)
        if connection is not None:
            connection.keep()

    def disconnect(self, client: Client) -> Connection | None:
        """Remove a connection, and return it; None if it is not counted."""
        found = self._connections[_group(client[0])]
        connection = found.pop(client, None)
        if not found:
            del self._connections[_group(client[0])]
        return connection

    async def includes(self, environ: Environ) -> bool:
        """Whether a request has no valid key. A request without credentials is decided without a thread."""
        shown = [environ.get(name, "") for name in ("HTTP_AUTHORIZATION", "HTTP_COOKIE")]
        if not any(shown):
            return True
        digest = sha256("\n".join((*shown, environ.get("HTTP_HOST", ""))).encode("latin-1")).digest()
        if digest not in self._known:
            if not await asyncio.wrap_future(self._checks.submit(self._shows_key, environ)):
                return True
            self._known[digest] = True
        return False

    def admit(self, environ: Environ) -> bool:
        """Count a request. False if its address has sent too many in this second; files have a limit of their own."""
        address: str = environ["REMOTE_ADDR"]
        if self._is_proxy(address):
            address = environ.get("HTTP_X_FORWARDED_FOR", address).rpartition(",")[2].strip()
        now = asyncio.get_running_loop().time()
        if now >= self._window_ends:
            self._window_ends, self._requests = now + _WINDOW_SECONDS, Counter()
        is_file = environ.get("PATH_INFO", "").startswith(_FILES)
        counted = (_group(address), is_file)
        self._requests[counted] += 1
        return self._requests[counted] <= (MOST_FILES_PER_SECOND if is_file else MOST_REQUESTS_PER_SECOND)

    def _is_proxy(self, address: str) -> bool:
        found = _parse(address)
        return found is not None and any(found in network for network in self._proxies)


@lru_cache(10_000)
def _group(address: str) -> str:
    """The address that a limit counts for. For IPv6 the whole /64 network, since one host can use all of it."""
    found = _parse(address)
    if isinstance(found, IPv6Address):
        return str(IPv6Network((int(found), 64), strict=False))
    return str(found)


def _parse(address: str) -> IPv4Address | IPv6Address | None:
    """The parsed address, as IPv4 if it is an IPv4 address mapped into IPv6; None for other text."""
    try:
        found = ip_address(address)
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found
