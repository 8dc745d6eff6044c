"""Checks of networks of `keras.applications`."""

import pytest

from shared.dataset import DatasetInfo, ImageClass, ImagesProfile
from shared.problems import Refused
from shared.resolve import resolve
from shared.spec import JobSpec
from shared.times import utc_now
from shared.validation import validate

CLASSES = tuple(ImageClass(name=name, unsplit=20) for name in ("cat", "dog"))
PROFILE = ImagesProfile(
    classes=CLASSES, width=(64, 64), height=(64, 64), channels={"3": 40}, duplicates=0, in_train_and_validation=0
)
PETS = DatasetInfo(
    id="pets", kind="images", created_at=utc_now(), source_name=None, source_format="zip", sha256="0" * 64, bytes=1,
    data_sha256="0" * 64, rows=40, images=PROFILE,
)  # fmt: skip


def judged(**model):
    whole = {"dataset": {"kind": "images", "id": "pets"}, "model": {"kind": "application", "name": "ResNet50", **model}}
    return resolve(validate(JobSpec, whole), PETS)


@pytest.mark.parametrize("trainable", ["head", 10])
def test_layers_with_random_weights_are_trained(trainable):
    with pytest.raises(Refused) as caught:
        judged(trainable=trainable)
    (problem,) = caught.value.problems
    assert (problem.pointer, problem.code) == ("#/model/trainable", "untrained_layers")
    assert judged(trainable=trainable, weights="resnet50").task.parameters is None


def test_the_images_are_large_enough_for_the_network():
    with pytest.raises(Refused) as caught:
        judged(name="Xception")
    assert "at least 71 pixels" in caught.value.problems[0].detail
