"""Finds the service: `--url`, `--context` or FITSTOP_URL, else the `fitstop up` that runs in this folder, else the
current context (`fitstop login`), else this machine.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from fitstop.contexts import Context, read_contexts, write_private

DEFAULT_URL = "http://127.0.0.1:8000"
DEFAULT_DATA = Path("fitstop-data")
DATA_VARIABLE = "FITSTOP_DATA"


@dataclass(frozen=True)
class Connection:
    """The address of a service and the key for it. `source`: where the address comes from, for people."""

    url: str
    api_key: str | None = field(default=None, repr=False)
    source: str = "--url"

    @property
    def is_local(self) -> bool:
        """Whether the address is this machine. Then no proxy is used."""
        host = urlsplit(self.url).hostname or ""
        return host in {"localhost", "::1"} or host.startswith("127.")


def find_connection(
    url: str | None = None,
    environment: Mapping[str, str] = os.environ,
    data: Path | None = None,
    context: str | None = None,
) -> Connection:
    """The service to use. Raises ValueError for an address that is not http or https, and for an unknown context.

    The key in `cli.json` or in a context is sent only to the address beside it. FITSTOP_API_KEY is sent to any address.
    """
    api_key = check_key(environment.get("FITSTOP_API_KEY") or "") or None
    data = data or Path(environment.get(DATA_VARIABLE) or DEFAULT_DATA)
    stack = read_cli_json(data, any_owner=DATA_VARIABLE in environment)
    if context and not url:
        chosen = _find_context(context, environment)
        return Connection(chosen.url, chosen.api_key, f"the context {context}")
    named = (url, "--url") if url else (environment.get("FITSTOP_URL"), "FITSTOP_URL")
    if named[0]:
        address = check_url(named[0])
        own_key = stack.api_key if stack is not None and stack.url == address else None
        if not (api_key or own_key):
            own_key = read_contexts(environment).key_for(address)
        return Connection(address, api_key or own_key, named[1])
    if stack is not None:
        return Connection(stack.url, api_key or stack.api_key, str(cli_json(data)))
    known = read_contexts(environment)
    if known.chosen is not None:
        return Connection(known.chosen.url, api_key or known.chosen.api_key, f"the context {known.current}")
    return Connection(DEFAULT_URL, api_key, "the default")


def _find_context(name: str, environment: Mapping[str, str]) -> Context:
    known = read_contexts(environment).named
    if name not in known:
        raise ValueError(f'there is no context "{name}"; contexts: {", ".join(known) or "none"}')
    return known[name]


def check_key(key: str) -> str:
    """`key`. Raises ValueError, without the key, if it cannot be sent in a request."""
    if not key.isascii() or not key.isprintable() or " " in key:
        raise ValueError("the API key has characters that no key has; expected plain ASCII without spaces")
    return key


def check_url(url: str) -> str:
    """`url` without its last slash. Raises ValueError if it is not http or https."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError(f'"{url}" is not an address; expected one such as {DEFAULT_URL}')
    return url.rstrip("/")


@dataclass(frozen=True)
class StackFile:
    """What `fitstop up` writes for other commands: `<data>/cli.json`."""

    url: str
    pid: int | None
    api_key: str | None = field(default=None, repr=False)


def cli_json(data: Path) -> Path:
    """The path of the file with a stack's address."""
    return data / "cli.json"


def read_cli_json(data: Path, *, any_owner: bool = False) -> StackFile | None:
    """Read the file of a running stack; None if it does not exist or belongs to another user.

    Another user's file is ignored, because it could send FITSTOP_API_KEY to an address of that user. `any_owner` reads
    it, for a folder that the environment names: in a container, root reads the files of the service's user.
    """
    path = cli_json(data)
    try:
        if not any_owner and path.stat().st_uid != os.getuid():
            return None
        document = json.loads(path.read_bytes())
        return StackFile(check_url(str(document["url"])), document.get("pid"), document.get("api_key"))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def write_cli_json(data: Path, url: str, api_key: str) -> None:
    """Write the stack's address and key for the other commands, readable only by this user."""
    path = cli_json(data)
    beside = path.with_name(f".cli.json.{os.getpid()}")
    write_private(beside, json.dumps({"url": url, "pid": os.getpid(), "api_key": api_key}))
    beside.replace(path)


def remove_cli_json(data: Path) -> None:
    """Remove the file if this process wrote it."""
    stack = read_cli_json(data)
    if stack is not None and stack.pid == os.getpid():
        cli_json(data).unlink(missing_ok=True)
