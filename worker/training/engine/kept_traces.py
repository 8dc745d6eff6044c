"""Stores traces for later jobs: the TensorFlow functions that result from tracing a model's Python code.

Tracing the programs of a small job takes longer than all of its epochs, and a job with the same model and data of the
same shapes gets the same functions. They are in the store of the compiled programs, which never returns a file with a
wrong digest. Their name is a hash of everything that a trace depends on, and of the source of this program. A captured
variable is stored as its position in the model.

The job that traces also runs the stored form of its functions. So both jobs have the same function names, without line
numbers of Python code, and XLA finds its compiled programs for both.
"""

import hashlib
import json
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

# A private name: nothing public runs a function without tracing it. A test pins it.
from tensorflow.python.eager import context

from shared.job import EnginePlan, JobRecord
from shared.spec import CnnSpec, DenseSpec
from worker.ipc.kept_programs import STORE_VARIABLE
from worker.ipc.program_store import put_content, read, remove
from worker.training.data.rows import Data
from worker.training.engine.plan import device

# Settings that do not change a trace: values that are in variables, and the number of epochs.
_IN_VARIABLES = {"epochs", "learning_rate", "seed"}
# The variables that TensorFlow and Keras read. XLA reads its own after the trace.
_FLAGS = ("TF_", "KERAS_")
_OF_PROGRAM = Path(__file__).parents[1]

log = logging.getLogger(__name__)


def _digest_of_source() -> str:
    digest = hashlib.sha256(sys.version.encode())
    for file in sorted(_OF_PROGRAM.rglob("*.py")):
        digest.update(file.read_bytes())
    return digest.hexdigest()


# Computed once for all training processes, because the fork server imports this module.
_SOURCE = _digest_of_source()


def name_traces(record: JobRecord, model: keras.Model, data: Data, plan: EnginePlan) -> str | None:
    """The name of the job's traces in the store, if its data is one block; None if its traces are not stored.

    They are not stored without a store, on a GPU, with image augmentation, or for models whose configuration does not
    determine the trace.
    """
    is_known = isinstance(record.data_spec.model, DenseSpec | CnnSpec) and not data.train.augment
    if STORE_VARIABLE not in os.environ or not is_known or device() != "CPU":
        return None
    key = {
        "source": _SOURCE,
        "flags": sorted(one for one in os.environ.items() if one[0].startswith(_FLAGS) and one[0] != "TF_XLA_FLAGS"),
        "model": record.data_spec.model.model_dump(mode="json"),
        "hyperparameters": record.data_spec.hyperparameters.model_dump(mode="json", exclude=_IN_VARIABLES),
        "variables": [list(variable.shape) for variable in model.variables],
        "task": record.data_task.kind,
        "plan": plan.model_dump(mode="json", exclude={"reason"}),
        "parts": [
            [len(part), list(part.inputs), [[list(one.shape[1:]), one.dtype.str] for one in part.arrays]]
            for part in (data.train, data.validation)
        ],
    }
    return f"traces-{hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()}"


def find_traces(name: str) -> bytes | None:
    """The stored traces of that name; None if there are none, or the store cannot be read."""
    try:
        content = read(Path(os.environ[STORE_VARIABLE]), name)
    except OSError as error:
        log.warning("the traces of earlier jobs are not used: %s", error)
        return None
    return None if content is None else bytes(content)


def store_traces(name: str, content: bytes) -> None:
    """Store traces for later jobs. If that fails, a later job traces again."""
    try:
        put_content(Path(os.environ[STORE_VARIABLE]), name, content)
    except OSError as error:
        log.warning("traces are not stored: %s", error)


def forget_traces(name: str) -> None:
    """Remove stored traces, so that later jobs trace again: they may be the cause of a failure."""
    remove(Path(os.environ[STORE_VARIABLE]), name)


def pack_traces(name: str, model: keras.Model, traced: Mapping[str, Any]) -> bytes | None:
    """Serialize the concrete functions of a job's programs; None if one has captured more than the model's variables.

    The first line is JSON: for each program its function, the positions of the captured variables, and the structure
    of the outputs. A GraphDef with these functions and all functions that they call follows.
    """
    places = {id(handle): place for place, handle in enumerate(_handles(model))}
    functions: dict[str, Any] = {}
    programs = {}
    for program, concrete in traced.items():
        captured = [places.get(id(one)) for one in concrete.captured_inputs]
        if None in captured:
            log.info("the traces are not stored: %s has captured a tensor that is not a variable of the model", program)
            return None
        main = concrete.function_def
        functions |= {one.signature.name: one for one in (main, *concrete.graph.as_graph_def().library.function)}
        outputs = tf.nest.map_structure(lambda _: None, concrete.structured_outputs)
        programs[program] = [_new_name(name, main.signature.name), captured, outputs]
    library = tf.compat.v1.GraphDef()
    library.library.function.extend(functions.values())
    for function in library.library.function:
        _rename(function, {one: _new_name(name, one) for one in functions})
    return json.dumps(programs).encode() + b"\n" + library.SerializeToString()


def unpack_traces(content: bytes, model: keras.Model) -> dict[str, "KeptProgram"]:
    """The programs of `pack_traces`, bound to the variables of `model`."""
    programs, _, packed = content.partition(b"\n")
    functions = {one.signature.name: one for one in tf.compat.v1.GraphDef.FromString(packed).library.function}
    runtime = context.context()
    for name, function in functions.items():
        if not runtime.has_function(name):
            runtime.add_function_def(function)
    handles = _handles(model)
    return {
        program: KeptProgram(functions[name].signature, [handles[place] for place in captured], outputs)
        for program, (name, captured, outputs) in json.loads(programs).items()
    }


class KeptProgram:
    """A stored program; called in the same way as the function that was traced."""

    def __init__(self, signature: Any, captured: Sequence[Any], outputs: Any) -> None:
        self._name = signature.name.encode()
        arguments = signature.input_arg[: len(signature.input_arg) - len(captured)]
        self._dtypes = [tf.as_dtype(one.type) for one in arguments]
        self._captured = captured
        self._outputs = outputs
        self._count = len(signature.output_arg)

    def __call__(self, *arguments: Any) -> Any:
        pairs = zip(tf.nest.flatten(arguments), self._dtypes, strict=True)
        tensors = [tf.convert_to_tensor(one, dtype) for one, dtype in pairs]
        found = context.context().call_function(self._name, [*tensors, *self._captured], self._count)
        return tf.nest.pack_sequence_as(self._outputs, found)


def _handles(model: keras.Model) -> list[Any]:
    """The handles of all variables that the programs read and write, in the same order for the same spec."""
    variables = [*model.variables, *model.optimizer.variables, *model.metrics_variables]
    return [variable.value.handle for variable in variables]


def _new_name(name: str, function: str) -> str:
    """A name that no function traced by this process has."""
    return f"{name[:16]}_{function}".replace("-", "_")


def _rename(function: Any, names: Mapping[str, str]) -> None:
    """Rename a function, and the functions that it calls."""
    function.signature.name = names[function.signature.name]
    for node in function.node_def:
        node.op = names.get(node.op, node.op)
        for attribute in node.attr.values():
            for called in (attribute.func, *attribute.list.func):
                # Assigning the name of an attribute that is not a function would make it one.
                if called.name in names:
                    called.name = names[called.name]
