"""The address of a webhook: its check, and the part of it that is shown."""

import json
import subprocess
import sys
import threading
from urllib.parse import urlsplit

from api.http.problems import HttpProblem
from api.state.incoming import parser_environment
from api.state.webhook_store import WebhookKind
from api.webhooks.guard import is_reachable
from shared.networks import Networks
from shared.problems import Problem, Refused, pointer

APPRISE_COMMAND = [sys.executable, "-P", "-B", "-m", "api.webhooks.apprise_child"]
_APPRISE_SECONDS = 30
# Each check takes about a second of CPU time.
_checks = threading.BoundedSemaphore(2)
_MOST_WAIT_SECONDS = 5


def read_address(address: str, networks: Networks) -> tuple[WebhookKind, str]:
    """The kind of an address, and its form without secrets. Raises Refused for an invalid address.

    A host name is not resolved: the IP address is checked at each connection.
    """
    try:
        parts = urlsplit(address)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise _refusal(f"not an address: {error}") from None
    scheme = parts.scheme.lower()
    if scheme not in {"http", "https"}:
        _check_apprise(address)
        return "apprise", f"{scheme}://…"
    if scheme == "http" and not networks:
        raise _refusal("received an http address, expected https; FITSTOP_WEBHOOK_NETWORKS of the service allows http")
    if not host:
        raise _refusal("has no host, expected an address such as https://example.com/fitstop")
    _check_host(host, networks)
    return "webhook", f"{scheme}://{parts.netloc.rpartition('@')[2]}/…"


def _check_host(host: str, networks: Networks) -> None:
    try:
        if not is_reachable(host, networks):
            raise _refusal(f"{host} is not a public address; FITSTOP_WEBHOOK_NETWORKS of the service allows others")
    except ValueError:
        return  # a host name


def _check_apprise(address: str) -> None:
    """Raise Refused unless Apprise supports the address. Uses a child process, since Apprise loads 150 services."""
    if not _checks.acquire(timeout=_MOST_WAIT_SECONDS):
        raise HttpProblem(503, "busy", "other addresses are being checked", headers={"Retry-After": "5"})
    try:
        done = subprocess.run(
            APPRISE_COMMAND,
            input=json.dumps({"address": address, "networks": ""}).encode(),
            env=parser_environment(),
            capture_output=True,
            timeout=_APPRISE_SECONDS,
            check=True,
        )
        is_known = json.loads(done.stdout)["ok"]
    except (subprocess.SubprocessError, ValueError, KeyError) as error:
        raise RuntimeError(f"Apprise could not check an address: {type(error).__name__}") from None
    finally:
        _checks.release()
    if not is_known:
        raise _refusal("expected an https address, or one that Apprise knows, such as slack://… or mailto://…")


def _refusal(detail: str) -> Refused:
    return Refused([Problem(pointer("address"), detail, "bad_address")])
