"""`inference.json`: what a program that predicts needs in addition to the model and its preprocessing."""

from importlib.metadata import PackageNotFoundError, version

from shared.durable import encode, replace_file
from shared.inference import InferenceFacts
from shared.job_folder import AttemptFolder
from worker.training.data.rows import Data

# The two builds of TensorFlow contain the same package; a prediction needs one of them.
_PACKAGES = {
    "keras": ("keras",),
    "numpy": ("numpy",),
    "pandas": ("pandas",),
    "pillow": ("pillow",),
    "pyarrow": ("pyarrow",),
    "scikit-learn": ("scikit-learn",),
    "skops": ("skops",),
    "tensorflow": ("tensorflow", "tensorflow-cpu"),
}


def write_inference_facts(attempt: AttemptFolder, data: Data) -> None:
    """Write the classes in the order of the model's outputs, and the versions of the libraries that train it."""
    versions = {name: _version(names) for name, names in _PACKAGES.items()}
    found = {name: number for name, number in versions.items() if number}
    facts = InferenceFacts(classes=None if data.classes is None else tuple(data.classes), versions=found)
    replace_file(attempt.inference_file, encode(facts.model_dump(mode="json")))


def _version(names: tuple[str, ...]) -> str | None:
    for name in names:
        try:
            return version(name)
        except PackageNotFoundError:
            continue
    return None
