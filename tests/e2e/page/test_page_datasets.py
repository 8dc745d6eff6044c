"""The pages of the datasets and of the API keys, in a real browser."""

import pytest

from tests.e2e.page.past_jobs import finish
from tests.support.archives import class_folders, zip_of
from tests.support.browser import DESKTOP, PHONE, serious_faults
from tests.support.jobs import learnable_frame, put_job, small_spec
from tests.support.keys import ADMIN_KEY


def card(page, dataset):
    return page.get_by_role("region", name=dataset, exact=True)


@pytest.mark.parametrize(("size", "theme"), [(DESKTOP, "light"), (PHONE, "dark")])
def test_a_dataset_shows_its_kind_its_images_its_profile_and_its_users(empty, size, theme):
    assert empty.api.ask("PUT", "/datasets/pets", zip_of(class_folders(3))).status == 201
    job = put_job(empty.api.volume, small_spec(name="reader"))
    with empty.page(size, theme) as page:
        page.goto("/page/datasets")
        card(page, "pets").get_by_text("6 images · 2 classes").wait_for()
        card(page, "pets").get_by_text("No job uses it").wait_for()
        card(page, "pets").locator(".strip img").nth(5).wait_for()
        grades = card(page, "grades")
        grades.get_by_text("240 rows · 5 columns").wait_for()
        assert grades.get_by_role("link", name="reader").get_attribute("href") == f"/page/jobs/{job.id}"
        grades.locator("summary").press("Enter")
        grades.get_by_role("region", name="Columns of grades").wait_for()
        assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
        assert serious_faults(page) == []


def test_a_dataset_is_uploaded_and_deleted_by_the_keyboard_after_what_depends_on_it_is_said(empty, tmp_path):
    (tmp_path / "My wine.csv").write_bytes(learnable_frame(seed=3).to_csv(index=False).encode())
    job = put_job(empty.api.volume, small_spec(name="reader"))
    with empty.page() as page:
        page.goto("/page/datasets")
        page.get_by_role("button", name="Upload dataset").press("Enter")
        page.get_by_label("File").set_input_files(tmp_path / "My wine.csv")
        assert page.get_by_label("Id", exact=True).input_value() == "my-wine"
        page.get_by_label("Id", exact=True).fill("grades")
        page.keyboard.press("Enter")
        page.get_by_role("alert").get_by_text("has other data").wait_for()
        assert serious_faults(page) == []
        page.get_by_label("Id", exact=True).fill("my-wine")
        page.keyboard.press("Enter")
        card(page, "my-wine").wait_for()
        page.get_by_role("button", name="Delete dataset grades").press("Enter")
        page.get_by_role("dialog", name="grades cannot be deleted yet").get_by_role("link", name="reader").wait_for()
        page.get_by_role("dialog").get_by_role("button", name="Close").press("Enter")
        finish(empty.api.volume, job, 2, 0.8)
        page.get_by_role("button", name="Delete dataset grades").press("Enter")
        page.get_by_role("dialog").get_by_text("1 finished job was trained on it: reader").wait_for()
        page.get_by_role("dialog").get_by_role("button", name="Keep dataset").press("Enter")
        page.locator("dialog").wait_for(state="detached")
        assert empty.api.ask("GET", "/datasets/grades").status == 200
        page.get_by_role("button", name="Delete dataset grades").press("Enter")
        page.get_by_role("dialog").get_by_role("button", name="Delete dataset").press("Enter")
        card(page, "grades").wait_for(state="detached")
    assert empty.api.ask("GET", "/datasets/grades").status == 404


def test_a_key_is_created_shown_once_and_revoked_by_the_keyboard_alone(empty):
    with empty.page(PHONE, "dark", ADMIN_KEY) as page:
        page.goto("/page/keys")
        page.get_by_role("row", name="FITSTOP_ADMIN_KEY").wait_for()
        page.get_by_role("button", name="Create key").press("Enter")
        page.get_by_label("Name").fill("ci")
        page.get_by_label("Project").fill("Not one")
        page.get_by_label("Days").fill("0")
        page.keyboard.press("Enter")
        page.get_by_role("alert").get_by_text("Project:").wait_for()
        page.get_by_role("alert").get_by_text("Days until it expires:").wait_for()
        assert serious_faults(page) == []
        page.get_by_label("Scope").select_option("read")
        page.get_by_label("Project").fill("vision")
        page.get_by_label("Days").fill("7")
        page.keyboard.press("Enter")
        key = page.get_by_label("API key", exact=True).input_value()
        page.get_by_role("dialog").get_by_role("button", name="Close").press("Enter")
        page.locator("dialog").wait_for(state="detached")
        page.get_by_role("row", name="ci").get_by_text("vision").wait_for()
        assert key not in page.content()
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE[0]
        limits = empty.api.ask("GET", "/limits", Authorization=f"Bearer {key}")
        assert limits.json["project"]["name"] == "vision"
        page.get_by_role("button", name="Revoke key ci").press("Enter")
        page.get_by_role("dialog").get_by_role("button", name="Revoke key").press("Enter")
        page.get_by_role("row", name="ci").wait_for(state="detached")
        page.get_by_label("expired and revoked").check()
        page.get_by_role("row", name="ci").get_by_text("revoked").wait_for()
    assert empty.api.ask("GET", "/limits", Authorization=f"Bearer {key}").status == 401


def test_who_may_only_read_is_offered_no_upload_and_no_keys(empty):
    reader = empty.api.ask("POST", "/keys", {"name": "reader", "scope": "read"}).json["key"]
    with empty.page(key=reader) as page:
        page.goto("/page/datasets")
        card(page, "grades").get_by_text("No job uses it").wait_for()
        assert page.get_by_role("button", name="Upload dataset").count() == 0
        assert page.get_by_role("button", name="Delete").count() == 0
        assert page.get_by_role("link", name="Keys").count() == 0
        page.goto("/page/keys")
        page.get_by_text("Only a key of scope admin manages keys").wait_for()
