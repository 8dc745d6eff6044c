"""Resolving images, arrays and their models: the values that are filled in, and each refusal with its sentence."""

from typing import Any

import pytest

from shared.dataset import ArrayProfile, DatasetInfo, ImageClass, ImagesProfile, ValueCount
from shared.problems import Refused
from shared.resolve import Resolved, resolve
from shared.spec import JobSpec
from shared.times import utc_now
from shared.validation import validate
from tests.support.keras_configs import HOSTILE, a_dense, a_layer, a_model

_FIRST: dict[str, Any] = {
    "id": "data", "created_at": utc_now(), "source_name": None, "sha256": "0" * 64, "bytes": 1, "data_sha256": "0" * 64,
}  # fmt: skip
IMAGES, ARRAYS = {"kind": "images", "id": "data"}, {"kind": "arrays", "id": "data"}
CNN, DENSE = {"kind": "cnn", "filters": [8, 8, 8]}, {"kind": "dense"}


def images(classes: int = 3, rows: int = 20, size: tuple[int, int] = (32, 32), **more: Any) -> DatasetInfo:
    width = more.pop("width", (size[0], size[0]))
    profile = ImagesProfile(
        classes=more.pop("own", tuple(ImageClass(name=f"c{number:05}", unsplit=rows) for number in range(classes))),
        width=width,
        height=(size[1], size[1]),
        channels=more.pop("channels", {"3": classes * rows}),
        duplicates=0,
        in_train_and_validation=more.pop("both", 0),
    )
    return DatasetInfo(**_FIRST, kind="images", source_format="zip", rows=classes * rows, images=profile)


def array(
    name: str, *row: int, dtype: str = "float32", high: float = 1, low: float = 0, rows: int = 100
) -> ArrayProfile:
    is_class = name == "y" and dtype.startswith(("int", "uint", "bool")) and high < 100
    values = tuple(ValueCount(value=one, rows=rows // 2) for one in range(int(high) + 1)) if is_class else None
    return ArrayProfile(
        name=name,
        role="target" if name == "y" else "input",
        part="training",
        shape=(rows, *row),
        dtype=dtype,
        minimum=low,
        maximum=high,
        values=values,
    )


def arrays(*profiles: ArrayProfile) -> DatasetInfo:
    return DatasetInfo(**_FIRST, kind="arrays", source_format="npz", rows=100, arrays=profiles)


def judged(data: DatasetInfo, **parts: Any) -> Resolved:
    return resolve(validate(JobSpec, {"dataset": IMAGES if data.images else ARRAYS, **parts}), data)


def refusals(data: DatasetInfo, **parts: Any) -> dict[str, str]:
    with pytest.raises(Refused) as refused:
        judged(data, **parts)
    return {problem.pointer: problem.detail for problem in refused.value.problems}


CLASSES = array("y", dtype="int64", high=9)
FLAGS = array("y", dtype="uint8", high=1)
FLAT, SQUARE = array("x", 6), array("x", 32, 32, 1)


# Images


def test_what_is_open_of_images_follows_from_them() -> None:
    found = judged(images(), model=CNN)
    assert found.spec.dataset.shape == (32, 32, 3)  # type: ignore[union-attr]
    assert (found.task.kind, found.task.classes) == ("multiclass", ("c00000", "c00001", "c00002"))
    assert found.spec.hyperparameters.loss_name == "sparse_categorical_crossentropy"
    assert judged(images(2), model=CNN).task.kind == "binary"
    grey = judged(images(channels={"1": 60}), model=CNN).spec.dataset
    assert grey.channels == 1  # type: ignore[union-attr]
    several = judged(images(width=(30, 90)), model=CNN).spec.dataset
    assert several.size == (224, 224)  # type: ignore[union-attr]
    assert judged(images(size=(2000, 2000)), model=CNN).spec.dataset.size == (224, 224)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("data", "parts", "pointer", "words"),
    [
        (
            images(size=(9, 9)),
            {"model": {"kind": "cnn", "filters": [2] * 4}},
            "#/model/kind",
            "4 blocks need images of at least 16 pixels",
        ),
        (
            images(),
            {"model": {"kind": "application", "name": "Xception"}},
            "#/model/kind",
            "Xception needs images of at least 71 pixels",
        ),
        (
            images(size=(31, 99)),
            {"model": {"kind": "application", "name": "ResNet50"}},
            "#/model/kind",
            "at least 32 pixels",
        ),
        (
            images(channels={"1": 60}),
            {"model": {"kind": "application", "name": "ResNet50"}},
            "#/model/kind",
            "images of 3 channels",
        ),
        (images(), {"model": DENSE}, "#/model/kind", '"cnn" takes images'),
        (
            images(),
            {"model": CNN, "hyperparameters": {"loss": "binary_crossentropy"}},
            "#/hyperparameters/loss",
            "the images have 3 classes",
        ),
        (
            images(),
            {"model": CNN, "hyperparameters": {"loss": "huber"}},
            "#/hyperparameters/loss",
            "the images have 3 classes",
        ),
        (
            images(2),
            {"model": CNN, "hyperparameters": {"metrics": ["mae"]}},
            "#/hyperparameters/metrics/0",
            'received "mae"',
        ),
        (images(1001, 2), {"model": CNN}, "#/dataset/id", "1001 classes, expected at most 1000"),
        (images(3, 1), {"model": CNN}, "#/dataset/stratify", "a class has only one row"),
        (
            images(3, 3),
            {"model": CNN, "dataset": {**IMAGES, "validation_fraction": 0.1}},
            "#/dataset/stratify",
            "1 rows for 3 classes",
        ),
        (images(), {"model": CNN, "dataset": ARRAYS}, "#/dataset/kind", 'the dataset "data" is of kind "images"'),
        (images(), {"model": CNN, "dataset": {"id": "data", "target": "y"}}, "#/dataset/kind", 'is of kind "images"'),
        (
            images(own=(ImageClass(name="a", validation=5), ImageClass(name="b", train=5, validation=5)), classes=2),
            {"model": CNN},
            "#/dataset/id",
            'its training part has no image of "a"',
        ),
        (
            images(),
            {"model": {"kind": "cnn", "filters": [2048] * 4}},
            "#/model/filters",
            "parameters, expected at most",
        ),
    ],
)
def test_images_that_cannot_be_trained_on_are_refused(
    data: DatasetInfo, parts: dict[str, Any], pointer: str, words: str
) -> None:
    assert words in refusals(data, **parts)[pointer]


def test_a_warning_says_what_an_own_validation_part_makes_of_the_split() -> None:
    own = tuple(ImageClass(name=name, train=8, validation=2) for name in "ab")
    found = judged(images(2, own=own, both=3), model=CNN, dataset={**IMAGES, "validation_fraction": 0.3})
    assert any("3 images are in the training part and in the validation part" in one for one in found.warnings)
    assert any("validation_fraction is not used" in one for one in found.warnings)


def test_a_test_part_leaves_fewer_images_to_train_on_and_an_own_one_is_used_instead() -> None:
    data = images(2, 50)
    assert judged(data, model=CNN, dataset={**IMAGES, "test_fraction": 0.2}).spec.dataset.test_fraction == 0.2
    own = tuple(ImageClass(name=name, unsplit=20, test=2) for name in "ab")
    found = judged(images(2, own=own), model=CNN, dataset={**IMAGES, "test_fraction": 0.3})
    assert any("test_fraction is not used: the dataset has a test part of its own" in one for one in found.warnings)
    assert not any("test_fraction" in one for one in judged(images(2, own=own), model=CNN).warnings)


@pytest.mark.parametrize(
    ("data", "dataset", "pointer", "words"),
    [
        (
            images(2, 2),
            {**IMAGES, "stratify": False, "test_fraction": 0.9},
            "#/dataset/test_fraction",
            "received 0.9: of 4 rows 0 are left to train on, 0 to validate on and 4 to test on; each needs one",
        ),
        (
            images(own=tuple(ImageClass(name=name, unsplit=rows) for name, rows in (("a", 40), ("b", 40), ("c", 2)))),
            {**IMAGES, "test_fraction": 0.5},
            "#/dataset/stratify",
            "after the test part is split off",
        ),
    ],
)
def test_a_test_part_that_leaves_too_little_is_refused_at_the_post(
    data: DatasetInfo, dataset: dict[str, Any], pointer: str, words: str
) -> None:
    assert words in refusals(data, model=CNN, dataset=dataset)[pointer]


# Arrays


@pytest.mark.parametrize(
    ("target", "kind", "loss"),
    [
        (CLASSES, "multiclass", "sparse_categorical_crossentropy"),
        (FLAGS, "binary", "binary_crossentropy"),
        (array("y", dtype="bool"), "binary", "binary_crossentropy"),
        (array("y", 1, dtype="int8", high=4), "multiclass", "sparse_categorical_crossentropy"),
        (array("y"), "regression", "mean_squared_error"),
        (array("y", 3), "regression", "mean_squared_error"),
        (array("y", dtype="int64", low=-1), "regression", "mean_squared_error"),
        (array("y", dtype="int64", high=5000), "regression", "mean_squared_error"),
    ],
)
def test_the_task_follows_from_the_target(target: ArrayProfile, kind: str, loss: str) -> None:
    found = judged(arrays(FLAT, target), model=DENSE)
    assert (found.task.kind, found.spec.hyperparameters.loss_name) == (kind, loss)


def test_one_hot_rows_are_classes_where_the_loss_says_so() -> None:
    found = judged(
        arrays(FLAT, array("y", 4, dtype="uint8")), model=DENSE, hyperparameters={"loss": "categorical_crossentropy"}
    )
    assert (found.task.kind, found.task.classes) == ("multiclass", (0, 1, 2, 3))


@pytest.mark.parametrize(
    ("data", "parts", "pointer", "words"),
    [
        (
            arrays(FLAT, array("y", 3, 3)),
            {"model": DENSE},
            "#/dataset/id",
            "y of shape (100, 3, 3); expected (rows,), or (rows, outputs)",
        ),
        (
            arrays(FLAT, array("y")),
            {"model": DENSE, "hyperparameters": {"loss": "sparse_categorical_crossentropy"}},
            "#/hyperparameters/loss",
            "classes are whole numbers from 0 to 999; y is float32",
        ),
        (
            arrays(FLAT, CLASSES),
            {"model": DENSE, "hyperparameters": {"loss": "binary_crossentropy"}},
            "#/hyperparameters/loss",
            "two classes are 0 and 1",
        ),
        (
            arrays(FLAT, array("y", 4)),
            {"model": DENSE, "hyperparameters": {"loss": "sparse_categorical_crossentropy"}},
            "#/hyperparameters/loss",
            'one-hot rows take "categorical_crossentropy"',
        ),
        (
            arrays(FLAT, array("y", 4, high=9)),
            {"model": DENSE, "hyperparameters": {"loss": "categorical_crossentropy"}},
            "#/hyperparameters/loss",
            "holds more than class numbers",
        ),
        (
            arrays(FLAT, array("y")),
            {"model": DENSE, "hyperparameters": {"class_weight": "balanced"}},
            "#/hyperparameters/class_weight",
            "a regression has no classes to balance",
        ),
        (
            arrays(FLAT, array("y")),
            {"model": DENSE, "dataset": {**ARRAYS, "stratify": True}},
            "#/dataset/stratify",
            "no listed classes to stratify by",
        ),
        (
            arrays(FLAT, array("b", 2), CLASSES),
            {"model": DENSE},
            "#/model/kind",
            "the data has x, b: send a Keras model",
        ),
        (
            arrays(FLAT, CLASSES),
            {"model": CNN},
            "#/model/kind",
            "takes images of (height, width, channels); a row of the data has the shape (6,)",
        ),
        (
            arrays(SQUARE, CLASSES),
            {"model": DENSE},
            "#/model/kind",
            '"cnn" takes images; a row of the data has the shape (32, 32, 1)',
        ),
        (arrays(SQUARE, CLASSES), {"model": {"kind": "application", "name": "ResNet50"}}, "#/model/kind", "3 channels"),
        (arrays(FLAT, CLASSES), {"dataset": IMAGES, "model": CNN}, "#/dataset/kind", 'is of kind "arrays"'),
        (
            arrays(FLAT, CLASSES),
            {"model": {"kind": "keras", "config": a_dense()}},
            "#/model/config",
            "its input takes rows of shape (4,); those of the data have (6,)",
        ),
        (
            arrays(FLAT, array("b", 2), CLASSES),
            {"model": {"kind": "keras", "config": a_dense()}},
            "#/model/config",
            "has the inputs inputlayer; the data has x, b",
        ),
    ],
)
def test_arrays_that_cannot_be_trained_on_are_refused(
    data: DatasetInfo, parts: dict[str, Any], pointer: str, words: str
) -> None:
    assert words in refusals(data, **parts)[pointer]


def test_a_model_of_ones_own_takes_any_length_and_any_name_of_the_only_input() -> None:
    config = a_model(a_layer("GlobalMaxPooling1D"), shape=(None, None, 6))
    assert judged(arrays(array("x", 50, 6), CLASSES), model={"kind": "keras", "config": config}).task.parameters is None


# The API's JSON parser refuses a number with thousands of digits.
@pytest.mark.parametrize("name", sorted(set(HOSTILE) - {"units of thousands of digits"}))
def test_a_hostile_model_is_refused_when_it_is_posted(name: str) -> None:
    config, words = HOSTILE[name]
    found = refusals(arrays(FLAT, CLASSES), model={"kind": "keras", "config": config})
    assert any(pointer.startswith("#/model/config") and words in detail for pointer, detail in found.items())


# Optimizers and losses


@pytest.mark.parametrize(
    ("part", "words"),
    [
        (
            {"optimizer": {"name": "adam", "momentum": 0.9}},
            "adam does not take momentum; it takes beta_1, beta_2, epsilon, amsgrad, weight_decay",
        ),
        (
            {"optimizer": {"name": "sgd", "rho": 0.9, "centered": True}},
            "sgd does not take rho, centered; it takes momentum, nesterov",
        ),
        ({"optimizer": {"name": "sgd", "clipnorm": 1, "clipvalue": 1}}, "give one of clipnorm, clipvalue"),
        ({"optimizer": {"name": "sgd", "momentum": 1}}, "momentum"),
        ({"optimizer": {"name": "ftrl"}}, "optimizer"),
        ({"loss": {"name": "huber", "gamma": 2}}, "huber does not take gamma; it takes delta"),
        ({"loss": {"name": "poisson", "delta": 2}}, "poisson does not take delta; it takes no arguments"),
        (
            {"loss": {"name": "sparse_categorical_crossentropy", "label_smoothing": 0.1}},
            "does not take label_smoothing; it takes from_logits",
        ),
        ({"loss": {"name": "categorical_crossentropy", "label_smoothing": 1}}, "label_smoothing"),
    ],
)
def test_arguments_that_are_not_taken_are_named_with_those_that_are(part: dict[str, Any], words: str) -> None:
    with pytest.raises(Refused) as refused:
        validate(JobSpec, {"dataset": ARRAYS, "model": DENSE, "hyperparameters": part})
    text = " ".join(f"{problem.pointer} {problem.detail}" for problem in refused.value.problems)
    assert words in text


MIXUP = {"dataset": {**IMAGES, "augment": {"mixup": 0.2}}}


@pytest.mark.parametrize(("classes", "loss"), [(3, "categorical_crossentropy"), (2, "binary_crossentropy")])
def test_mixup_takes_a_loss_of_shares_by_itself(classes: int, loss: str) -> None:
    assert judged(images(classes), model=CNN, **MIXUP).spec.hyperparameters.loss == loss


def test_mixup_refuses_a_loss_of_class_numbers_and_names_those_that_fit() -> None:
    asked = {"loss": "sparse_categorical_crossentropy"}
    found = refusals(images(), model=CNN, hyperparameters=asked, **MIXUP)
    detail = found["#/hyperparameters/loss"]
    assert "two classes: use categorical_crossentropy or categorical_focal_crossentropy" in detail
    focal = {"loss": {"name": "categorical_focal_crossentropy", "gamma": 1.0}}
    assert (
        judged(images(), model=CNN, hyperparameters=focal, **MIXUP).spec.hyperparameters.loss_name
        == focal["loss"]["name"]
    )
    assert judged(images(), model=CNN, hyperparameters=asked).spec.hyperparameters.loss == asked["loss"]
