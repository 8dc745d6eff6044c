"""The form that posts a job, in a real browser, with a real worker."""

import json

import numpy as np

from tests.support.archives import class_folders, npz_of, zip_of
from tests.support.browser import answer_now, hold_back
from tests.support.jobs import learnable_frame

TIMES = "\N{MULTIPLICATION SIGN}"


def spec_of(page):
    return json.loads(page.get_by_label("The job's spec as JSON").input_value())


def test_a_job_is_posted_from_the_form_and_watched_to_its_stop(visitor, page_worker, tmp_path):
    file = tmp_path / "Some grades.csv"
    learnable_frame(seed=2).to_csv(file, index=False)
    with visitor.page() as page:
        page.goto("/page/new")
        page.get_by_text("choose data first").wait_for()
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
        row.get_by_text("Succeeded").wait_for(timeout=120_000)
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


def test_a_dataset_that_is_chosen_while_the_page_loads_stays_chosen(visitor):
    with visitor.page() as page:
        programs = hold_back(page, "**/programs?*")
        datasets = hold_back(page, "**/datasets/grades")
        page.goto("/page/new")
        with page.expect_request("**/datasets/grades"):
            page.get_by_label("Dataset").select_option("grades")
        answer_now(page, "**/programs?*", programs)
        answer_now(page, "**/datasets/grades", datasets)
        page.get_by_label("Target").select_option("grade")
        page.get_by_text("ready to post").wait_for()
        assert spec_of(page) == {"dataset": {"id": "grades", "target": "grade"}}


def test_while_another_dataset_is_read_the_one_before_cannot_be_posted(visitor):
    visitor.api.ask("PUT", "/datasets/other", b"kind,label\n" + b"red,1\nblue,0\nred,0\n" * 20)
    with visitor.page() as page:
        page.goto("/page/new")
        page.get_by_label("Dataset").select_option("grades")
        page.get_by_label("Target").select_option("grade")
        page.get_by_text("ready to post").wait_for()
        held = hold_back(page, "**/datasets/other")
        page.get_by_label("Dataset").select_option("other")
        page.get_by_text("reading the dataset").wait_for()
        assert page.get_by_role("button", name="Post job").is_disabled()
        answer_now(page, "**/datasets/other", held)
        page.get_by_label("Target").select_option("label")
        page.get_by_text("ready to post").wait_for()
        assert spec_of(page)["dataset"]["id"] == "other"


def test_an_answer_about_the_spec_before_makes_no_broken_json_ready_to_post(visitor):
    with visitor.page() as page:
        page.goto("/page/new")
        page.get_by_text("choose data first").wait_for()
        held = hold_back(page, "**/jobs?dry_run=true")
        with page.expect_request("**/jobs?dry_run=true"):
            page.get_by_label("The job's spec as JSON").fill('{"dataset": {"id": "grades", "target": "grade"}}')
        page.get_by_label("The job's spec as JSON").fill('{"dataset": ')
        page.locator("#json-error:not(:empty)").wait_for()
        answer_now(page, "**/jobs?dry_run=true", held)
        assert page.locator("#check-state").inner_text() == "not checked"
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


def test_images_show_their_classes_and_small_pictures_of_each(visitor, tmp_path):
    (tmp_path / "Pets.zip").write_bytes(zip_of(class_folders(3, "train/") | class_folders(1, "val/", seed=900)))
    with visitor.page() as page:
        page.goto("/page/new")
        page.locator("#file").set_input_files(tmp_path / "Pets.zip")
        assert page.get_by_label("Id of the new data").input_value() == "pets"
        page.get_by_role("button", name="Upload").click()
        page.get_by_text(f"8 images · 2 classes · 8 {TIMES} 6 pixels · 3 channels").wait_for()
        assert page.get_by_role("region", name="Classes of pets").inner_text().split() == [
            "Class", "Train", "Validation", "cat", "3", "1", "dog", "3", "1",
        ]  # fmt: skip
        page.locator(".thumbnails img").nth(7).wait_for()
        page.get_by_label("Class of the images shown").select_option("dog")
        page.locator(".thumbnails img").nth(4).wait_for(state="detached")
        alternatives = page.locator(".thumbnails img").evaluate_all("all => all.map((one) => one.alt)")
        assert sorted(alternatives) == [*(f"dog: train/dog/{number}.png" for number in range(3)), "dog: val/dog/0.png"]
        widths = "[...document.querySelectorAll('.thumbnails img')].map((one) => one.naturalWidth)"
        page.wait_for_function(f"() => {widths}.join() === '8,8,8,8'")


def test_the_form_has_the_fields_of_the_datas_kind_and_of_the_models(visitor):
    visitor.api.ask("PUT", "/datasets/forms", zip_of(class_folders(20, names=("elk", "owl", "yak"))))
    with visitor.page() as page:
        page.goto("/page/new")
        page.get_by_label("Dataset").select_option("grades")
        page.get_by_label("Target").select_option("grade")
        page.get_by_label("Hidden layers").fill("8")
        page.get_by_label("Dataset").select_option("forms")
        page.get_by_text("ready to post").wait_for()
        assert spec_of(page) == {"dataset": {"id": "forms"}}
        assert not page.get_by_label("Target").is_visible()
        page.get_by_label("Filters").fill("4, 8")
        page.get_by_label("Channels").select_option("1")
        page.get_by_label("Image size").fill("16, 16")
        page.get_by_label("Horizontal flip").check()
        page.get_by_text("CNN 4 → 8").wait_for()
        assert spec_of(page) == {
            "dataset": {"id": "forms", "channels": 1, "size": [16, 16], "augment": {"flip_horizontal": True}},
            "model": {"filters": [4, 8]},
        }
        page.get_by_label("Kind", exact=True).select_option("application")
        page.get_by_label("Network").wait_for()
        assert spec_of(page)["model"] == {"kind": "application", "name": "MobileNetV2"}
        page.get_by_label("Dataset").select_option("grades")
        page.get_by_label("Hidden layers").wait_for()
        assert spec_of(page) == {"dataset": {"id": "grades"}}


def test_arrays_show_their_shapes(visitor, tmp_path):
    (tmp_path / "a.npz").write_bytes(npz_of(x=np.ones((6, 4), "f4"), y=np.arange(6) % 2))
    with visitor.page() as page:
        page.goto("/page/new")
        page.locator("#file").set_input_files(tmp_path / "a.npz")
        page.get_by_role("button", name="Upload").click()
        page.get_by_text("6 rows · 2 arrays").wait_for()
        row = page.get_by_role("row", name="x input, training")
        assert row.inner_text().split("\t") == ["x", "input, training", f"6 {TIMES} 4", "float32", "1 to 1", "0"]


def test_optimizer_loss_and_schedule_have_their_arguments_by_the_keyboard_alone(visitor):
    visitor.api.ask("PUT", "/datasets/keys", zip_of(class_folders(20, names=("elk", "owl", "yak"))))
    with visitor.page() as page:
        page.goto("/page/new")
        page.get_by_label("Dataset").select_option("keys")
        page.get_by_text("ready to post").wait_for()
        page.locator("#field-hyperparameters-optimizer").focus()
        keys = page.keyboard
        keys.type("sgd")
        keys.press("Tab")  # the learning rate
        keys.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "Optimizer arguments"
        keys.press("Enter")
        keys.press("Tab")
        keys.type("0.9")
        keys.press("Tab")
        keys.press("Space")
        sgd = {"name": "sgd", "momentum": 0.9, "nesterov": True}
        assert spec_of(page)["hyperparameters"] == {"optimizer": sgd}
        page.locator("#field-hyperparameters-optimizer").focus()
        keys.type("rms")
        assert spec_of(page)["hyperparameters"]["optimizer"] == {"name": "rmsprop", "momentum": 0.9}, (
            "nesterov is sgd's"
        )
        page.locator("#field-hyperparameters-optimizer-momentum").fill("2")
        page.locator("#field-hyperparameters-optimizer-momentum-error:not(:empty)").wait_for()
        assert not page.locator("#field-hyperparameters-optimizer-error").inner_text()
        page.locator("#field-hyperparameters-optimizer-momentum").fill("")
        assert spec_of(page)["hyperparameters"] == {"optimizer": "rmsprop"}
        page.locator("#field-hyperparameters-optimizer").select_option("")
        page.locator("#field-hyperparameters-loss").select_option("categorical_crossentropy")
        page.get_by_text("Loss arguments").click()
        page.get_by_label("Label smoothing").fill("0.1")
        page.get_by_role("checkbox", name="Learning-rate schedule").focus()
        keys.press("Space")
        assert not page.get_by_role("checkbox", name="Reduce learning rate on plateau").is_checked()
        page.get_by_label("Warm-up epochs").fill("3")
        page.get_by_label("Mixup").fill("0.2")
        page.get_by_label("Metrics").fill("accuracy, top_5_accuracy")
        page.get_by_text("ready to post").wait_for()
        assert spec_of(page) == {
            "dataset": {"id": "keys", "augment": {"mixup": 0.2}},
            "hyperparameters": {
                "loss": {"name": "categorical_crossentropy", "label_smoothing": 0.1},
                "metrics": ["accuracy", "top_5_accuracy"],
            },
            "callbacks": {"learning_rate_schedule": {"warmup_epochs": 3}},
        }
        page.get_by_label("Warm-up epochs").fill("")
        assert spec_of(page)["callbacks"] == {"learning_rate_schedule": {}}, "it stays on"
        page.get_by_role("checkbox", name="Reduce learning rate on plateau").check()
        assert not page.get_by_role("checkbox", name="Learning-rate schedule").is_checked()
        assert "callbacks" not in spec_of(page)


def test_every_argument_of_the_schema_has_a_field(visitor):
    visitor.api.ask("PUT", "/datasets/every", zip_of(class_folders(20, names=("elk", "owl"))))
    definitions = visitor.api.ask("GET", "/schema/job.json").json["$defs"]
    with visitor.page() as page:
        page.goto("/page/new")
        page.get_by_label("Dataset").select_option("every")
        page.locator("#field-dataset-augment-mixup").wait_for()

        def fields(place):
            start = f"field-{place}-"
            all_ids = page.locator(f'input[id^="{start}"], select[id^="{start}"]').evaluate_all(
                "all => all.map((one) => one.id)"
            )
            return sorted(one.removeprefix(start) for one in all_ids)

        assert fields("dataset-augment") == sorted(definitions["AugmentSpec"]["properties"])
        schedule = sorted(definitions["LearningRateScheduleSpec"]["properties"])
        assert fields("callbacks-learning_rate_schedule") == schedule
        for name, kind in (("optimizer", "OptimizerSpec"), ("loss", "LossSpec")):
            shown = set()
            for choice, taken in definitions[kind]["x-arguments"].items():
                page.locator(f"#field-hyperparameters-{name}").evaluate(
                    "(node, choice) => { node.value = choice; node.dispatchEvent(new Event('change')); }",
                    "" if choice == "adam" else choice,
                )
                assert fields(f"hyperparameters-{name}") == sorted(taken), choice
                shown |= set(taken)
            assert shown == set(definitions[kind]["properties"]) - {"name"}
