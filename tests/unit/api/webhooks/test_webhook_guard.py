"""Which addresses may be connected to: every library decides by the resolved address."""

import json
import subprocess
import sys

import pytest

from api.webhooks.guard import RefusedAddress, check_address, is_reachable
from shared.networks import parse_networks
from shared.settings import BadEnvironment, read_settings
from tests.support.webhooks import Receiver

PRIVATE = [
    "127.0.0.1", "127.9.9.9", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0",
    "224.0.0.1", "255.255.255.255", "::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "ff02::1", "::ffff:127.0.0.1",
    "64:ff9b::a00:1", "2002:7f00:1::", "2001:db8::1",
]  # fmt: skip


@pytest.mark.parametrize("address", PRIVATE)
def test_a_private_address_is_refused(address):
    assert not is_reachable(address, [])
    with pytest.raises(RefusedAddress):
        check_address((address, 443), [])


def test_public_and_allowed_addresses_are_reached():
    assert is_reachable("93.184.215.14", [])
    assert is_reachable("2606:2800:220:1:248:1893:25c8:1946", [])
    networks = parse_networks("10.0.0.0/8, ::1/128")
    assert is_reachable("10.1.2.3", networks)
    assert is_reachable("::ffff:10.1.2.3", networks)
    assert not is_reachable("127.0.0.1", networks)


def test_what_is_no_resolved_address_is_refused():
    for address in ("/run/docker.sock", b"/dev/log", ("localhost", 80), (), 7):
        with pytest.raises(RefusedAddress):
            check_address(address, [])


def test_a_network_that_is_none_stops_the_start():
    for name in ("FITSTOP_WEBHOOK_NETWORKS", "FITSTOP_TRUSTED_PROXIES"):
        with pytest.raises(BadEnvironment, match=rf"{name}=10\.0\.0\.1/8"):
            read_settings({name: "10.0.0.1/8"})


PROGRAM = """
import asyncio, json, sys
from pydantic import SecretStr
from api.state.deliveries import Delivery
from api.state.webhook_store import WebhookRecord
from api.webhooks.guard import install
from api.webhooks.send import open_client, try_once
install([])
kind, address = sys.argv[1:]
webhook = WebhookRecord(id="webhook_aaaaaaaaaaaa", project="default", kind=kind, name=None, address=SecretStr(address),
    shown="", events=(), secret=SecretStr("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), created_at="", since_ns=0)
delivery = Delivery(id="a", type="test", job=None, body={"data": {"message": "m"}}, created_at="")
async def run():
    async with open_client() as client:
        return await try_once(client, webhook, delivery, "")
print(json.dumps(asyncio.run(run())))
"""


@pytest.mark.parametrize("kind", ["webhook", "apprise"])
def test_a_name_that_resolves_to_this_machine_is_refused_at_the_connection(kind):
    with Receiver() as receiver:
        port = receiver.url.rpartition(":")[2].partition("/")[0]
        address = f"http://localhost:{port}/" if kind == "webhook" else f"json://localhost:{port}/"
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, kind, address], capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr
        answer, error = json.loads(done.stdout)
        assert answer is None
        assert "is not a public address" in error
        assert receiver.received == []


def send_by_apprise(address, networks=""):
    """Return the answer of the process that sends one message."""
    order = {"address": address, "networks": networks, "title": "t", "body": "b"}
    command = [sys.executable, "-P", "-B", "-m", "api.webhooks.apprise_child"]
    done = subprocess.run(command, input=json.dumps(order).encode(), capture_output=True, timeout=60, check=True)
    return json.loads(done.stdout)


def test_an_apprise_address_opens_no_file_of_the_machine_and_starts_nothing(tmp_path):
    secret = tmp_path / "admin_key"
    secret.write_text("{}")
    for address in (f"msteams://a@b/c/d/e/?template={secret}", "syslog://"):
        assert send_by_apprise(address)["ok"] is False, address


def test_an_allowed_network_gets_the_message_by_apprise():
    with Receiver() as receiver:
        port = receiver.url.rpartition(":")[2].partition("/")[0]
        assert send_by_apprise(f"json://localhost:{port}/", "127.0.0.0/8, ::1/128") == {"ok": True}
        assert receiver.received[0]["message"] == "b"
