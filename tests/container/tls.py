"""The `tls` profile: Caddy in front of the API, with a certificate for `localhost` that it makes itself."""

import json
import ssl
import time
import urllib.request

from tests.container.support import LONG, Composed, Service, Work, holds, run, wait_for

URL = "https://localhost"


def check(work: Work) -> None:
    compose = Composed("docker-compose.yml", "docker-compose.cpu.yml")
    refused = compose("--profile", "tls", "run", "--rm", "--no-deps", "tls", check=False)
    holds("without FITSTOP_DOMAIN it refuses to start", "FITSTOP_DOMAIN is not set" in refused.stderr + refused.stdout)
    compose.environment["FITSTOP_DOMAIN"] = "localhost"
    compose("--profile", "tls", "up", "-d", "--no-build", "--wait", "--wait-timeout", "240")
    service = Service(compose.key)
    wait_for("the service is ready", service.is_ready)
    wait_for("Caddy has its certificate", lambda: ask(compose.key, "/healthz"))
    holds("the API answers over TLS", json.loads(ask(compose.key, "/readyz"))["status"] == "ready")
    port = run("podman", "ps", "--filter", "name=fitstop-tls", "--format", "{{.Ports}}").stdout
    holds(f"ports 80 and 443 are published: {port.strip()}", ":80->80/" in port and ":443->443/" in port)
    service.ask("PUT", "/datasets/wine", work.data, "text/csv")
    check_stream(compose.key, service)
    compose("--profile", "tls", "down", "-v", "-t", "20")


def check_stream(key: str, service: Service) -> None:
    """Check that each event arrives when it happens, even if the client accepts compression."""
    job = service.post(LONG)
    arrived = []
    with opened(key, f"/jobs/{job}/events", Accept="text/event-stream", **{"Accept-Encoding": "gzip, br"}) as stream:
        holds("the event stream is not compressed", stream.headers["Content-Encoding"] is None)
        for line in stream:
            if line.startswith(b"data:"):
                arrived.append(time.monotonic())
            if len(arrived) == 20:
                break
    at = service.epoch(job)
    holds(f"20 events came over {arrived[-1] - arrived[0]:.1f} s while the job went on (epoch {at} of 300)",
          service.job(job)["status"] == "running")  # fmt: skip
    service.ask("POST", f"/jobs/{job}/cancel")
    service.ended(job)


def ask(key: str, path: str) -> bytes:
    with opened(key, path) as answer:
        return answer.read()


def opened(key: str, path: str, **headers: str):
    unchecked = ssl.create_default_context()
    unchecked.check_hostname, unchecked.verify_mode = False, ssl.CERT_NONE
    request = urllib.request.Request(URL + path, headers={"Authorization": f"Bearer {key}", **headers})
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=unchecked)
    )
    return opener.open(request, timeout=60)
