"""What `fitstop doctor` finds: each fault is a problem with its fix, on the real service."""

import json
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner

from fitstop.cli import doctor as command
from fitstop.cli.main import main
from fitstop.local.doctor import (
    Finding,
    check_bucket,
    check_place,
    check_provider,
    check_redis,
    check_shared_memory,
    check_volume,
    is_container,
    run_checks,
)
from tests.support.bucket import access_to, running_server
from tests.support.redis import free_port, redis_program, running_redis


@contextmanager
def mounted(folder: Path, size: str):
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    done = subprocess.run(mount, capture_output=True, check=False)
    if done.returncode:
        pytest.skip(f"needs the right to mount a tmpfs: {done.stderr.decode().strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_volume_that_takes_files_is_measured_and_left_as_it_was(tmp_path):
    found = check_volume(tmp_path / "not" / "yet" / "there")
    assert found.status in {"ok", "warning"}
    assert "MB/s" in found.detail
    assert list(tmp_path.iterdir()) == []


def test_a_full_volume_is_a_problem(tmp_path):
    with mounted(tmp_path / "disk", "1m") as disk:
        found = check_volume(disk)
    assert (found.status, found.fix) == ("problem", "free space or use a larger volume; jobs wait while it is full")
    assert "No space left on device" in found.detail


def test_a_volume_that_is_nearly_full_is_a_problem(tmp_path):
    with mounted(tmp_path / "disk", "100m") as disk:
        found = check_volume(disk)
    assert found.status == "problem"
    assert "105 MB free" in found.detail


def test_a_read_only_volume_is_a_problem(tmp_path):
    with mounted(tmp_path / "disk", "100m") as disk:
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        found = check_volume(disk)
    assert (found.status, found.fix) == ("problem", "mount it with write access")


def test_the_containers_own_disk_is_a_warning(tmp_path, monkeypatch):
    monkeypatch.setattr("fitstop.local.doctor._is_container", lambda: True)
    folder = Path("/usr")
    assert check_place(folder, {}).status == "warning"
    assert "is lost with it" in check_place(folder, {}).detail


DISK, LAYERS = "27 1 254:0 / / rw - ext4 /dev/vda rw", "500 499 0:90 / / rw - overlay overlay rw"


@pytest.mark.parametrize(
    ("mounts", "is_marked", "expected"),
    [
        (LAYERS, False, True),
        (DISK, False, False),
        (DISK, True, False),
        ("27 1 0:31 /docker/subvolumes/f00 / rw - btrfs /dev/sda rw", True, True),
        ("27 1 0:31 / / rw - zfs pool/docker/f00 rw", True, True),
        ("22 27 0:21 / /proc rw - proc proc rw", True, True),
    ],
)
def test_a_container_is_told_from_a_small_machine_that_was_made_from_an_image(mounts, is_marked, expected):
    assert is_container(mounts, is_marked=is_marked) is expected


@pytest.fixture
def redis_server(tmp_path):
    if redis_program() is None:
        pytest.skip("no Redis server here")
    with running_redis(tmp_path) as server:
        yield server


def test_a_redis_that_answers_is_ok_and_shows_its_clock(redis_server):
    redis, clock = check_redis(redis_server.url)
    assert (redis.status, clock.status) == ("ok", "ok")
    assert clock.detail.endswith("as Redis's")


def test_a_redis_with_another_clock_is_a_warning(redis_server, monkeypatch):
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() - 3600)
    assert check_redis(redis_server.url)[1].status == "warning"


@pytest.mark.parametrize(("password", "says"), [("", "NOAUTH"), ("wrong", "WRONGPASS")])
def test_a_redis_with_another_password_is_a_problem(redis_server, password, says):
    with redis_server.client() as client:
        client.config_set("requirepass", "right")
    found = check_redis(f"redis://:{password}@127.0.0.1:{redis_server.port}/0")[0]
    assert found.status == "problem"
    assert says in found.detail
    assert "fix the password" in found.fix
    assert check_redis(f"redis://:right@127.0.0.1:{redis_server.port}/0")[0].status == "ok"


def test_no_redis_is_no_problem_where_none_is_wanted():
    redis, clock = check_redis("none")
    assert (redis.status, clock.status) == ("ok", "ok")
    assert redis.detail.startswith("no Redis configured")


def test_a_redis_that_is_away_is_a_problem():
    port = free_port()
    found = check_redis(f"redis://127.0.0.1:{port}/0")[0]
    assert (found.status, found.detail) == ("problem", f"127.0.0.1:{port}: Connection refused")
    assert "nothing listens there" in found.fix


def test_a_redis_without_tls_where_it_is_expected_is_a_problem(redis_server):
    found = check_redis(f"rediss://127.0.0.1:{redis_server.port}/0")[0]
    assert found.status == "problem"
    assert "does not speak TLS" in found.fix


def test_a_redis_of_no_name_is_a_problem():
    found = check_redis("redis://nowhere.invalid/0")[0]
    assert found.status == "problem"
    assert "firewall" in found.fix


@pytest.mark.parametrize(
    ("environment", "status", "says"),
    [
        ({"RUNPOD_POD_ID": "abc", "FITSTOP_PORT": "9000"}, "ok", "https://abc-9000.proxy.runpod.net"),
        ({"PUBLIC_IPADDR": "198.51.100.7", "VAST_TCP_PORT_8000": "40001"}, "warning", "http://198.51.100.7:40001"),
        ({"PUBLIC_IPADDR": "198.51.100.7"}, "warning", "not mapped"),
        ({}, "ok", "http://127.0.0.1:8000"),
    ],
)
def test_the_provider_says_which_address_to_open(environment, status, says):
    found = check_provider(environment)
    assert found.status == status
    assert says in found.detail


def test_little_or_no_shared_memory_is_a_warning(tmp_path):
    assert check_shared_memory(tmp_path / "none").status == "warning"
    with mounted(tmp_path / "shm", "1m") as folder:
        assert check_shared_memory(folder).status == "warning"


@pytest.mark.parametrize(("status", "exit_code"), [("ok", 0), ("warning", 0), ("problem", 8)])
def test_the_exit_status_is_that_of_the_worst_finding(status, exit_code, monkeypatch):
    findings = [Finding("one", "ok", "well"), Finding("two", status, "as it is", "fix it so")]
    monkeypatch.setattr(command, "run_checks", lambda volume, data: iter(findings))
    table = CliRunner().invoke(main, ["doctor"])
    assert table.exit_code == exit_code
    assert ("→ fix it so" in table.stdout) == (status != "ok")
    assert table.stdout.splitlines()[-1].startswith("Not ready for jobs: 1 problem" if exit_code else "Ready for jobs")
    document = CliRunner().invoke(main, ["doctor", "-o", "json"])
    assert document.exit_code == exit_code
    assert json.loads(document.stdout)["data"][1]["status"] == status


def test_the_worker_says_that_there_is_no_gpu_and_trains_two_models_all_the_same():
    environment = {"PATH": "/usr/bin:/bin", "CUDA_VISIBLE_DEVICES": "-1"}
    done = subprocess.run(
        [sys.executable, "-m", "worker.machine.doctor"], env=environment, capture_output=True, text=True, check=True
    )
    found = {one["name"]: one for one in json.loads(done.stdout)}
    assert found["GPU"]["status"] == "warning"
    assert found["GPU"]["fix"]
    assert found["training"]["status"] == "ok", done.stdout
    assert "convolution" in found["training"]["detail"]


def test_a_bucket_is_checked_by_a_process_of_the_service_in_place_of_the_machine():
    with running_server() as server, access_to(server):
        ready = CliRunner().invoke(main, ["doctor", "--bucket", f"s3://{server.make_bucket()}/backup"])
        server.ignores_conditions = True
        refused = CliRunner().invoke(main, ["doctor", "-o", "json", "--bucket", f"s3://{server.make_bucket()}/backup"])
    assert ready.exit_code == 0
    assert "16 writers raced 20 times" in ready.stdout
    assert "Ready for a volume, with no warnings." in ready.stdout
    assert refused.exit_code == 8
    (found,) = json.loads(refused.stdout)["data"]
    assert (found["name"], found["status"]) == ("bucket", "problem")
    assert "ignores If-None-Match" in found["detail"]
    assert "of-a-test" not in ready.output + refused.output


def test_a_bucket_that_cannot_be_checked_is_a_problem_with_what_to_install(tmp_path, monkeypatch):
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho \"ModuleNotFoundError: No module named 'obstore'\" >&2\nexit 1\n")
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    (found,) = check_bucket("s3://bucket/a")
    assert (found.status, "No module named 'obstore'" in found.detail) == ("problem", True)
    assert "pip install 'fitstop[local]'" in found.fix


def test_a_volume_in_a_bucket_is_raced_for_and_the_disk_behind_it_is_measured(tmp_path, monkeypatch):
    monkeypatch.setattr("fitstop.local.doctor.check_device", lambda: iter(()))
    with running_server() as server, access_to(server):
        found = {one.name: one for one in run_checks(f"s3://{server.make_bucket()}", tmp_path / "data")}
    assert "volume" not in found
    assert (found["bucket"].status, "16 writers raced" in found["bucket"].detail) == ("ok", True)
    assert f"{tmp_path / 'data'}: " in found["disk"].detail
