"""fitstop download --files."""

import pytest


def listing(*paths, **values):
    files = [{"object": "job_file", "path": path, "bytes": 3, "changed_at": None} for path in paths]
    return {"object": "list", "data": files, "has_more": False, "left_out": 0, **values}


@pytest.fixture
def job(canned, make_job):
    """The id of a job that the service knows."""
    shown = make_job(1)
    canned.on("GET", f"/jobs/{shown['id']}", shown)
    return shown["id"]


def test_the_files_of_a_script_are_written_below_a_folder(canned, fitstop, job, tmp_path):
    canned.on("GET", f"/jobs/{job}/files", listing("a.csv", "out/b c.csv", has_more=True))
    canned.on("GET", f"/jobs/{job}/files/a.csv", b"one")
    canned.on("GET", f"/jobs/{job}/files/out/b%20c.csv", b"two")
    result = fitstop("download", job, "--files")
    assert (result.exit_code, result.stdout.split("\n")[:-1]) == (0, [f"{job}-files/a.csv", f"{job}-files/out/b c.csv"])
    assert "2 files of 2, 6 B" in result.stderr
    assert "more files than one list" in result.stderr
    assert (tmp_path / f"{job}-files" / "out" / "b c.csv").read_bytes() == b"two"
    assert fitstop("download", job, "--files", "-o", "here").exit_code == 0
    assert (tmp_path / "here" / "a.csv").read_bytes() == b"one"


def test_files_that_exist_are_replaced_only_by_force(canned, fitstop, job, tmp_path):
    canned.on("GET", f"/jobs/{job}/files", listing("b.csv", "a.csv"))
    for name in ("a.csv", "b.csv"):
        canned.on("GET", f"/jobs/{job}/files/{name}", b"new")
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "a.csv").write_bytes(b"mine")
    refused = fitstop("download", job, "--files", "-o", "here")
    assert (refused.exit_code, "here/a.csv exists already; --force replaces" in refused.stderr) == (2, True)
    assert [(path.name, path.read_bytes()) for path in (tmp_path / "here").iterdir()] == [("a.csv", b"mine")]
    assert fitstop("download", job, "--files", "-o", "here", "--force").exit_code == 0
    assert (tmp_path / "here" / "a.csv").read_bytes() == b"new"


def test_a_name_that_leads_elsewhere_is_not_written_and_a_lost_file_is_reported(canned, fitstop, job, tmp_path):
    canned.on("GET", f"/jobs/{job}/files", listing("../out.csv", "/etc/x", "a//b", "gone.csv", "a.csv"))
    canned.on("GET", f"/jobs/{job}/files/a.csv", b"one")
    result = fitstop("download", job, "--files", "-o", "here")
    assert result.exit_code == 3
    assert result.stderr.count("leads elsewhere") == 3
    assert [path.name for path in (tmp_path / "here").iterdir()] == ["a.csv"]
    assert not (tmp_path / "out.csv").exists()
    assert "1 file of 5" in result.stderr
