"""A Keras model's configuration from outside: what is accepted, and what is refused before Keras sees it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.keras_config import check_config, input_shapes, layer_classes, without_extras
from shared.keras_names import CLASSES
from tests.support.keras_configs import HOSTILE, a_dense, a_layer, a_model, an_object


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_configuration_is_refused_with_a_sentence(name: str) -> None:
    config, words = HOSTILE[name]
    details = [problem.detail for problem in check_config(config)]
    assert any(words in detail for detail in details), details
    assert all(len(detail) < 900 for detail in details)


def test_the_problem_names_its_place() -> None:
    (problem,) = check_config(a_model(a_layer("Dense", units=10**9)))
    assert problem.place == ("config", "layers", 1, "config", "units")


def test_no_more_than_a_hundred_problems_are_listed() -> None:
    assert len(check_config(a_model(*[a_layer("Lambda")] * 500))) == 100


def test_what_keras_writes_beside_the_architecture_is_not_judged_and_is_dropped() -> None:
    beside = {
        "compile_config": {"optimizer": an_object("keras.optimizers", "Adam")},
        "build_config": {"input_shape": 7},
    }
    inner, outer = {**a_dense(), **beside}, a_model()
    outer = {**outer, **beside, "config": {**outer["config"], "layers": [*outer["config"]["layers"], inner]}}
    assert check_config(outer) == []
    assert without_extras(outer) == a_model(a_dense())


def test_a_field_of_that_name_that_is_no_extra_is_judged() -> None:
    config = a_dense(compile_config=an_object("os", "system"))
    assert [problem.detail for problem in check_config(config) if "os.system" in problem.detail]


def test_numbers_that_are_data_may_be_large() -> None:
    layer = a_layer("Normalization", axis=-1, mean=[4e12, 5_000_000_000, 1, 2], variance=[1e18, 1.5, 2, 3])
    assert check_config(a_model(layer)) == []


def test_the_layers_and_the_inputs_are_found_also_in_another_model() -> None:
    config = a_model(a_model(a_layer("Conv1D", filters=2, kernel_size=3), shape=(None, 6, 1)), shape=(None, 6, None))
    assert layer_classes(config) == {"InputLayer", "Conv1D"}
    assert input_shapes(config) == {"inputlayer": (6, None)}


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12), inner, max_size=3),
    max_leaves=8,
)
places = st.sampled_from(
    [
        "module",
        "class_name",
        "config",
        "registered_name",
        "layers",
        "name",
        "units",
        "dtype",
        "batch_shape",
        "activation",
    ]
)


@given(changes=st.lists(st.tuples(places, values), min_size=1, max_size=4), seed=st.randoms(use_true_random=False))
def test_any_change_is_judged_without_an_error_and_lets_no_other_class_through(changes: Any, seed: Any) -> None:
    config = a_dense(kernel_initializer=an_object("keras.initializers", "Zeros"))
    for name, value in changes:
        seed.choice(_objects(config))[name] = value
    if not check_config(config):
        layer_classes(config)
        input_shapes(config)
        for one in _objects(config):
            assert "class_name" not in one or one["class_name"] in CLASSES[one["module"]]


def _objects(value: Any) -> list[Any]:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [*([value] if isinstance(value, dict) else []), *(found for one in inner for found in _objects(one))]
