"""Sends one message to an Apprise address, and ends: `python -m api.webhooks.apprise_child`.

stdin is a JSON object with `address` and `networks`, and for a message `title` and `body`. stdout gets `ok`, and
`error` if there is a reason. Without a message, `ok` only says whether Apprise supports the address.

Apprise has services that show a message on this machine, run a program, or send a local file as a template. Users must
not be able to use them here. So this process cannot start programs, opens only files of Python and of the system's
libraries, and connects only as `guard` allows.
"""

import json
import os
import sys
from typing import Any

from api.webhooks.guard import install
from shared.networks import parse_networks

_STARTS = ("os.exec", "os.fork", "os.posix_spawn", "os.system", "pty.spawn", "subprocess.Popen", "syslog.")
_READABLE = tuple(
    os.path.realpath(place)
    for place in (sys.prefix, sys.base_prefix, "/etc/ssl", "/etc/mime.types", "/usr/lib", "/usr/share", "/dev/urandom")
)
_refusals: list[str] = []


def main() -> int:
    """Carry out the order on stdin, and write the answer to stdout."""
    order = json.load(sys.stdin)
    answer = _carry_out(order)
    if _refusals and not answer["ok"]:
        answer["error"] = _refusals[0]
    json.dump(answer, sys.stdout)
    return 0


def _carry_out(order: dict[str, Any]) -> dict[str, Any]:
    import apprise

    sys.addaudithook(_check)
    install(parse_networks(order["networks"]), _refusals.append)
    asset = apprise.AppriseAsset(secure_logging=True, async_mode=False)
    found = apprise.Apprise.instantiate(order["address"], asset=asset, suppress_exceptions=True)
    if found is None or "body" not in order:
        return {"ok": found is not None}
    try:
        return {"ok": bool(found.notify(title=order["title"], body=order["body"]))}
    except Exception as error:
        return {"ok": False, "error": f"Apprise failed: {type(error).__name__}"}


def _check(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "open" and not _may_open(*arguments):
        _refuse("Apprise tried to open a file of this machine")
    if event.startswith(_STARTS):
        _refuse("Apprise tried to start a program")


def _may_open(path: object, _mode: object, flags: int) -> bool:
    if isinstance(path, int):
        return True
    writes = flags & (os.O_WRONLY | os.O_RDWR)
    name = os.path.realpath(os.fsdecode(path))  # type: ignore[arg-type]
    return not writes and name.startswith(_READABLE)


def _refuse(reason: str) -> None:
    _refusals.append(reason)
    raise PermissionError(reason)


if __name__ == "__main__":
    sys.exit(main())
