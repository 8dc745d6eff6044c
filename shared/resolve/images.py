"""Checks of images: their classes, their size, and their parts."""

from math import prod

from shared.dataset import DatasetInfo, ImagesProfile
from shared.findings import Findings
from shared.resolve.judged import JudgedData, asked_kind
from shared.resolve.split import judge_split
from shared.spec import ImagesSpec, JobSpec
from shared.task import MOST_CLASSES, TaskKind

_USUAL_SIZE = (224, 224)


def judge_images(asked: JobSpec, spec: ImagesSpec, data: DatasetInfo, found: Findings) -> JudgedData:
    """Report every problem of the images and of their part of the spec."""
    profile = data.images
    assert profile is not None
    spec = _fill_in(spec, profile)
    classes = profile.class_names
    kind = _kind(asked, len(classes), found)
    training_rows = _judge_parts(spec, profile, found)
    return JudgedData(
        spec=spec,
        kind=kind,
        classes=classes,
        outputs=len(classes) if kind == "multiclass" else 1,
        inputs={"image": spec.shape} if found.is_sure("dataset/size", "dataset/channels") else {},
        features=prod(spec.shape),
        training_rows=training_rows,
    )


def _fill_in(spec: ImagesSpec, profile: ImagesProfile) -> ImagesSpec:
    """The spec with its size and channels filled in."""
    has_one_size = profile.width[0] == profile.width[1] and profile.height[0] == profile.height[1]
    own = (profile.height[0], profile.width[0])
    fits = has_one_size and all(8 <= one <= 1024 for one in own)
    size = (own if fits else _USUAL_SIZE) if spec.size == "auto" else spec.size
    channels = (1 if set(profile.channels) == {"1"} else 3) if spec.channels == "auto" else spec.channels
    return spec.model_copy(update={"size": size, "channels": channels})


def _kind(asked: JobSpec, classes: int, found: Findings) -> TaskKind | None:
    kind = asked_kind(asked, found)
    suits = {"binary": classes == 2, "multiclass": 2 <= classes <= MOST_CLASSES, "regression": False}
    if classes > MOST_CLASSES:
        detail = f"holds {classes} classes, expected at most {MOST_CLASSES}"
        found.problem(("dataset", "id"), detail, "too_many_classes")
        return None
    if kind is not None and not suits[kind]:
        detail = f'received "{asked.hyperparameters.loss_name}"; the images have {classes} classes'
        found.problem(("hyperparameters", "loss"), detail, "loss_does_not_fit")
        return None
    if kind is None and found.is_sure("hyperparameters/loss"):
        return "binary" if classes == 2 else "multiclass"
    return kind


def _judge_parts(spec: ImagesSpec, profile: ImagesProfile, found: Findings) -> int:
    """Report problems of the parts, and return the number of training images."""
    to_split = [one.unsplit + one.train for one in profile.classes]
    has_validation, has_test = (any(getattr(one, name) for one in profile.classes) for name in ("validation", "test"))
    rows = judge_split(spec, sum(to_split), to_split, found, has_validation=has_validation, has_test=has_test)
    if not has_validation:
        return rows
    if profile.in_train_and_validation:
        found.warn(
            f"{profile.in_train_and_validation} images are in the training part and in the validation part: "
            "the validation metrics are too good"
        )
    absent = [one.name for one, rows in zip(profile.classes, to_split, strict=True) if not rows]
    if absent:
        found.problem(("dataset", "id"), f'its training part has no image of "{absent[0]}"', "empty_class")
    return rows
