"""The services that the user has logged in to: names, addresses and API keys, in one file.

`$XDG_CONFIG_HOME/fitstop/contexts.json`, else `~/.config/fitstop/contexts.json`, with rights 0600.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self


@dataclass(frozen=True)
class Context:
    """The address of a service, and the key for it."""

    url: str
    api_key: str = field(repr=False)


@dataclass(frozen=True)
class Contexts:
    """All contexts by name. `current`: the name of the one that commands use."""

    named: dict[str, Context] = field(default_factory=dict)
    current: str | None = None

    @property
    def chosen(self) -> Context | None:
        """The current context."""
        return self.named.get(self.current or "")

    def key_for(self, url: str) -> str | None:
        """The key of a context with this address; that of the current context if several have it."""
        known = [one for one in (self.chosen, *self.named.values()) if one is not None]
        return next((one.api_key for one in known if one.url == url), None)

    def with_context(self, name: str, context: Context) -> Self:
        """A copy with this context added, as the current one."""
        return type(self)({**self.named, name: context}, name)

    def without(self, name: str) -> Self:
        """A copy without this context. If it was the current one, no context is current."""
        left = {one: context for one, context in self.named.items() if one != name}
        return type(self)(left, self.current if self.current in left else None)


def contexts_file(environment: Mapping[str, str] = os.environ) -> Path | None:
    """The path of the file; None for a user without a home folder."""
    folder = environment.get("XDG_CONFIG_HOME") or ""
    home = environment.get("HOME") or ""
    if os.path.isabs(folder):  # noqa: PTH117  XDG: a relative one is ignored
        return Path(folder) / "fitstop" / "contexts.json"
    return Path(home) / ".config" / "fitstop" / "contexts.json" if home else None


def read_contexts(environment: Mapping[str, str] = os.environ) -> Contexts:
    """Read the file; no contexts if it does not exist. Raises ValueError if the file cannot be used."""
    path = contexts_file(environment)
    try:
        document = json.loads(path.read_bytes()) if path is not None else {}
        named = {str(name): _context(one) for name, one in document.get("contexts", {}).items()}
        return Contexts(named, document.get("current"))
    except (FileNotFoundError, NotADirectoryError):
        return Contexts()
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ValueError(f"{path} is damaged; remove it and log in again: fitstop login URL") from None


def _context(document: Any) -> Context:
    return Context(_text(document["url"]), _text(document["api_key"]))


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    return value


def write_contexts(contexts: Contexts, environment: Mapping[str, str] = os.environ) -> Path:
    """Write the file, only for this user. Raises ValueError for a user without a home folder, and OSError."""
    path = contexts_file(environment)
    if path is None:
        raise ValueError("there is no folder for the key: set HOME or XDG_CONFIG_HOME")
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    named = {name: {"url": one.url, "api_key": one.api_key} for name, one in sorted(contexts.named.items())}
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    write_private(beside, json.dumps({"format": 1, "current": contexts.current, "contexts": named}, indent=2) + "\n")
    beside.replace(path)
    return path


def write_private(path: Path, text: str) -> None:
    """Write a new file that only this user can read at any time."""
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
