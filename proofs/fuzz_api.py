"""Send wrong and random requests to the API: `python -m proofs.fuzz_api --requests 100000 --seed 1`.

Sends seeded requests to a real API over a few connections, and judges. No answer may be 5xx, except the 503 of an API
that is not ready or has too many streams. Every refusal must be a problem document. The log must be JSON lines without
a traceback or a key. The API's memory may grow by less than 50 MB after the first tenth. A failure names the request;
the same seed sends it again.
"""

import argparse
import http.client
import json
import random
import re
import socket
import string
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from api import create_app
from shared.settings import Settings
from shared.volume import Volume
from tests.support.api_process import ApiProcess
from tests.support.jobs import small_spec
from tests.support.keys import ADMIN_KEY
from tests.support.redis import running_redis

MOST_GROWTH_MB = 50
CLIENTS = 4
# Otherwise only the limits would be tested.
UNLIMITED = {
    "FITSTOP_REQUESTS_PER_MINUTE": "100000000",
    "FITSTOP_MAX_UNFINISHED_JOBS": "100000000",
    "FITSTOP_MAX_DATASET_BYTES": "1000000",
    "FITSTOP_MAX_JOB_BYTES": "262144",
}
CSV = b"kind,a,b,c,grade\n" + b"".join(
    b"%s,%d,%d,%d,%d\n" % (b"xy"[n % 2 :][:1], n, n % 7, n % 3, n % 6) for n in range(60)
)

_METHODS = ("GET", "GET", "GET", "POST", "PUT", "DELETE", "HEAD", "PATCH", "OPTIONS", "TRACE", "BREW")
_NAMES = ("limit", "after", "status", "name", "wait", "dry_run", "metadata.a", "created_after", "key", "", "x")
_STRANGE = (
    *("", " ", "0", "-1", "1e9", "9" * 400, "NaN", "null", "true", "..", "../../etc/passwd", "%2e%2e", "%00", "%ff"),
    *(
        "a\x00b",
        "\x1b[2J",
        "\u202e",
        "\u200b",
        "\ud800",
        "naïve",
        "模型",
        "<img src=x onerror=alert(1)>",
        "{0.__class__}",
    ),
    *("%s%n", "{{7*7}}", "'; DROP TABLE jobs; --", "x" * 5000, "job_" + "0" * 26, "key_environment", "1:0", "*/*", '"'),
)
_VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 5, 1.5, 10**9, -(10**30), 1e308, 1e-320, [], {}, [[]], [None], {"a": 1}, [1] * 300),
    *("val_loss", "adam", "grades", "grade", {"class_name": "Lambda"}, {"at_least": 3}, [8, 8], ["accuracy"]),
)


# The codes of a 503 that a working API may answer.
_BUSY = {"index_building", "too_many_streams"}


@dataclass
class Wrong:
    """A request with a wrong answer, and what is wrong."""

    request: bytes
    why: str


@dataclass
class Judged:
    """The result of all requests. Memory is the API's resident memory, in MB, after the first tenth and at the end."""

    statuses: Counter[int] = field(default_factory=Counter)
    wrong: list[Wrong] = field(default_factory=list)
    log: list[str] = field(default_factory=list)
    memory_before: float = 0.0
    memory_after: float = 0.0

    @property
    def growth(self) -> float:
        return self.memory_after - self.memory_before


@dataclass(frozen=True)
class Request:
    """The bytes of a request. `is_last`: whether the connection cannot be used after it."""

    content: bytes
    method: str = "GET"
    is_last: bool = False


class Sender:
    """One client: makes requests and judges their answers."""

    def __init__(self, api: ApiProcess, paths: list[str], chance: random.Random) -> None:
        self._api = api
        self._paths = paths
        self._chance = chance
        self._ids = ["x", "grades"]
        self._connection: socket.socket | None = None
        self._kinds: list[tuple[Callable[[], Request], int]] = [
            (self._spec, 45),
            (self._anything, 35),
            (self._broken_json, 8),
            (self._no_http, 6),
            (self._key, 4),
            (self._stranger, 3),
            (self._upload, 1),
        ]
        self._posted: list[str] = []
        self.statuses: Counter[int] = Counter()
        self.wrong: list[Wrong] = []

    def send(self, count: int) -> None:
        """Send this number of requests."""
        kinds, weights = zip(*self._kinds, strict=True)
        for _ in range(count):
            request = self._cancel() if self._posted else self._chance.choices(kinds, weights)[0]()
            try:
                self._judge(request, *self._answer(request))
            except (OSError, http.client.HTTPException) as error:
                self.close()
                if not request.is_last:
                    self.wrong.append(Wrong(request.content, f"no answer: {error!r}"))
        # The API closes a connection that is idle for seconds, and a client may now wait for the others.
        self.close()

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _answer(self, request: Request) -> tuple[int, str, bytes]:
        if self._connection is None:
            self._connection = socket.create_connection(("127.0.0.1", self._api.port), timeout=60)
        self._connection.sendall(request.content)
        if request.is_last:
            self._connection.shutdown(socket.SHUT_WR)
        response = http.client.HTTPResponse(self._connection, method=request.method)
        try:
            response.begin()
            content_type = response.headers.get("Content-Type", "")
            is_stream = content_type.startswith("text/event-stream")
            body = b"" if is_stream else response.read()
            if is_stream or response.will_close or request.is_last:
                self.close()
            return response.status, content_type, body
        finally:
            response.close()

    def _judge(self, request: Request, status: int, content_type: str, body: bytes) -> None:
        self.statuses[status] += 1
        if status >= 500 and not _is_expected_503(request, status, body):
            self.wrong.append(Wrong(request.content, f"{status}: {body[:500]!r}"))
        elif status >= 400 and request.method != "HEAD":
            self._judge_problem(request, status, content_type, body)
        if b"Traceback" in body or str(self._api.volume.root).encode() in body:
            self.wrong.append(Wrong(request.content, f"it says too much: {body[:500]!r}"))
        if status in {201, 202} and "id" in (made := json.loads(body)):
            self._ids = [*self._ids[-50:], str(made["id"])]
        if status == 202:
            self._posted.append(self._ids[-1])

    def _judge_problem(self, request: Request, status: int, content_type: str, body: bytes) -> None:
        try:
            document = json.loads(body)
        except ValueError:
            document = {}
        if status == 503 and document.get("status") == "not_ready":
            return
        # The page of an unknown job is HTML too.
        if status == 404 and content_type.startswith("text/html") and request.content.startswith(b"GET /page/jobs/"):
            return
        if content_type != "application/problem+json" or document.get("status") != status:
            self.wrong.append(Wrong(request.content, f"{status} is no problem document: {body[:500]!r}"))

    # What is sent

    def _cancel(self) -> Request:
        """Cancel a posted job, so that the queue stays short."""
        return self._request("POST", f"/jobs/{self._posted.pop()}/cancel", b"", {})

    def _spec(self) -> Request:
        document: Any = small_spec()
        for _ in range(self._chance.choice((0, 1, 2, 2, 3, 5))):
            self._change(document)
        headers = {"Content-Type": "application/json"}
        if self._chance.random() < 0.2:
            headers["Idempotency-Key"] = (
                self._text() if self._chance.random() < 0.5 else str(self._chance.randrange(50))
            )
        return self._request("POST", "/jobs", json.dumps(document).encode("utf-8", "surrogatepass"), headers)

    def _change(self, document: Any) -> None:
        here = document
        while isinstance(here, dict) and here:
            name = self._chance.choice(list(here))
            if not isinstance(here[name], dict) or self._chance.random() < 0.3:
                break
            here = here[name]
        if not isinstance(here, dict) or not here or self._chance.random() < 0.15:
            here = document
            name = self._text()[:100]
        if self._chance.random() < 0.2:
            here.pop(name, None)
        else:
            here[name] = self._value()

    def _value(self) -> Any:
        if self._chance.random() < 0.1:
            nested: Any = self._text()
            for _ in range(self._chance.choice((3, 40, 500))):
                nested = [nested] if self._chance.random() < 0.5 else {"a": nested}
            return nested
        return self._text() if self._chance.random() < 0.4 else deepcopy(self._chance.choice(_VALUES))

    def _text(self) -> str:
        if self._chance.random() < 0.7:
            return self._chance.choice(_STRANGE)
        return "".join(
            self._chance.choice(string.printable + "é\u2028\U0001f600") for _ in range(self._chance.randrange(30))
        )

    def _anything(self) -> Request:
        path = self._chance.choice(self._paths)
        while "{id}" in path:
            path = path.replace("{id}", self._id(), 1)
        names = [self._chance.choice(_NAMES) for _ in range(self._chance.choice((0, 0, 1, 2)))]
        query = "&".join(f"{name}={_quote(self._text()[:200])}" for name in names)
        headers = {}
        for name in ("Accept", "Range", "If-None-Match", "Last-Event-ID", "X-Request-Id", "Content-Type", "If-Range"):
            if self._chance.random() < 0.1:
                headers[name] = self._chance.choice(("text/event-stream", "bytes=0-1", "bytes=9-", "*", self._text()))
        body = self._text().encode("utf-8", "surrogatepass") if self._chance.random() < 0.3 else b""
        return self._request(self._chance.choice(_METHODS), f"{path}?{query}" if query else path, body, headers)

    def _id(self) -> str:
        return self._chance.choice(self._ids) if self._chance.random() < 0.6 else _quote(self._text()[:300])

    def _broken_json(self) -> Request:
        content = bytearray(json.dumps(small_spec()).encode())
        for _ in range(self._chance.randint(1, 8)):
            place = self._chance.randrange(len(content))
            content[place : place + self._chance.choice((0, 1, 1, 3))] = self._chance.randbytes(
                self._chance.choice((0, 1, 2))
            )
        if self._chance.random() < 0.1:
            content = bytearray(
                self._chance.choice((b"[", b'{"a":', b"9", b'"\\u', b"\xff")) * self._chance.choice((1, 99_999))
            )
        kind = self._chance.choice(("application/json",) * 4 + ("text/plain", "application/json; charset=utf-16", ""))
        return self._request("POST", self._chance.choice(("/jobs", "/keys")), bytes(content), {"Content-Type": kind})

    def _key(self) -> Request:
        body = {
            "name": self._text(),
            "scope": self._chance.choice(("read", "root", None, 5)),
            "expires_in_days": self._value(),
        }
        content = json.dumps(body).encode("utf-8", "surrogatepass")
        return self._request("POST", "/keys", content, {"Content-Type": "application/json"})

    def _stranger(self) -> Request:
        header = self._chance.choice(("", "Bearer", "Bearer x", "Basic eDp4", f"Bearer {ADMIN_KEY}x", self._text()))
        return self._request("GET", self._chance.choice(self._paths), b"", {"Authorization": header})

    def _upload(self) -> Request:
        content = bytearray(CSV)
        for _ in range(self._chance.randint(0, 4)):
            content[self._chance.randrange(len(content))] = self._chance.randrange(256)
        if self._chance.random() < 0.5:
            magic = (b"PK\x03\x04", b"PAR1", b"\x1f\x8b", b"\x80\x04", b"", b"\xff\xfe", b'"' * 999)
            content = bytearray(self._chance.choice(magic) + self._chance.randbytes(200))
        place = self._chance.choice(("datasets", "models", "programs"))
        return self._request("PUT", f"/{place}/{self._id()}", bytes(content), {"Content-Type": "text/csv"})

    def _no_http(self) -> Request:
        good = bytearray(self._anything().content)
        for _ in range(self._chance.randint(1, 6)):
            place = self._chance.randrange(len(good))
            good[place : place + 1] = self._chance.randbytes(self._chance.choice((0, 1, 3)))
        smuggled = b"POST /jobs HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
        content = self._chance.choice((bytes(good), bytes(good), self._chance.randbytes(100), smuggled))
        method = "HEAD" if content.startswith(b"HEAD ") else "GET"
        return Request(content + b"\r\n\r\n", method, is_last=True)

    def _request(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> Request:
        sent = {"Host": "x", "Authorization": f"Bearer {ADMIN_KEY}", **headers}
        if body or method in {"POST", "PUT"}:
            sent["Content-Length"] = str(len(body))
        lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {_one_line(value)}" for name, value in sent.items())]
        head = "\r\n".join(lines).encode("utf-8", "surrogatepass")
        return Request(head + b"\r\n\r\n" + body, method)


def known_paths(folder: Path) -> list[str]:
    """The path of each route, with `{id}` for its parameters, and a path that is no route."""
    app = create_app(Settings(volume=folder / "routes", redis_url=SecretStr("redis://127.0.0.1:1/0")))
    return sorted({re.sub(r"<[^>]+>", "{id}", rule.rule) for rule in app.url_map.iter_rules()} | {"/{id}"})


def fuzz(requests: int, seed: int, folder: Path, say: Callable[[str], object] = lambda text: None) -> Judged:
    """Send requests to a new API, and judge the answers."""
    judged = Judged()
    with running_redis(folder) as redis:
        api = ApiProcess(Volume(folder / "volume"), redis.url, folder / "api.log", **UNLIMITED)
        api.start()
        paths = known_paths(folder)
        senders = [Sender(api, paths, random.Random(f"{seed}-{number}")) for number in range(CLIENTS)]
        try:
            assert api.ask("PUT", "/datasets/grades", CSV).status == 201
            parts = 10
            for part in range(parts):
                with ThreadPoolExecutor(CLIENTS) as pool:
                    list(pool.map(lambda sender: sender.send(requests // CLIENTS // parts), senders))
                judged.memory_after = _resident_mb(api)
                judged.memory_before = judged.memory_before or judged.memory_after
                say(f"{(part + 1) * requests // parts} requests: {judged.memory_after:.0f} MB\n")
            assert api.ask("GET", "/healthz").status == 200
        finally:
            for sender in senders:
                sender.close()
                judged.statuses += sender.statuses
                judged.wrong += sender.wrong
            api.stop()
        judged.log = bad_lines(api.log)
    return judged


def bad_lines(log: Path) -> list[str]:
    """The wrong lines of a log: not JSON, or with a traceback or the key."""
    lines = log.read_text(errors="replace").splitlines()
    return [line for line in lines if not _is_json(line) or "Traceback" in line or ADMIN_KEY in line]


def main() -> int:
    """Exit status 0 only if nothing was wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        judged = fuzz(asked.requests, asked.seed, Path(folder), sys.stdout.write)
    for wrong in judged.wrong[:20]:
        sys.stdout.write(f"{wrong.why}\n    {wrong.request[:1000]!r}\n")
    for line in judged.log[:20]:
        sys.stdout.write(f"in the log: {line[:2000]}\n")
    answers = ", ".join(f"{status}: {count}" for status, count in sorted(judged.statuses.items()))
    sys.stdout.write(
        f"seed {asked.seed}: {sum(judged.statuses.values())} answers in {time.monotonic() - began:.0f} s ({answers}); "
        f"{len(judged.wrong)} wrong, {len(judged.log)} bad lines in the log, memory grew by {judged.growth:.1f} MB\n"
    )
    return 0 if not judged.wrong and not judged.log and judged.growth < MOST_GROWTH_MB else 1


def _resident_mb(api: ApiProcess) -> float:
    status = "".join(Path(f"/proc/{pid}/status").read_text() for pid in api.workers())
    return sum(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")) / 1024


def _is_expected_503(request: Request, status: int, body: bytes) -> bool:
    """Whether an API without a fault answers so: one that is not ready, or busy. A HEAD has no body to tell."""
    if status != 503 or request.method == "HEAD":
        return status == 503
    document = json.loads(body) if _is_json(body.decode(errors="replace")) else {}
    return document.get("status") == "not_ready" or document.get("code") in _BUSY


def _is_json(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False


def _quote(text: str) -> str:
    from urllib.parse import quote

    return text if text.startswith("%") else quote(text, safe="", errors="surrogatepass")


def _one_line(text: str) -> str:
    return text.replace("\r", "").replace("\n", "")


if __name__ == "__main__":
    raise SystemExit(main())
