"""A dense network starts from the weights that its seed has always given."""

import keras
import numpy as np

from shared.job import JobRecord
from shared.resolve import resolve
from shared.spec import JobSpec
from shared.times import utc_now
from shared.validation import validate
from shared.volume import Volume
from tests.support.jobs import learnable_frame, put_dataset, small_spec
from worker.training.data.rows import Data, Part
from worker.training.models.build import build_model


def test_the_first_weights_are_those_of_the_same_layers_in_plain_keras(tmp_path):
    info = put_dataset(Volume(tmp_path / "volume"), learnable_frame())
    spec = small_spec(model={"layers": [8, 4]}, hyperparameters={"seed": 7})
    resolved = resolve(validate(JobSpec, spec), info)
    record = JobRecord(
        id="job_01M8J000000000000000000000", created_at=utc_now(), data_sha256=info.data_sha256, warnings=(),
        spec=resolved.spec, task=resolved.task,
    )  # fmt: skip
    part = Part({"x": np.zeros((2, 5), np.float32)}, np.zeros((2, 1), np.float32))
    ours = build_model(record, Data(part, part))

    keras.utils.set_random_seed(7)
    layers = [keras.layers.Dense(8), keras.layers.Dense(4), keras.layers.Dense(1)]
    plain = keras.Sequential([keras.Input((5,)), *layers])
    for mine, theirs in zip(ours.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)
