"""What clients may cost that have shown no valid API key: few threads, few connections, and few requests a second.

The limits count for each address, so that one client does not use up what is there for others. No limit holds for a
client with a valid key, also behind an address that is above every limit.
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

# More would only wait for Python's lock, and the event loop with them.
THREADS = 2
MOST_CONNECTIONS = 256
MOST_REQUESTS_PER_SECOND = 100
# The page of a link to a job consists of fifty files. Several people behind one address open it in the same second.
MOST_FILES_PER_SECOND = 300
_FILES = "/page/static/"
_WINDOW_SECONDS = 1.0
# A revoked key is refused at once all the same, by a thread of another pool.
_KNOWN_SECONDS = 30.0
_MOST_KNOWN = 10_000

Client = tuple[str, int]
Environ = dict[str, Any]


class Strangers:
    """Tells clients with a valid key from others, and counts the others. To be used on the event loop alone.

    `shows_key` runs in a thread; `trusted_proxies` are addresses and networks whose X-Forwarded-For counts.
    """

    def __init__(self, shows_key: Callable[[Environ], bool], trusted_proxies: str = "") -> None:
        self.threads = ThreadPoolExecutor(THREADS, "stranger")
        self._shows_key = shows_key
        # Of its own: a stranger's request may wait for a volume that hangs.
        self._checks = ThreadPoolExecutor(1, "key")
        self._known: TTLCache[bytes, bool] = TTLCache(_MOST_KNOWN, _KNOWN_SECONDS)
        self._proxies = parse_networks(trusted_proxies)
        self._connections: defaultdict[str, dict[Client, Connection]] = defaultdict(dict)
        self._requests: Counter[tuple[str, bool]] = Counter()
        self._window_ends = 0.0

    def connect(self, connection: Connection) -> None:
        """Note a new connection; above MOST_CONNECTIONS of its address, abort the oldest: the newest may show a key."""
        if self._is_proxy(connection.client[0]):
            connection.keep()
            return
        standing = self._connections[_group(connection.client[0])]
        standing[connection.client] = connection
        if len(standing) > MOST_CONNECTIONS:
            standing.pop(next(iter(standing))).abort()

    def trust(self, client: Client) -> None:
        """Keep the connection of a client that has shown a key."""
        connection = self.disconnect(client)
        if connection is not None:
            connection.keep()

    def disconnect(self, client: Client) -> Connection | None:
        """Forget a connection."""
        standing = self._connections[_group(client[0])]
        connection = standing.pop(client, None)
        if not standing:
            del self._connections[_group(client[0])]
        return connection

    async def include(self, environ: Environ) -> bool:
        """Whether a request shows no valid key. A request without any credentials takes no thread."""
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
        """Count a request; False above MOST_REQUESTS_PER_SECOND, or MOST_FILES_PER_SECOND, of its address."""
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
    """What counts as one address: of IPv6 a whole /64, which one host can use alone."""
    found = _parse(address)
    if isinstance(found, IPv6Address):
        return str(IPv6Network((int(found), 64), strict=False))
    return str(found)


def _parse(address: str) -> IPv4Address | IPv6Address | None:
    """The address; of an IPv4 client at a socket of both kinds its IPv4 address."""
    try:
        found = ip_address(address)
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found
