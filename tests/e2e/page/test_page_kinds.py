"""The form and the page of a job of images and of arrays, in a real browser."""

import io
import json
import zipfile

import numpy as np
import pytest

from tests.e2e.page.past_jobs import over
from tests.support.archives import npz_of, picture, zip_of
from tests.support.browser import DESKTOP, PHONE, serious_faults
from tests.support.earlier import put_earlier_job
from tests.support.keras_configs import a_layer, a_model
from tests.support.waiting import wait_for

FAST = {"filters": [4], "dense": []}
DOTS = {"dataset": {"id": "dots"}, "model": FAST, "hyperparameters": {"epochs": 2}}


@pytest.fixture(scope="module", autouse=True)
def data(page_api):
    """Upload images `dots` in three classes, 16 x 16 pixels, and arrays `moves`, (12,), and `frames`, (16, 16, 1)."""
    counts = {"cat": 12, "dog": 9, "emu": 9}
    names = [f"{name}/{at}.png" for name in counts for at in range(counts[name])]
    files = {name: picture(at, size=(16, 16)) for at, name in enumerate(names)}
    generator = np.random.default_rng(1)
    classes = generator.integers(0, 3, 60)
    contents = {
        "dots": zip_of(files),
        "moves": npz_of(x=generator.normal(size=(60, 12)).astype("float32"), y=classes),
        "frames": npz_of(x=generator.integers(0, 256, (60, 16, 16, 1)).astype("uint8"), y=classes),
    }
    for name, content in contents.items():
        answer = page_api.ask("PUT", f"/datasets/{name}?name={name}", content)
        assert answer.status == 201, answer.body


def choose(page, dataset):
    page.get_by_label("Dataset", exact=True).select_option(dataset)


def spec_of(page):
    return json.loads(page.get_by_label("The job's spec as JSON").input_value())


def labels(page):
    """The labels of all fields of the form."""
    return page.locator("#fields label").all_inner_texts()


def wait_drawn(page):
    """Wait until the browser has drawn all thumbnails of the page, which are more than three."""
    page.locator(".thumbnails img").nth(3).wait_for()
    page.wait_for_function(
        "() => [...document.querySelectorAll('.thumbnails img')].every((one) => one.naturalWidth > 0)"
    )


def test_images_show_their_classes_and_have_fields_of_their_own(visitor):
    with visitor.page() as page:
        page.goto("/page/new")
        choose(page, "dots")
        page.get_by_text("30 images · 3 classes · 16 × 16 pixels · 3 channels").wait_for()
        classes = page.get_by_role("region", name="Classes of dots").inner_text().split()
        assert classes == ["Class", "Images", "cat", "12", "dog", "9", "emu", "9"]
        wait_drawn(page)
        page.get_by_text("ready to post").wait_for()
        page.get_by_text("images of 16 × 16 × 3").wait_for()
        assert {"Image size", "Resizing", "Channels", "Validation split", "Stratified split"} <= set(labels(page))
        assert {"Horizontal flip", "Cutout", "Filters", "Kernel size"} <= set(labels(page))
        assert not {"Target", "Missing values", "Hidden layers"} & set(labels(page))
        assert page.get_by_label("Filters").get_attribute("placeholder") == "32, 64, 128"

        page.get_by_label("Image size").fill("24, 24")
        page.get_by_label("Channels").select_option("1")
        page.get_by_label("Horizontal flip").check()
        page.get_by_text("images of 24 × 24 × 1").wait_for()
        assert spec_of(page) == {
            "dataset": {"id": "dots", "size": [24, 24], "channels": 1, "augment": {"flip_horizontal": True}}
        }
        page.get_by_label("Horizontal flip").uncheck()
        page.get_by_label("Image size").fill("auto")
        assert spec_of(page)["dataset"] == {"id": "dots", "size": "auto", "channels": 1}


def test_a_problem_of_images_stands_at_its_field(visitor):
    with visitor.page() as page:
        page.goto("/page/new")
        choose(page, "dots")
        page.get_by_label("Image size").fill("4, 4")
        page.locator("#field-dataset-size-error").get_by_text("received 4").wait_for()
        page.get_by_label("Image size").fill("")
        page.get_by_label("Rotation").fill("400")
        page.locator("#field-dataset-augment-rotation-error").get_by_text("received 400").wait_for()
        page.get_by_label("Rotation").fill("")
        page.get_by_label("Kind", exact=True).select_option("application")
        page.locator("#model-error").get_by_text("MobileNetV2 needs images of at least 32 pixels").wait_for()
        assert page.get_by_role("button", name="Post job").is_disabled()
        page.get_by_label("Image size").fill("32, 32")
        page.get_by_text("ready to post").wait_for()
        assert spec_of(page)["model"] == {"kind": "application", "name": "MobileNetV2"}
        page.get_by_label("Network").select_option("ResNet50")
        page.locator("#check").get_by_text("ResNet50").wait_for()
        page.get_by_label("Trainable layers").fill("head")
        page.locator("#field-model-trainable-error").get_by_text("random weights would never be trained").wait_for()
        assert spec_of(page)["model"] == {"kind": "application", "name": "ResNet50", "trainable": "head"}
        page.get_by_label("Trainable layers").fill("12")
        assert spec_of(page)["model"]["trainable"] == 12


def test_the_model_follows_the_shape_of_the_arrays(visitor):
    with visitor.page() as page:
        page.goto("/page/new")
        choose(page, "moves")
        page.get_by_text("60 rows · 2 arrays").wait_for()
        page.get_by_text("ready to post").wait_for()
        assert page.get_by_label("Kind", exact=True).input_value() == "dense"
        page.get_by_label("Hidden layers").fill("8")
        page.locator("#check").get_by_text("dense 8").wait_for()
        choose(page, "frames")
        page.locator("#check").get_by_text("CNN 32 → 64 → 128").wait_for()
        assert spec_of(page) == {"dataset": {"id": "frames"}}


def test_another_kind_of_dataset_takes_what_it_does_not_have_out_of_the_spec(visitor):
    with visitor.page() as page:
        page.goto("/page/new")
        choose(page, "grades")
        page.get_by_label("Target").select_option("grade")
        page.get_by_label("Validation split").fill("0.3")
        page.get_by_label("Hidden layers").fill("8")
        page.get_by_label("Max epochs").fill("2")
        choose(page, "dots")
        page.get_by_text("ready to post").wait_for()
        assert spec_of(page) == {
            "dataset": {"id": "dots", "validation_fraction": 0.3},
            "hyperparameters": {"epochs": 2},
        }


def test_the_model_of_an_earlier_job_is_chosen_and_the_page_names_it(visitor):
    layers = [a_layer("Conv2D", filters=2, kernel_size=3), a_layer("GlobalAveragePooling2D"), a_layer("Dense", units=3)]
    config = a_model(*layers, shape=(None, 24, 20, 1))
    small = {**DOTS, "dataset": {"kind": "images", "id": "dots", "size": [24, 20], "channels": 1}, "name": "before"}
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("config.json", json.dumps(config))
    before = put_earlier_job(visitor.api.volume, {**small, "model": {"kind": "cnn", **FAST}}, content.getvalue())
    with visitor.page() as page:
        page.goto("/page/new")
        choose(page, "dots")
        page.get_by_label("Kind", exact=True).select_option("job")
        page.locator("#model-error").get_by_text("received").wait_for()
        page.locator(f"#model-job option[value={before.id}]").wait_for(state="attached")
        page.get_by_label("Earlier job").select_option(before.id)
        page.get_by_text("images of 24 × 20 × 1").wait_for()
        page.get_by_label("Trainable layers").fill("head")
        page.locator("#check").get_by_text("fine-tuned (head)").wait_for()
        assert spec_of(page)["model"] == {"kind": "job", "job": before.id, "trainable": "head"}
        page.get_by_label("Image size").fill("32, 32")
        page.locator("#model-error").get_by_text("its input takes rows of shape (24, 20, 1)").wait_for()
        page.get_by_label("Image size").fill("")
        page.get_by_role("button", name="Post job").click()
        page.wait_for_url("**/page/jobs/job_*")
        page.locator("#lineage").get_by_text(f"fine-tuned from {before.id} (epoch 2)").wait_for()
        visitor.api.ask("POST", f"/jobs/{page.url.rpartition('/')[2]}/cancel")


def test_a_keras_model_is_chosen_as_a_file(visitor, tmp_path):
    layers = [
        {"module": "keras.layers", "class_name": "InputLayer", "config": {"batch_shape": [None, 12], "name": "in"}},
        {
            "module": "keras.layers",
            "class_name": "Dense",
            "config": {"name": "out", "units": 3, "activation": "softmax"},
        },
    ]
    model = {"module": "keras", "class_name": "Sequential", "config": {"name": "small", "layers": layers}}
    (tmp_path / "model.json").write_text(json.dumps(model))
    with visitor.page() as page:
        page.goto("/page/new")
        choose(page, "moves")
        page.get_by_label("Kind", exact=True).select_option("keras")
        page.locator("#model-error").get_by_text("to_json()").wait_for()
        page.get_by_label("Model as JSON").set_input_files(tmp_path / "model.json")
        page.get_by_text("ready to post").wait_for()
        page.locator("#check").get_by_text("small, 2 layers").wait_for()
        assert spec_of(page)["model"] == {"kind": "keras", "config": model}
        page.get_by_role("button", name="Post job").click()
        page.wait_for_url("**/page/jobs/job_*")
        page.locator("#lineage").get_by_text("small, 2 layers · moves (arrays)").wait_for()
        job_id = page.url.rpartition("/")[2]
        visitor.api.ask("POST", f"/jobs/{job_id}/cancel")
        page.get_by_role("link", name="Copy to new job").click()
        page.get_by_text("ready to post").wait_for()
        page.locator("#fields").get_by_text("small, 2 layers").wait_for()
        assert spec_of(page)["model"]["config"] == model


def test_an_optimizer_with_arguments_stays_in_the_form(visitor):
    with visitor.page() as page:
        page.goto("/page/new")
        page.get_by_label("Optimizer", exact=True).wait_for()
        optimizer = {"name": "sgd", "momentum": 0.9}
        spec = {"dataset": {"id": "dots"}, "hyperparameters": {"optimizer": optimizer}}
        page.get_by_label("The job's spec as JSON").fill(json.dumps(spec))
        page.get_by_text("ready to post").wait_for()
        # When the dataset has been read, the fields for images replace those for a table.
        wait_for(lambda: page.get_by_label("Optimizer", exact=True).input_value() == "sgd", 10)
        assert page.get_by_label("Momentum").is_visible(), "arguments that are given are shown"
        assert page.get_by_label("Momentum").input_value() == "0.9"
        page.get_by_label("Optimizer", exact=True).select_option("adamw")
        assert spec_of(page)["hyperparameters"] == {"optimizer": "adamw"}


def test_a_zip_is_uploaded_from_the_form(visitor, tmp_path):
    (tmp_path / "Two Kinds.zip").write_bytes(
        zip_of({f"{one}/{at}.png": picture(at) for one in "ab" for at in range(5)})
    )
    with visitor.page() as page:
        page.goto("/page/new")
        page.locator("#file").set_input_files(tmp_path / "Two Kinds.zip")
        assert page.get_by_label("Id of the new data").input_value() == "two-kinds"
        page.get_by_role("button", name="Upload").click()
        page.get_by_text("two-kinds uploaded: 10 images").wait_for()
        page.get_by_text("10 images · 2 classes").wait_for()


@pytest.mark.parametrize(("size", "theme"), [(DESKTOP, "light"), (PHONE, "dark")])
def test_the_page_of_a_job_shows_images_of_its_dataset(visitor, size, theme):
    job = visitor.api.ask("POST", "/jobs", DOTS).json
    with visitor.page(size, theme) as page:
        page.goto(f"/page/jobs/{job['id']}")
        page.get_by_role("heading", name="Sample images").wait_for()
        wait_drawn(page)
        page.locator("#lineage").get_by_text("CNN 4 · dots: 16 × 16 × 3, 3 classes").wait_for()
        assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
        assert serious_faults(page) == []
    visitor.api.ask("POST", f"/jobs/{job['id']}/cancel")


def test_the_page_of_a_job_shows_no_images_of_a_dataset_that_was_replaced(visitor):
    contents = [zip_of({f"{one}/{at}.png": picture(at + more) for one in "ab" for at in range(5)}) for more in (0, 50)]
    assert visitor.api.ask("PUT", "/datasets/brief", contents[0]).status == 201
    job = visitor.api.ask("POST", "/jobs", {"dataset": {"id": "brief"}, "model": {"kind": "cnn", "filters": [4]}}).json
    visitor.api.ask("POST", f"/jobs/{job['id']}/cancel")
    wait_for(lambda: visitor.api.ask("DELETE", "/datasets/brief").status == 204, 60, saying="the dataset is deleted")
    with visitor.page() as page:
        page.goto(f"/page/jobs/{job['id']}")
        page.locator("#status", has_text="Cancelled").wait_for()
        page.locator("#explanation:not(:empty)").wait_for()
        assert not page.locator("#images").is_visible()
        visitor.api.ask("PUT", "/datasets/brief", contents[1])
        with page.expect_response("**/datasets/brief") as answer:
            page.reload()
        assert answer.value.status == 200
        page.locator("#explanation:not(:empty)").wait_for()
        assert not page.locator("#images").is_visible()


@pytest.mark.parametrize(("size", "theme"), [(DESKTOP, "dark"), (PHONE, "light")])
def test_the_form_of_images_is_for_everybody(visitor, size, theme):
    with visitor.page(size, theme) as page:
        page.goto("/page/new")
        choose(page, "dots")
        page.get_by_text("ready to post").wait_for()
        wait_drawn(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
        assert serious_faults(page) == []


def test_a_job_of_images_is_posted_from_the_form_and_trained(visitor, page_worker):
    with visitor.page() as page:
        page.goto("/page/new")
        choose(page, "dots")
        page.get_by_label("Filters").fill("4")
        page.get_by_label("Max epochs").fill("2")
        page.get_by_text("ready to post").wait_for()
        page.get_by_role("button", name="Post job").click()
        page.wait_for_url("**/page/jobs/job_*")
        job = over(visitor.api, page.url.rpartition("/")[2])
        assert (job["status"], job["spec"]["model"]["filters"]) == ("succeeded", [4])
        page.locator("#status", has_text="Succeeded").wait_for()
