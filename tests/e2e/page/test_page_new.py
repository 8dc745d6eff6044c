"""The form that posts a job, in a real browser, with a real worker behind it."""

import json

from tests.support.jobs import learnable_frame


def spec_of(page):
    return json.loads(page.get_by_label("The job's spec as JSON").input_value())


def test_a_job_is_posted_from_the_form_and_watched_to_its_stop(visitor, page_worker, tmp_path):
    file = tmp_path / "Some grades.csv"
    learnable_frame(seed=2).to_csv(file, index=False)
    with visitor.page() as page:
        page.goto("/page/new")
        page.get_by_text("choose data to begin with").wait_for()
        page.locator("#file").set_input_files(file)
        assert page.get_by_label("Id of the new data").input_value() == "some-grades"
        page.get_by_role("button", name="Upload").click()
        page.get_by_text("240 rows · 5 columns").wait_for()
        page.get_by_label("Target").select_option("grade")
        page.get_by_label("Which values are positive").select_option("at_least")
        page.get_by_label("Positive value").fill("3")
        page.get_by_label("Max epochs").fill("4")
        page.get_by_label("Hidden layers").fill("8, 4")
        page.get_by_text("ready to post").wait_for()
        page.get_by_text("two classes").wait_for()
        assert spec_of(page) == {
            "dataset": {"id": "some-grades", "target": "grade", "positive": {"at_least": 3}},
            "hyperparameters": {"epochs": 4},
            "model": {"layers": [8, 4]},
        }
        page.get_by_role("button", name="Post job").click()
        page.wait_for_url("**/page/jobs/job_*")
        job_id = page.url.rpartition("/")[2]
        page.goto("/")
        row = page.locator(f'tr[data-job="{job_id}"]')
        row.get_by_text("Succeeded").wait_for(timeout=90_000)
        row.get_by_text("epoch 4").wait_for()
        assert "$" in row.locator(".cost").inner_text()
        page.goto("/page/usage?by=dataset")
        page.get_by_role("rowheader", name="some-grades").wait_for()


def test_what_is_wrong_is_told_beside_its_field_and_either_side_follows_the_other(visitor):
    with visitor.page() as page:
        page.goto("/page/new")
        page.get_by_label("Dataset").select_option("grades")
        page.get_by_label("Target").select_option("grade")
        page.get_by_text("ready to post").wait_for()
        page.get_by_label("Batch size").fill("0")
        page.locator("#field-hyperparameters-batch_size-error").get_by_text(
            "received 0, expected a whole number from 1 to 65536"
        ).wait_for()
        assert page.get_by_role("button", name="Post job").is_disabled()
        page.get_by_label("The job's spec as JSON").fill(
            '{"dataset": {"id": "grades", "target": "grade"}, "model": {"activation": "tanh"}, '
            '"callbacks": {"early_stopping": null}}'
        )
        page.get_by_text("ready to post").wait_for()
        assert page.get_by_label("Activation").input_value() == "tanh"
        assert page.get_by_label("Batch size").input_value() == ""
        assert not page.get_by_role("checkbox", name="Early stopping").is_checked()
        page.get_by_role("checkbox", name="Early stopping").check()
        assert spec_of(page) == {"dataset": {"id": "grades", "target": "grade"}, "model": {"activation": "tanh"}}
        page.get_by_label("The job's spec as JSON").fill('{"dataset": ')
        page.locator("#json-error:not(:empty)").wait_for()
        assert page.get_by_role("button", name="Post job").is_disabled()


def test_a_job_is_posted_again_with_changes(visitor):
    spec = {"name": "first", "dataset": {"id": "grades", "target": "grade"}, "hyperparameters": {"epochs": 7}}
    before = visitor.api.ask("POST", "/jobs", spec).json
    visitor.api.ask("POST", f"/jobs/{before['id']}/cancel")
    with visitor.page() as page:
        page.goto(f"/page/new?like={before['id']}")
        page.get_by_text("with the spec of first").wait_for()
        page.get_by_text("ready to post").wait_for()
        assert page.get_by_label("Max epochs").input_value() == "7"
        assert page.get_by_label("Target").input_value() == "grade"
        assert spec_of(page) == before["spec"]
