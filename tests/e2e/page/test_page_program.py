"""The page of a job that runs a program: its script, and the files that the script wrote."""

import pytest

from shared.program import unpack
from tests.support.browser import DESKTOP, PHONE, serious_faults
from tests.support.jobs import claim
from tests.support.programs import put_program

NAME = "<img src=x onerror=alert(1)>.csv"


@pytest.fixture
def job(still_api):
    """A job whose script has written files."""
    volume = still_api.volume
    version = put_program(volume, "cats", {"train.py": b"import keras\n", "lib/help.py": b""}).version
    asked = {"id": "cats", "arguments": ["--epochs", "5"]}
    job = volume.job(still_api.ask("POST", "/jobs", {"program": asked}).json["id"])
    attempt = claim(job)
    unpack(volume.programs.version_folder("cats", version), attempt.files)
    (attempt.files / "out").mkdir()
    (attempt.files / "out" / "scores.csv").write_bytes(b"x" * 2500)
    (attempt.files / NAME).write_text("hostile")
    (attempt.files / "link").symlink_to("/etc/passwd")
    return job


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_a_program_shows_its_script_and_the_files_that_it_made(still, job, size):
    with still.page(size) as page:
        page.goto(f"/page/jobs/{job.id}")
        card = page.get_by_label("Program and files")
        card.get_by_text("Script train.py --epochs 5").wait_for()
        card.get_by_text(f"Version {job.record().program_version[:12]}").wait_for()
        card.get_by_role("link", name="out/scores.csv").wait_for()
        assert card.get_by_role("link").all_inner_texts() == [NAME, "out/scores.csv"]
        assert "1 link or special file not listed" in card.inner_text()
        assert serious_faults(page) == []
        page.get_by_text("its script has not called fit yet").wait_for()
        assert page.locator("#notices").inner_text() == ""
        with page.expect_download() as download:
            card.get_by_role("link", name=NAME).click()
        assert download.value.path().read_text() == "hostile"
        attempt = job.attempts()[-1]
        (attempt.files / "later.txt").write_text("x")
        card.get_by_role("button", name="Refresh").click()
        card.get_by_role("link", name="later.txt").wait_for()


def test_a_job_is_posted_from_the_form_and_copied_to_another(still):
    put_program(still.api.volume, "dogs", {"train.py": b"import keras\n", "other.py": b"", "lib/help.py": b""})
    with still.page() as page:
        page.goto("/page/new")
        page.get_by_text("choose data first").wait_for()
        page.get_by_role("button", name="Program").click()
        page.get_by_label("Program", exact=True).locator("select").first.wait_for()
        page.locator("#program-id").select_option("dogs")
        page.locator("#program-entry").get_by_text("train.py (default)").wait_for(state="attached")
        page.locator("#program-entry").select_option("other.py")
        page.get_by_label("Arguments, one on each line").fill("--epochs\n5 6")
        page.get_by_text("ready to post").wait_for()
        page.get_by_text("other.py --epochs 5 6").wait_for()
        assert not page.get_by_label("Dataset", exact=True).is_visible()
        assert serious_faults(page) == []
        page.get_by_role("button", name="Post job").click()
        page.wait_for_url("**/page/jobs/job_*")
        job = still.api.volume.job(page.url.rpartition("/")[2]).record().spec.program
        assert (job.id, job.entry, job.arguments) == ("dogs", "other.py", ("--epochs", "5 6"))
        page.get_by_role("link", name="Copy to new job").or_(page.get_by_role("button", name="Copy to new job")).click()
        page.get_by_text("ready to post").wait_for()
        page.wait_for_function("() => document.querySelector('#program-entry').value === 'other.py'")
        page.get_by_role("button", name="Data and model").click()
        page.get_by_text("choose data first").wait_for()
        page.get_by_label("Dataset", exact=True).wait_for()
