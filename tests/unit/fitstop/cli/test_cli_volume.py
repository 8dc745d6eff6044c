"""`fitstop volume copy` on the command line: a folder into a bucket and back, and why it refuses to begin."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from fitstop.cli.main import main
from fitstop.local.data_lock import DataLock
from shared.volume import Volume
from tests.support.bucket import access_to, running_server
from tests.support.jobs import learnable_frame, put_dataset, put_job, small_spec


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder with a volume in it."""
    volume = Volume(tmp_path / "data" / "volume")
    put_dataset(volume, learnable_frame())
    put_job(volume, small_spec())
    return tmp_path / "data"


def run(*arguments: object):
    return CliRunner().invoke(main, ["volume", "copy", *map(str, arguments)])


def test_a_volume_is_copied_into_a_bucket_and_out_of_it_and_no_key_is_printed(data: Path, tmp_path: Path) -> None:
    with running_server() as server, access_to(server):
        address = f"s3://{server.make_bucket()}/backup"
        sent, again = run(data / "volume", address), run(data / "volume", address)
        brought = run("-o", "json", address, tmp_path / "new" / "volume")
    assert (sent.exit_code, sent.stdout[:14]) == (0, "Copied 5 files")
    assert again.exit_code == 2
    assert f"fitstop: {address} already holds a whole volume; copy into an empty place" in again.stderr
    found = json.loads(brought.stdout)
    assert (found["files"], found["of_files"], found["from"]) == (5, 5, address)
    assert Volume(tmp_path / "new" / "volume").job_ids() == Volume(data / "volume").job_ids()
    assert "of-a-test" not in sent.output + again.output + brought.output


def test_a_data_folder_that_fitstop_up_holds_is_in_use(data: Path, tmp_path: Path) -> None:
    lock = DataLock(data)
    lock.take()
    try:
        held = run(data / "volume", tmp_path / "new")
    finally:
        lock.release()
    assert held.exit_code == 2
    assert f"is in use: `fitstop up` runs with {data}" in held.stderr
    assert not (tmp_path / "new").exists()


def test_a_place_without_a_volume_is_refused_with_where_volumes_are(data: Path, tmp_path: Path) -> None:
    wrong = run(data, tmp_path / "new")
    assert wrong.exit_code == 2
    assert f"{data} is not a volume: it has no fitstop-volume.json" in wrong.stderr
    assert "the folder `volume` in its data folder" in wrong.stderr


def test_ctrl_c_ends_with_its_own_status_and_how_to_continue(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("fitstop.cli.volume.copy_volume", interrupt)
    interrupted = run(data / "volume", "s3://bucket/a")
    assert interrupted.exit_code == 130
    assert interrupted.stderr == "fitstop: interrupted. The same command continues the copy.\n"


def test_a_machine_without_the_service_is_told_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho \"ModuleNotFoundError: No module named 'obstore'\" >&2\nexit 1\n")
    python.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(python))
    missing = run(tmp_path, "s3://bucket/a")
    assert missing.exit_code == 9
    assert "No module named 'obstore'; pip install 'fitstop[local]'" in missing.stderr
