"""The served API: its start, its size, what it never imports, and how it handles badly behaved clients."""

import json
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from api.serving import anonymous
from shared.job import Ending
from shared.queue import QUEUE
from shared.volume import Volume
from tests.support.api_process import ApiProcess
from tests.support.keys import ADMIN_KEY, AUTHORIZATION
from tests.support.waiting import wait_for

CSV = b"kind,size,label\n" + b"".join(b"red,%d,%d\nblue,%d,%d\n" % (n, n % 2, n + 1, n % 2) for n in range(200))
KEY_LINE = f"Authorization: Bearer {ADMIN_KEY}\r\n".encode()
SPEC = {"dataset": {"id": "small", "target": "label"}, "hyperparameters": {"epochs": 3}}


def raw(api, content, finish=False):
    """Return what comes back on a connection after `content` was sent."""
    with socket.create_connection(("127.0.0.1", api.port), timeout=120) as connection:
        connection.sendall(content)
        if finish:
            connection.shutdown(socket.SHUT_WR)
        received = b""
        while piece := connection.recv(65536):
            received += piece
        return received


def posted(api):
    api.ask("PUT", "/datasets/small", CSV)
    answer = api.ask("POST", "/jobs", SPEC)
    assert answer.status == 202
    return answer.json["id"]


def incoming(api):
    return [entry.name for entry in api.volume.datasets.iterdir() if entry.name.startswith(".")]


def test_the_api_stays_small(api):
    posted(api)
    for pid in api.workers():
        status = Path(f"/proc/{pid}/status").read_text()
        [line] = [line for line in status.splitlines() if line.startswith("VmHWM")]
        assert int(line.split()[1]) < 165 * 1024


def test_the_api_never_imports_what_trains(tmp_path):
    program = """
import json, sys
from api import create_app
from shared.settings import Settings
settings = Settings(volume=sys.argv[1], redis_url="redis://127.0.0.1:1/0", admin_key="x" * 32)
client = create_app(settings).test_client()
client.environ_base["HTTP_AUTHORIZATION"] = "Bearer " + "x" * 32
assert client.put("/datasets/d", data=b"a,b\\n1,2\\n3,4\\n5,5\\n").status_code == 201
assert client.post("/jobs", json={"dataset": {"id": "d", "target": "b"}}).status_code == 202
dates = b"day,b\\n" + b"2024-01-01,1\\n2024-01-02,2\\n" * 9
assert client.put("/datasets/dates", data=dates).status_code == 201
asked = {"id": "dates", "target": "b", "categorical": ["day"]}
assert client.post("/jobs?dry_run=true", json={"dataset": asked}).status_code == 200
assert client.get("/jobs").status_code == 200
print(json.dumps(sorted({name.split(".")[0] for name in sys.modules})))
"""
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path / "v")], stdout=subprocess.PIPE, check=True)
    loaded = set(json.loads(done.stdout))
    assert loaded & {"tensorflow", "keras", "pandas", "sklearn", "worker"} == set()


def test_a_bad_environment_is_named_and_stops_the_start():
    done = subprocess.run(
        [sys.executable, "-m", "api"],
        env={"FITSTOP_PROT": "1", "FITSTOP_API_THREADS": "x"},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 2
    assert b"FITSTOP_PROT" in done.stderr
    assert b"FITSTOP_API_THREADS=x" in done.stderr
    assert b"Traceback" not in done.stderr


def test_a_volume_that_cannot_be_made_stops_the_start(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    env = {"FITSTOP_VOLUME": str(tmp_path / "file" / "volume")}
    done = subprocess.run([sys.executable, "-m", "api"], env=env, capture_output=True, check=False)
    assert done.returncode == 1
    assert b"FITSTOP_VOLUME" in done.stderr
    assert b"Traceback" not in done.stderr


def test_a_posted_job_is_announced_in_redis(api, redis_server):
    with redis_server.client() as redis:
        redis.delete(QUEUE)
        job_id = posted(api)
        # The notification comes after the answer.
        message = json.loads(wait_for(lambda: redis.lindex(QUEUE, 0), 30, saying="the notification is there"))
    assert job_id in message["headers"]["argsrepr"]


@pytest.mark.parametrize("chunked", [False, True])
def test_an_upload_is_taken_with_and_without_a_length(api, chunked):
    name = f"way-{chunked}".lower()
    body = iter([CSV[:1000], CSV[1000:]]) if chunked else CSV
    answer = api.ask("PUT", f"/datasets/{name}", body, chunked, **({"Transfer-Encoding": "chunked"} if chunked else {}))
    assert (answer.status, answer.json["rows"], answer.json["bytes"]) == (201, 400, len(CSV))
    assert incoming(api) == []


@pytest.mark.parametrize(
    "head",
    [
        b"Content-Length: 5000\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n1388\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n",
    ],
)
def test_a_client_that_goes_away_in_mid_upload_leaves_nothing(api, head):
    received = raw(api, b"PUT /datasets/half HTTP/1.1\r\nHost: x\r\n" + KEY_LINE + head + b"a,b\n1,2\n", finish=True)
    assert b" 400 " in received.splitlines()[0]
    assert b"application/problem+json" in received
    wait_for(lambda: not incoming(api), 10)
    assert api.ask("GET", "/datasets/half").status == 404


@pytest.mark.parametrize("chunked", [False, True])
def test_an_upload_above_the_limit_is_413_and_leaves_nothing(api, chunked):
    body = (b"1,2\n" * 10_000 for _ in range(100)) if chunked else b"1,2\n" * 1_000_000
    headers = {"Transfer-Encoding": "chunked"} if chunked else {}
    answer = api.ask("PUT", "/datasets/large", body, chunked, **headers)
    assert (answer.status, answer.json["code"]) == (413, "too_large")
    assert incoming(api) == []


@pytest.mark.parametrize("chunked", [False, True])
def test_a_spec_above_the_limit_is_413(api, chunked):
    body = iter([b'{"name": "', b"x" * 3_000_000, b'"}']) if chunked else b'{"name": "' + b"x" * 3_000_000 + b'"}'
    headers = {"Content-Type": "application/json", **({"Transfer-Encoding": "chunked"} if chunked else {})}
    assert api.ask("POST", "/jobs", body, chunked, **headers).status == 413


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        (b"GET / HT TP/1.1", b"400"),
        (b"GET /" + b"x" * 20_000 + b" HTTP/1.1", b"414"),
        (b"GET / HTTP/1.1\r\nbad header", b"400"),
        (b"GET / HTTP/1.1\r\nA: " + b"x" * 20_000, b"431"),
        (b"POST /jobs HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked", b"400"),
        (b"POST /jobs HTTP/1.1\r\nContent-Length: -5", b"400"),
    ],
)
def test_what_is_not_http_gets_a_problem(api, request_line, status):
    head, _, body = raw(api, request_line + b"\r\nHost: x\r\n\r\n").partition(b"\r\n\r\n")
    assert head.split()[1] == status
    assert json.loads(body)["status"] == int(status)


@pytest.mark.parametrize(("key_line", "answers"), [(b"", 1), (KEY_LINE, 3)])
def test_without_a_key_a_connection_ends_after_its_first_answer(api, key_line, answers):
    request = b"GET /healthz HTTP/1.1\r\nHost: x\r\n" + key_line + b"\r\n"
    assert raw(api, request * 3).count(b"HTTP/1.1 200 ") == answers


@pytest.mark.parametrize("host", [b"x:99999999", b"x:port", b"[::1", b"\xff", b"a b"])
@pytest.mark.parametrize("credentials", [b"Cookie: fitstop_session=" + b"x" * 43, b"Authorization: Bearer \xff", b""])
def test_credentials_beside_a_strange_host_get_a_problem(api, host, credentials):
    head, _, body = raw(api, b"GET /jobs HTTP/1.1\r\nHost: " + host + b"\r\n" + credentials + b"\r\n\r\n").partition(
        b"\r\n\r\n"
    )
    assert 400 <= int(head.split()[1]) < 500, head
    assert json.loads(body)["status"] == int(head.split()[1])


def test_beside_a_flood_of_its_address_a_valid_key_is_served(api):
    """Above every limit of its address: silent connections, and requests without a key."""
    silent = [socket.create_connection(("127.0.0.1", api.port)) for _ in range(anonymous.MOST_CONNECTIONS + 20)]
    codes = []
    for _ in range(2 * anonymous.MOST_REQUESTS_PER_SECOND):
        connection = api.connect()
        connection.request("GET", "/jobs")
        codes.append(connection.getresponse().status)
        connection.close()
    assert set(codes) <= {401, 429}
    assert api.ask("GET", "/jobs").status == 200
    for connection in silent:
        connection.close()


def test_many_jobs_posted_at_once_are_all_there(api):
    posted(api)
    ids = []
    threads = [threading.Thread(target=lambda: ids.append(posted(api))) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    listed = {job["id"] for job in api.ask("GET", "/jobs?limit=100").json["data"]}
    assert len(set(ids)) == 12
    assert set(ids) <= listed


def test_the_same_dataset_put_by_many_at_once_is_made_once(api):
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(api.ask("PUT", "/datasets/same", CSV).status)) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == [200, 200, 200, 201]
    assert incoming(api) == []


def test_one_line_of_the_log_stands_for_one_request(api):
    api.ask("GET", "/jobs/%0a%0dFAKE%1b[31m", **{"X-Request-Id": "the-one"})
    lines = wait_for(lambda: [line for line in api.log.read_text().splitlines() if "the-one" in line], 10)
    assert len(lines) == 1
    assert "FAKE" in lines[0]
    assert "\x1b" not in lines[0]


def test_an_open_stream_does_not_hold_up_the_end(redis_server, volume, tmp_path):
    api = ApiProcess(volume, redis_server.url, tmp_path / "api.log")
    api.start()
    try:
        job_id = posted(api)
        connection = api.connect()
        connection.request("GET", f"/jobs/{job_id}/events", headers={"Accept": "text/event-stream", **AUTHORIZATION})
        response = connection.getresponse()
        assert response.readline() == b": connected\n"
        api.process.terminate()
        assert api.process.wait(60) == 0
        assert b"event: end" not in response.read()
        connection.close()
    finally:
        api.stop()


def test_jobs_are_there_again_after_the_process_was_killed(redis_server, volume, tmp_path):
    api = ApiProcess(volume, redis_server.url, tmp_path / "api.log")
    api.start()
    job_id = posted(api)
    for pid in (api.process.pid, *api.workers()):
        subprocess.run(["kill", "-9", str(pid)], check=False)
    api.process.wait()
    again = ApiProcess(volume, "redis://127.0.0.1:1/0", tmp_path / "api.log")
    again.start()
    try:
        shown = again.ask("GET", f"/jobs/{job_id}").json
        assert (shown["status"], shown["queue_position"]) == ("queued", 1)
        assert again.ask("POST", "/jobs", SPEC).status == 202
        volume.job(job_id).settle(Ending(status="failed"), attempt=None)
        assert again.ask("GET", f"/jobs/{job_id}").json["status"] == "failed"
    finally:
        again.stop()


def test_a_forwarded_scheme_counts_only_from_a_proxy_that_the_settings_name(redis_server, tmp_path, api):
    forwarded = {"X-Forwarded-Proto": "https"}
    assert "Strict-Transport-Security" not in api.ask("GET", "/healthz", **forwarded).headers
    trusting = ApiProcess(
        Volume(tmp_path / "volume"), redis_server.url, tmp_path / "log", FITSTOP_TRUSTED_PROXIES="127.0.0.0/8"
    )
    trusting.start()
    try:
        assert "Strict-Transport-Security" in trusting.ask("GET", "/healthz", **forwarded).headers
        assert trusting.volume.jobs.exists()
        created = trusting.ask("POST", "/keys", {"name": "x"})
        assert created.status == 201
        [file] = (tmp_path / "api" / "keys").iterdir()
        assert file.stat().st_mode & 0o777 == 0o600
    finally:
        trusting.stop()
