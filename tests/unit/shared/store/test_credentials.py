"""The sources of a bucket's keys, as in the AWS command."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from shared.child_environment import is_for_training
from shared.store.credentials import find_access, find_proxy
from shared.store.interface import AccessDenied
from shared.store.opening import open_bucket
from tests.support.bucket import running_server


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / "credentials").write_text(
        "[default]\naws_access_key_id = A\naws_secret_access_key = b%c\n"
        "[lab]\naws_access_key_id = L\naws_secret_access_key = M\naws_session_token = T\n"
    )
    (tmp_path / ".aws" / "config").write_text(
        "[default]\nregion = eu-north-1\n[profile lab]\nregion = auto\nendpoint_url = https://lab.example\n"
    )
    return tmp_path


def test_keys_and_region_come_from_the_files_of_the_default_profile(home: Path) -> None:
    found = find_access({"HOME": str(home)})
    assert found == {"region": "eu-north-1", "access_key_id": "A", "secret_access_key": "b%c"}


def test_a_profile_brings_its_token_and_its_endpoint(home: Path) -> None:
    assert find_access({"HOME": str(home), "AWS_PROFILE": "lab"}) == {
        "region": "auto",
        "endpoint": "https://lab.example",
        "access_key_id": "L",
        "secret_access_key": "M",
        "session_token": "T",
    }


def test_the_environment_comes_before_the_files(home: Path) -> None:
    environment = {
        "HOME": str(home),
        "AWS_ACCESS_KEY_ID": "E",
        "AWS_SECRET_ACCESS_KEY": "F",
        "AWS_REGION": "us-west-2",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
    }
    keys = {"access_key_id": "E", "secret_access_key": "F"}
    assert find_access(environment) == {"region": "us-west-2", "endpoint": "http://127.0.0.1:1", **keys}


def test_without_files_and_variables_the_machines_own_identity_is_left_to_obstore(tmp_path: Path) -> None:
    assert find_access({"HOME": str(tmp_path)}) == {"region": "us-east-1"}


def test_a_profile_that_is_not_there_is_named(home: Path) -> None:
    with pytest.raises(AccessDenied, match="AWS_PROFILE=labb is in none of the files"):
        find_access({"HOME": str(home), "AWS_PROFILE": "labb"})


def test_a_file_that_cannot_be_read_is_named_without_what_it_holds(home: Path) -> None:
    (home / ".aws" / "credentials").write_text("aws_secret_access_key = hidden\n")
    with pytest.raises(AccessDenied, match="credentials can't be read: MissingSectionHeaderError") as caught:
        find_access({"HOME": str(home)})
    assert "hidden" not in str(caught.value)


def test_a_web_identity_comes_before_the_files_and_a_containers_after_them(home: Path, tmp_path: Path) -> None:
    web = {"AWS_WEB_IDENTITY_TOKEN_FILE": "/token", "AWS_ROLE_ARN": "arn"}
    container = {"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/keys"}
    region = {"region": "eu-north-1"}
    assert find_access({"HOME": str(home), **web}) == {**region, "web_identity_token_file": "/token", "role_arn": "arn"}
    assert find_access({"HOME": str(home), **container})["access_key_id"] == "A"
    found = find_access({"HOME": str(tmp_path / "nobody"), **container})
    assert found == {"region": "us-east-1", "container_credentials_relative_uri": "/keys"}


def test_the_proxy_is_that_of_the_address_and_never_for_training() -> None:
    environment = {"HTTP_PROXY": "http://a", "https_proxy": "http://b", "HTTPS_PROXY": "http://c", "NO_PROXY": "x,y"}
    assert find_proxy(environment, "http://s3") == {"proxy_url": "http://a", "proxy_excludes": "x,y"}
    assert find_proxy(environment, "https://s3")["proxy_url"] == "http://b"
    assert find_proxy({"ALL_PROXY": "http://d"}, "https://s3") == {"proxy_url": "http://d"}
    assert find_proxy({"NO_PROXY": "x"}, "https://s3") == {}
    names = [*environment, "ALL_PROXY", "AWS_ROLE_ARN", "AWS_CONTAINER_CREDENTIALS_FULL_URI"]
    assert [name for name in names if is_for_training(name)] == []


@contextmanager
def serving(content: bytes) -> Iterator[tuple[str, list[Any]]]:
    """Run a server that answers each GET with `content`; yield its address and the list of requests."""
    asked: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append((self.path, self.headers["Authorization"]))
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            """Log nothing: a test's output is for failures."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_container_without_keys_uses_those_of_its_own_service(tmp_path: Path) -> None:
    until = (datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    keys = {"AccessKeyId": "OFTHEPOD", "SecretAccessKey": "s", "Token": "t", "Expiration": until}
    (tmp_path / "token").write_text("sesame")
    signed: list[str] = []
    with serving(json.dumps(keys).encode()) as (pod, asked), running_server() as server:
        bucket = server.make_bucket()
        server.lose_answer = lambda environ: bool(signed.append(environ.get("HTTP_AUTHORIZATION", "")))
        environment = {
            "HOME": str(tmp_path),
            "AWS_ENDPOINT_URL": server.url,
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{pod}/keys",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(tmp_path / "token"),
        }
        # Only this environment is read: a worker has no such variables in its own.
        open_bucket(f"s3://{bucket}/v", environment)
    assert asked[0] == ("/keys", "sesame")
    assert all("Credential=OFTHEPOD/" in one for one in signed)
    assert signed


def test_a_bucket_is_reached_through_the_proxy_of_the_environment(tmp_path: Path) -> None:
    empty = b"<ListBucketResult><KeyCount>0</KeyCount><IsTruncated>false</IsTruncated></ListBucketResult>"
    with serving(empty) as (proxy, asked):
        environment = {
            "HOME": str(tmp_path),
            "AWS_ACCESS_KEY_ID": "k",
            "AWS_SECRET_ACCESS_KEY": "s",
            "AWS_ENDPOINT_URL": "http://s3.example.invalid",
            "HTTP_PROXY": proxy,
        }
        open_bucket("s3://models/v", environment)
    assert asked[0][0].startswith("http://s3.example.invalid/models?")
