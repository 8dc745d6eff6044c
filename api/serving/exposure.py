"""Checks before the API listens on an address that other machines can reach."""

import redis

from api.state.key_store import KeyStore
from shared.settings import Settings, is_loopback

_SECONDS = 1.0
_ALL = frozenset({"*", "-::*", "0.0.0.0", "::"})  # noqa: S104  nothing is bound here


class Exposed(Exception):
    """The API or its Redis would be open to everyone who reaches its port. The message says how to fix it."""


def check(settings: Settings, keys: KeyStore) -> None:
    """Raise Exposed if other machines can reach the API and there is no admin key, or if its Redis is open to them."""
    if not is_loopback(settings.host) and not keys.has_admin():
        raise Exposed(
            f"FITSTOP_HOST={settings.host}: other machines can reach this address, but there is no "
            "API key of scope admin yet; create one with `python -m fitstop.service api.make_key NAME`, or set "
            "FITSTOP_ADMIN_KEY"
        )
    if settings.redis_address and is_open(settings.redis_address):
        raise Exposed(
            "FITSTOP_REDIS_URL=(hidden): this Redis listens on every address without a password; set one "
            "(requirepass), or let it listen on 127.0.0.1 alone (bind)"
        )


def is_open(url: str) -> bool:
    """Whether a Redis accepts commands from other machines without a password; False if its settings are unknown."""
    try:
        with redis.Redis.from_url(
            url, socket_timeout=_SECONDS, socket_connect_timeout=_SECONDS, decode_responses=True
        ) as client:
            # One at a time: Redis 6 accepts only one.
            found = {name: client.config_get(name).get(name, "") for name in ("bind", "protected-mode", "requirepass")}
    except (redis.RedisError, OSError, ValueError):
        return False
    addresses = set(found.get("bind", "").split()) or _ALL
    listens_outside = any(one in _ALL or not is_loopback(one.lstrip("-")) for one in addresses)
    return listens_outside and not found.get("requirepass") and found.get("protected-mode") == "no"
