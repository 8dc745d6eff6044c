"""The data and the model of a call: arrays as an npz written while it is sent, the model as JSON and weights."""

import io
import json
import subprocess
import sys
import tracemalloc

import keras
import numpy as np
import pandas as pd
import pytest

from fitstop.errors import CannotSend
from fitstop.fitting.arrays import FitData, read_arrays
from fitstop.fitting.model import build_model, input_names, read_model, saved_weights
from fitstop.fitting.npz import ArraysUpload
from fitstop.fitting.problems import Problems
from shared.keras_config import check_config
from shared.settings import Settings
from tests.support.ingesting import run_ingest

X, Y = np.arange(24.0).reshape(8, 3), np.array([0, 1] * 4)


def read(x=X, y=Y, names=("x",), **more):
    problems = Problems()
    found = read_arrays(FitData(x, y, input_names=names, **more), problems)
    problems.stop()
    return found


def refused(*data, **more):
    with pytest.raises(CannotSend) as told:
        read(*data, **more)
    return told.value.problems


def packed(arrays):
    return b"".join(ArraysUpload(arrays).pieces())


def test_the_last_rows_are_the_validation_part_as_in_keras():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    for fraction in (0.1, 0.25, 0.33, 0.5, 0.8):
        found = read(validation_split=fraction)
        assert np.array_equal(np.concatenate([found["x"], found["x_validation"]]), X)
        cut = len(found["x"])
        kept = model.fit(X, Y, validation_split=fraction, batch_size=1, verbose=0)
        assert (cut, len(Y) - cut) == (kept.params["steps"], len(found["y_validation"]))


def test_arrays_are_views_of_what_was_given():
    found = read(validation_split=0.25)
    assert np.shares_memory(found["x"], X)
    assert np.shares_memory(found["x_validation"], X)


def test_frames_lists_and_tensors_are_arrays():
    import tensorflow as tf

    frame = pd.DataFrame(X, columns=["a", "b", "c"])
    for x, y in ((frame, pd.Series(Y)), (X.tolist(), Y.tolist()), (tf.constant(X), tf.constant(Y))):
        found = read(x, y, validation_data=(x, y))
        assert np.array_equal(found["x"], X)
        assert np.array_equal(found["y_validation"], Y)


def test_weights_of_classes_are_weights_of_rows_and_those_of_validation_stay_its_own():
    found = read(class_weight={0: 2.0, 1: 0.5}, validation_split=0.5)
    assert found["sample_weight"].tolist() == [2.0, 0.5] * 2
    assert "sample_weight_validation" not in found
    one_hot = np.eye(3)[[0, 1, 2, 1]]
    found = read(X[:4], one_hot, class_weight={1: 3.0}, validation_data=(X[:4], one_hot, np.ones(4)))
    assert found["sample_weight"].tolist() == [1.0, 3.0, 1.0, 3.0]
    assert found["sample_weight_validation"].tolist() == [1.0] * 4
    assert read(sample_weight=Y, validation_split=0.5)["sample_weight_validation"].tolist() == Y[4:].tolist()


@pytest.mark.parametrize(
    ("name", "given", "wanted"),
    [
        ("x", X[:4].astype(np.float32), np.float64),
        ("x", X[:4].astype(np.int64), np.float64),
        ("y", Y[:4].astype(np.int32), np.int64),
        ("y", Y[:4, None], np.int64),
        ("y", np.array([0.5, 1.0, 0.0, 1.0]), np.float64),
    ],
)
def test_validation_data_is_of_the_type_and_shape_of_the_training_data_where_nothing_is_lost(name, given, wanted):
    arrays = {"x": X[:4], "y": Y[:4], name: given}
    found = read(validation_data=(arrays["x"], arrays["y"]))[f"{name}_validation"]
    assert found.dtype == wanted
    assert found.shape == (X[:4] if name == "x" else Y[:4]).shape
    assert np.array_equal(found, given.reshape(found.shape))


def test_targets_in_a_column_take_validation_targets_in_a_row():
    found = read(X, Y[:, None].astype(np.int32), validation_data=(X[:4], np.array([0, 1, 2**40, 1])))
    assert (found["y_validation"].shape, found["y_validation"].dtype) == ((4, 1), np.int64), "2**40 is no int32"


def test_several_inputs_go_by_the_models_own_names():
    names = ("left", "right")
    for x in ({"right": X[:, 2:], "left": X[:, :2]}, [X[:, :2], X[:, 2:]]):
        found = read(x, names=names, validation_split=0.5)
        assert {name: one.shape for name, one in found.items()} == {
            "left": (4, 2), "right": (4, 1), "y": (4,),
            "left_validation": (4, 2), "right_validation": (4, 1), "y_validation": (4,),
        }  # fmt: skip
    assert "the model has the inputs left, right" in refused(X, Y, names=names, validation_split=0.5)[0]
    assert "needs another name" in refused([X, X], Y, names=("y", "z"), validation_split=0.5)[0]


class Batches(keras.utils.PyDataset):
    def __len__(self):
        return 1

    def __getitem__(self, index):
        return X, Y


def test_what_is_no_array_is_named():
    import tensorflow as tf

    assert refused(tf.data.Dataset.from_tensors((X, Y)), Y)[0].startswith("x is a tf.data dataset")
    assert refused(Batches(), Y)[0].startswith("x is a PyDataset (Batches)")
    assert refused(iter([X]), Y)[0].startswith("x is of the type list_iterator")
    assert refused(np.array([["a"] * 3] * 8), Y)[0].startswith("x is an array of <U1")
    assert refused(X, None)[0] == "y is missing, expected an array"
    assert refused(X, Y[:4])[0].startswith("the arrays have different numbers of rows")
    assert refused(X, Y)[0].startswith("there is no validation data")
    assert refused(X, Y, validation_data=X)[0].startswith("validation_data is of the type ndarray")
    assert refused(X, Y, class_weight={0: 1}, sample_weight=Y, validation_split=0.5)[0].startswith("both class_weight")


def test_the_npz_is_one_that_numpy_reads_with_floats_of_32_bits():
    arrays = {
        "x": np.asfortranarray(X),
        "strided": X[::2, ::-1],
        "y": Y,
        "flags": Y > 0,
        "half": X.astype(np.float16),
        "big": Y.astype(">i4"),
        "bytes": Y.astype(np.uint8),
    }
    content = packed(arrays)
    with np.load(io.BytesIO(content)) as loaded:
        for name, one in arrays.items():
            np.testing.assert_array_equal(loaded[name], one)
        assert {name: loaded[name].dtype.name for name in loaded} == {
            "x": "float32", "strided": "float32", "y": "int64", "flags": "bool", "half": "float16", "big": "int32",
            "bytes": "uint8",
        }  # fmt: skip
    upload = ArraysUpload(arrays)
    assert upload.size == len(content)
    sent = []
    list(upload.pieces(lambda done, all_: sent.append((done, all_))))
    assert sent[-1] == (len(content), len(content))


def test_the_same_numbers_have_the_same_name_and_others_another():
    first = ArraysUpload(read(validation_split=0.5)).sha256
    assert ArraysUpload(read(X.copy(), Y.copy(), validation_split=0.5)).sha256 == first
    assert ArraysUpload(read(np.asfortranarray(X), Y, validation_split=0.5)).sha256 == first
    changed = X.copy()
    changed[7, 2] += 1
    assert ArraysUpload(read(changed, Y, validation_split=0.5)).sha256 != first


def test_the_service_takes_the_npz(tmp_path):
    (tmp_path / "upload").write_bytes(packed(read(validation_split=0.25, sample_weight=Y)))
    facts = run_ingest(tmp_path, format="npz")["facts"]
    assert {(one["name"], one["part"], tuple(one["shape"])) for one in facts["arrays"]} == {
        ("x", "training", (6, 3)), ("x", "validation", (2, 3)), ("y", "training", (6,)), ("y", "validation", (2,)),
        ("sample_weight", "training", (6,)), ("sample_weight", "validation", (2,)),
    }  # fmt: skip


def test_sending_makes_no_second_copy():
    large = np.zeros((200_000, 64))
    upload = ArraysUpload({"x": large, "y": np.zeros(200_000, np.int32)})
    tracemalloc.start()
    try:
        assert upload.size > 50_000_000
        for _ in upload.pieces():
            pass
        assert tracemalloc.get_traced_memory()[1] < 40_000_000
    finally:
        tracemalloc.stop()


def test_a_model_without_an_input_is_built_as_fit_would():
    keras.utils.set_random_seed(1)
    first = keras.Sequential([keras.layers.Dense(2, activation="relu"), keras.layers.Dense(1)])
    build_model(first, X)
    keras.utils.set_random_seed(1)
    other = keras.Sequential([keras.layers.Dense(2, activation="relu"), keras.layers.Dense(1)])
    other.compile("sgd", "mse")
    other.evaluate(X, Y, verbose=0)
    for a, b in zip(first.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    config = read_model(first, Problems())
    assert check_config(config) == []
    assert keras.models.model_from_json(json.dumps(config)).count_params() == first.count_params()


def test_the_file_of_the_weights_has_the_same_hash_for_the_same_weights():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    with saved_weights(model) as (path, first):
        assert path.name == "model.weights.h5"
    with saved_weights(model) as (_, again):
        assert again == first
    assert not path.exists()
    model.layers[0].bias.assign([1.0])
    with saved_weights(model) as (_, other):
        assert other != first


@keras.saving.register_keras_serializable()
class Registered(keras.layers.Layer):
    def call(self, x):
        return x


class Subclass(keras.Model):
    def call(self, x):
        return x


def own_activation(x):
    return x


def refused_model(model):
    problems = Problems()
    assert read_model(model, problems) == {} or problems
    with pytest.raises(CannotSend) as told:
        problems.stop()
    return told.value.problems


def test_layers_of_ones_own_are_named_wherever_they_are():
    inner = keras.Sequential([keras.Input((3,)), Registered(name="deep")], name="inner")
    layers = [Registered(name="first"), keras.layers.Lambda(own_activation, name="code"), inner]
    layers += [keras.layers.Dense(1, activation=own_activation, name="last")]
    problems = refused_model(keras.Sequential([keras.Input((3,)), *layers]))
    assert [one.split('"')[1] for one in problems] == ["first", "code", "deep", "last"]
    assert "your own activation own_activation" in problems[-1]


def test_a_subclass_and_several_outputs_are_named():
    assert "of the class Subclass" in refused_model(Subclass())[0]
    inputs = keras.Input((3,))
    two = keras.Model(inputs, [keras.layers.Dense(1)(inputs), keras.layers.Dense(2)(inputs)])
    assert refused_model(two) == ("the model has 2 outputs; models with one output can be sent",)


def test_functions_of_ones_own_in_the_configuration_are_named():
    def own_start(shape, dtype=None):
        return keras.ops.zeros(shape, dtype)

    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1, kernel_initializer=own_start)])
    assert "own_start" in refused_model(model)[0]


def test_inputs_have_their_names():
    a, b = keras.Input((3,), name="a"), keras.Input((2,), name="b")
    model = keras.Model([a, b], keras.layers.Dense(1)(keras.layers.Concatenate()([a, b])))
    assert list(input_names(model)) == ["a", "b"]
    assert list(input_names(keras.Sequential([keras.Input((3,), name="rows"), keras.layers.Dense(1)]))) == ["x"]


def test_the_package_loads_neither_numpy_nor_keras():
    code = "import sys, fitstop; print(sorted({'numpy', 'keras', 'tensorflow', 'IPython', 'h5py'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_deep_network_of_keras_fits_into_a_job():
    network = keras.applications.DenseNet121(weights=None, input_shape=(96, 96, 3), classes=10)
    config = read_model(network, Problems())
    assert check_config(config) == []
    size = len(json.dumps(config, separators=(",", ":")))
    assert 256 * 1024 < size < Settings().max_job_bytes // 2
