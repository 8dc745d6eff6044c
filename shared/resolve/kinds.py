"""The kinds of a job's dataset and model, if the posted spec does not state them."""

from typing import Any

from shared.dataset import DatasetInfo

# Rows, height, width and channels.
_IMAGE_RANK = 4


def fill_in_kinds(document: dict[str, Any], known: DatasetInfo | None) -> dict[str, Any]:
    """The document of a job with both kinds filled in if its dataset is `known`; else unchanged."""
    asked, model = document.get("dataset"), document.get("model", {})
    if known is None or not isinstance(asked, dict):
        return document
    filled = {**document, "dataset": {"kind": known.kind, **asked}}
    usual = "job" if names_earlier(document) else _usual_model(known)
    return {**filled, "model": {"kind": usual, **model}} if isinstance(model, dict) else filled


def names_earlier(document: dict[str, Any]) -> bool:
    """Whether a spec, before its validation, names a job whose model it starts from."""
    model = document.get("model")
    return isinstance(model, dict) and "job" in model


def _usual_model(data: DatasetInfo) -> str:
    """The default kind of a model: `cnn` for images, also in an array, else `dense`."""
    inputs = [one for one in data.arrays if one.role == "input" and one.part == "training"]
    is_image_array = len(inputs) == 1 and len(inputs[0].shape) == _IMAGE_RANK
    return "cnn" if data.kind == "images" or is_image_array else "dense"
