"""Valid and hostile configurations of Keras models as `to_json` writes them, made without Keras."""

from copy import deepcopy
from typing import Any

Config = dict[str, Any]


def an_object(module: str | None, class_name: Any, config: Any = None, registered: Any = None, **more: Any) -> Config:
    """The configuration that Keras writes for an object."""
    return {"module": module, "class_name": class_name, "config": config or {}, "registered_name": registered, **more}


def a_layer(class_name: str, **config: Any) -> Config:
    """The configuration that Keras writes for one of its own layers."""
    return an_object("keras.layers", class_name, {"name": class_name.lower(), **config})


def a_model(*layers: Config, shape: Any = (None, 4), **config: Any) -> Config:
    """A sequential model with an input of that shape and the layers."""
    inputs = a_layer("InputLayer", batch_shape=list(shape), dtype="float32")
    return an_object("keras", "Sequential", {"name": "sent", "layers": [inputs, *layers], **config})


def a_dense(**config: Any) -> Config:
    """A model of one dense layer with these settings, by default with one sigmoid unit."""
    return a_model(a_layer("Dense", **{"units": 1, "activation": "sigmoid", **config}))


def _nested(depth: int) -> Config:
    model = a_dense()
    for _ in range(depth):
        model = a_model(model)
    return model


def _with(changed: Config, **change: Any) -> Config:
    return {**deepcopy(changed), **change}


_CODE = {"class_name": "__lambda__", "config": {"value": ["4wAAAA==", None, None]}}
_FUNCTION = an_object("builtins", "function", "relu", "function")
_SHELL = an_object("os", "function", "system", "system")

# By name: the configuration, and a part of the message that refuses it.
HOSTILE: dict[str, tuple[Config, str]] = {
    "a Lambda": (a_model(a_layer("Lambda", function=_CODE)), "keras.layers.Lambda"),
    "a Lambda that switches safe mode off": (
        a_model(_with(a_layer("Lambda", function=_CODE, safe_mode=False), safe_mode=False)),
        "keras.layers.Lambda",
    ),
    "marshalled code as activation": (a_dense(activation=_CODE), "__lambda__"),
    "a saved model of a file": (a_model(a_layer("TFSMLayer", filepath="/etc", call_endpoint="serve")), "TFSMLayer"),
    "a vocabulary of a file": (a_model(a_layer("StringLookup", vocabulary="/etc/passwd")), "StringLookup"),
    "a hashed vocabulary": (a_model(a_layer("IntegerLookup", vocabulary="/etc/passwd")), "IntegerLookup"),
    "texts": (a_model(a_layer("TextVectorization", vocabulary="/etc/passwd")), "TextVectorization"),
    "a layer of TorchModuleWrapper": (a_model(a_layer("TorchModuleWrapper", module="x")), "TorchModuleWrapper"),
    "a shell": (a_model(an_object("os", "system", {"command": "id"})), "os.system"),
    "a process": (a_model(an_object("subprocess", "Popen", {"args": ["id"]})), "subprocess.Popen"),
    "a download": (a_model(an_object("keras.utils", "get_file", {"origin": "http://x"})), "get_file"),
    "a loader of models": (a_model(an_object("keras.models", "load_model", {"filepath": "/x"})), "load_model"),
    "a switch of safe mode": (
        a_model(an_object("keras.config", "enable_unsafe_deserialization")),
        "enable_unsafe_deserialization",
    ),
    "a module inside Keras": (a_model(an_object("keras.src.layers.core.lambda_layer", "Lambda")), "Lambda"),
    "a layer under another module": (a_model(an_object("keras.src.layers", "Dense", {"units": 1})), "keras.src.layers"),
    "an application": (a_model(an_object("keras.applications", "ResNet50", {"weights": "imagenet"})), "ResNet50"),
    "a layer without a module": (a_model(an_object(None, "Dense", {"units": 1})), "names the class Dense"),
    "a dataset": (a_model(an_object("keras.datasets.mnist", "load_data")), "load_data"),
    "a registered name": (
        a_model(_with(a_layer("Dense", units=1), registered_name="builtins>eval")),
        "keras.layers.Dense",
    ),
    "a registered name of another class": (
        a_model(_with(a_layer("Dense", units=1), registered_name="Lambda")),
        "Dense",
    ),
    "a registered name that is a list": (a_model(_with(a_layer("Dense", units=1), registered_name=["x"])), "Dense"),
    "a custom layer": (a_model(an_object(None, "Mine", {}, "package>Mine")), "names the class Mine"),
    "a function as activation": (a_dense(activation=_FUNCTION), "builtins.function"),
    "a shell as activation": (a_dense(activation=_SHELL), "os.function"),
    "a shell as initializer": (a_dense(kernel_initializer=_SHELL), "os.function"),
    "a shell as regularizer": (a_dense(kernel_regularizer=_SHELL), "os.function"),
    "a shell as constraint": (a_dense(bias_constraint=_SHELL), "os.function"),
    "a shell as dtype": (a_dense(dtype=_SHELL), "os.function"),
    "an unknown activation by its name": (a_dense(activation="os.system"), 'received "os.system"'),
    "a private activation by its name": (a_dense(activation="__import__"), 'received "__import__"'),
    "an initializer that is none": (a_dense(kernel_initializer="Lambda"), 'received "Lambda"'),
    "an initializer of a file": (a_dense(kernel_initializer="/etc/passwd"), 'received "/etc/passwd"'),
    "a regularizer that is none": (a_dense(kernel_regularizer="dense"), 'received "dense"'),
    "a constraint that is none": (a_dense(kernel_constraint="eval"), 'received "eval"'),
    "a quantized dtype": (a_dense(dtype="int4_from_float32"), 'received "int4_from_float32"'),
    "texts as dtype": (a_dense(dtype="string"), 'received "string"'),
    "a policy of another dtype": (
        a_dense(dtype=an_object("keras", "DTypePolicy", {"name": "float8_from_float32"})),
        "float8_from_float32",
    ),
    "a policy without a name": (a_dense(dtype=an_object("keras", "DTypePolicy", {"name": ["x"]})), "the dtype policy"),
    "a quantized policy": (a_dense(dtype=an_object("keras", "QuantizedDTypePolicy", {})), "QuantizedDTypePolicy"),
    "an array": (a_dense(bias_initializer={"class_name": "__numpy__", "config": {"value": [1]}}), "__numpy__"),
    "a tensor": (a_dense(bias_initializer={"class_name": "__tensor__", "config": {"value": [1]}}), "__tensor__"),
    "bytes": (a_dense(activation={"class_name": "__bytes__", "config": {"value": "x"}}), "__bytes__"),
    "a slice": (a_dense(activation={"class_name": "__slice__", "config": {}}), "__slice__"),
    "a type": (
        a_dense(activation={"class_name": "__typespec__", "spec_name": "TensorSpec", "module": "x", "config": []}),
        "__typespec__",
    ),
    "two thousand million units": (a_dense(units=2_000_000_000), "received 2000000000"),
    "units as a float": (a_dense(units=1e9), "expected a whole number"),
    "a few units as a float": (a_dense(units=1.5), "expected a whole number"),
    "units that are not a number": (a_dense(units=float("nan")), "received nan"),
    "units without end": (a_dense(units=float("inf")), "received inf"),
    "units below zero": (a_dense(units=-(10**12)), "received -1000000000000"),
    "units of thousands of digits": (a_dense(units=10**5000), "received more than 1e30"),
    "filters": (a_model(a_layer("Conv1D", filters=10**8, kernel_size=3), shape=(None, 8, 1)), "received 100000000"),
    "a kernel": (a_model(a_layer("Conv1D", filters=1, kernel_size=[10**9]), shape=(None, 8, 1)), "received 1000000000"),
    "a kernel as a float": (
        a_model(a_layer("Conv1D", filters=1, kernel_size=[1e12]), shape=(None, 8, 1)),
        "received 1000000000000",
    ),
    "a vocabulary": (a_model(a_layer("Embedding", input_dim=10**10, output_dim=8)), "received 10000000000"),
    "repeated rows": (a_model(a_layer("RepeatVector", n=10**9)), "received 1000000000"),
    "padding": (a_model(a_layer("ZeroPadding1D", padding=[10**9, 10**9]), shape=(None, 8, 1)), "received 1000000000"),
    "a huge input": (a_model(a_layer("Flatten"), shape=(None, 100_000, 100_000)), "a shape of 10000000000 numbers"),
    "a shape that is a number": (a_dense(batch_shape=4), "a shape that is not a list"),
    "a shape that is a text": (a_dense(batch_shape="four"), "a shape that is not a list"),
    "a shape of floats": (a_model(a_layer("Flatten"), shape=(None, 1e6)), "a shape that is not a list"),
    "a shape of texts": (a_model(a_layer("Flatten"), shape=(None, "4")), "a shape that is not a list"),
    "a shape below zero": (a_model(a_layer("Flatten"), shape=(None, -4)), "a shape that is not a list"),
    "a huge reshaped row": (a_model(a_layer("Reshape", target_shape=[10**5, 10**5])), "a shape of 10000000000 numbers"),
    "unrolled steps": (a_model(a_layer("LSTM", units=1, unroll=True), shape=(None, 10**6, 1)), "unrolled"),
    "power iterations": (a_model(a_layer("SpectralNormalization", power_iterations=10**5)), "expected at most 100"),
    "a long name": (a_dense(name="x" * 10_000), "a text of 10000 characters"),
    "models in models": (_nested(40), "too deeply nested"),
    "many layers": (a_model(*[a_layer("Dense", units=1)] * 20_000), "too large"),
    "a list of a million": (a_dense(padding=[0] * 10**6), "too large"),
    "a class name that is a list": (
        a_model(_with(a_layer("Dense"), class_name=["Dense"])),
        "a value that is not text",
    ),
    "a class name that is an object": (a_model(_with(a_layer("Dense"), class_name={})), "a value that is not text"),
    "a module that is a list": (a_model(_with(a_layer("Dense"), module=["keras"])), "a value that is not text"),
    "a model whose class name is a list": (_with(a_dense(), class_name=["Sequential"]), "what Keras 3 writes"),
    "a model of one's own": (_with(a_dense(), class_name="Mine"), "what Keras 3 writes"),
    "a model of an older Keras": ({"class_name": "Sequential", "config": {"layers": []}}, "what Keras 3 writes"),
    "a model of another module": (_with(a_dense(), module="os"), "names the class os.Sequential"),
    "a model without layers": (_with(a_dense(), config={}), "what Keras 3 writes"),
    "layers that are a number": (_with(a_dense(), config={"layers": 7}), "what Keras 3 writes"),
    "layers that are texts": (_with(a_dense(), config={"layers": ["Dense"]}), "what Keras 3 writes"),
    "a configuration that is a text": (_with(a_dense(), config="Dense"), "what Keras 3 writes"),
    "a layer whose configuration is a text": (a_model({**a_layer("Dense"), "config": "x"}), "what Keras 3 writes"),
    "an empty object": ({}, "what Keras 3 writes"),
    "a lambda inside another model": (a_model(a_model(a_layer("Lambda", function=_CODE))), "keras.layers.Lambda"),
    "a lambda inside a wrapper": (a_model(a_layer("TimeDistributed", layer=a_layer("Lambda"))), "keras.layers.Lambda"),
    "a shell among a call's arguments": (
        a_model(_with(a_layer("Dense", units=1), inbound_nodes=[{"args": [_SHELL], "kwargs": {}}])),
        "os.function",
    ),
    "a download in an unused field": (
        a_model(_with(a_layer("Dense", units=1), extra=an_object("keras.utils", "get_file"))),
        "get_file",
    ),
}
