"""The batches of an epoch as blocks on the device: tensors of shape (batches, rows of a batch, …).

Either all rows stay on the device and are put into the epoch's order there, or the rows of each block are gathered from
memory-mapped files while the previous block trains. Both give the same batches.
"""

import tempfile
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from shared.storage import at_path
from worker.training.data.augment import Changes
from worker.training.data.rows import Part
from worker.training.engine.programs import Specs, Tensors

# For errors of an unnamed file: after a failure its space is free again, so only the folder can be checked.
_TEMPORARY = Path("/tmp")  # noqa: S108

Order = npt.NDArray[np.int32]


class Blocks(Protocol):
    """The rows of one epoch: `full_batches` batches in blocks of `batches_per_block`, and a tail of fewer rows.

    A block is a tuple of tensors, the arguments of `Part.batch`, each of shape (batches, rows of a batch, …). The last
    block may have fewer batches than its shape. The tail is the last, partial batch.
    """

    full_batches: int
    batches_per_block: int

    @property
    def specs(self) -> Specs:
        """The shapes and types of a block."""

    @property
    def tail_specs(self) -> Specs:
        """The same for the tail; empty if there is none."""

    def begin(self, order: Order | None, changes: Changes) -> None:
        """Start an epoch: the order of all rows (None: as stored), and the augmentation of each row."""

    def block(self, index: int) -> Tensors:
        """Block number `index` (from 0) of the current epoch; filled with zeros after the last full batch."""

    def tail(self) -> Tensors | None:
        """The rows after the last full batch, each tensor of shape (rows, …); None if there are none."""


def blocks_of(part: Part, batch_size: int, device_bytes: int) -> Blocks:
    """The rows of `part` as blocks, on the device if they and their ordered copy fit into `device_bytes`."""
    if 2 * part.nbytes <= device_bytes:
        return ResidentBlocks(part, batch_size)
    # Two blocks are on the device at once: the current one and the next.
    return StreamedBlocks(part, batch_size, device_bytes // 2)


class ResidentBlocks:
    """All rows on the device; one block is the whole epoch."""

    def __init__(self, part: Part, batch_size: int) -> None:
        self._rows = tuple(tf.constant(array) for array in part.take(slice(None)))
        self._one_row = part.take_changed(np.arange(1), part.draw(0, 0))
        self._batch_size = batch_size
        self.full_batches = self.batches_per_block = len(part) // batch_size
        self._arranged = tf.function(self._arrange, autograph=False)
        self._ordered: Tensors = ()
        self._tail: Tensors | None = None
        self._has_stored_order = False

    @property
    def specs(self) -> Specs:
        return _specs(self.full_batches, self._batch_size, self._one_row)

    @property
    def tail_specs(self) -> Specs:
        return _tail_specs(len(self._rows[0]) % self._batch_size, self._one_row)

    def begin(self, order: Order | None, changes: Changes) -> None:
        if order is None and self._has_stored_order:
            return
        self._has_stored_order = order is None
        order = np.arange(len(self._rows[0]), dtype="i4") if order is None else order
        self._ordered, tail = self._arranged(*map(tf.constant, (order, changes.numbers, changes.partners)))
        self._tail = tail or None

    def block(self, index: int) -> Tensors:
        if index:
            raise IndexError(index)
        return self._ordered

    def tail(self) -> Tensors | None:
        return self._tail

    def _arrange(self, order: tf.Tensor, numbers: tf.Tensor, partners: tf.Tensor) -> tuple[Tensors, Tensors]:
        rows = gather_changed(self._rows, order, tf.gather(numbers, order), tf.gather(partners, order))
        full = self.full_batches * self._batch_size
        block = tuple(tf.reshape(one[:full], (self.full_batches, self._batch_size, *one.shape[1:])) for one in rows)
        return block, tuple(one[full:] for one in rows) if order.shape[0] > full else ()


class StreamedBlocks:
    """Rows in memory-mapped files. A thread gathers the next block and copies it to the device during training."""

    def __init__(self, part: Part, batch_size: int, block_bytes: int) -> None:
        self._part = on_disk(part)
        self._batch_size = batch_size
        self.full_batches = len(part) // batch_size
        batch_bytes = max(1, part.nbytes // len(part) * batch_size)
        self.batches_per_block = max(1, min(self.full_batches, block_bytes // batch_bytes))
        self._order: Order = np.arange(len(part), dtype="i4")
        self._changes = part.draw(0, 0)
        self._thread = ThreadPoolExecutor(1, "blocks")
        self._next: tuple[int, Future[Tensors]] | None = None

    @property
    def specs(self) -> Specs:
        one_row = self._part.take_changed(np.arange(1), self._changes)
        return _specs(self.batches_per_block, self._batch_size, one_row)

    @property
    def tail_specs(self) -> Specs:
        one_row = self._part.take_changed(np.arange(1), self._changes)
        return _tail_specs(len(self._part) % self._batch_size, one_row)

    def begin(self, order: Order | None, changes: Changes) -> None:
        self._changes = changes
        self._order = np.arange(len(self._part), dtype="i4") if order is None else order
        self._next = None

    def block(self, index: int) -> Tensors:
        ready, self._next = self._next, None
        tensors = ready[1].result() if ready and ready[0] == index else self._gather(self._order, self._changes, index)
        if (index + 1) * self.batches_per_block < self.full_batches:
            self._next = index + 1, self._thread.submit(self._gather, self._order, self._changes, index + 1)
        return tensors

    def tail(self) -> Tensors | None:
        rows = self._order[self.full_batches * self._batch_size :]
        return tuple(map(tf.constant, self._part.take_changed(rows, self._changes))) if len(rows) else None

    def _gather(self, order: Order, changes: Changes, index: int) -> Tensors:
        begin = index * self.batches_per_block * self._batch_size
        end = min(begin + self.batches_per_block * self._batch_size, self.full_batches * self._batch_size)
        tensors = []
        for one, spec in zip(self._part.take_changed(order[begin:end], changes), self.specs, strict=True):
            block = np.zeros(spec.shape, one.dtype)
            block.reshape(-1, *one.shape[1:])[: end - begin] = one
            tensors.append(tf.constant(block))
        return tuple(tensors)


def gather_changed(arrays: Tensors, rows: tf.Tensor, numbers: tf.Tensor, partners: tf.Tensor) -> Tensors:
    """The same as `Part.take_changed`, in TensorFlow: from tensors of all rows, and the augmentation of `rows`."""
    taken = [tf.gather(one, which) for which in (rows, *tf.unstack(partners, axis=1)) for one in arrays]
    return (*taken, numbers) if numbers.shape[1] else tuple(taken)


def on_disk(part: Part) -> Part:
    """The same part with every array in a memory-mapped file, so that the system can free the memory of its pages."""
    inputs = {name: memory_mapped(one) for name, one in part.inputs.items()}
    weights = None if part.weights is None else memory_mapped(part.weights)
    return replace(part, inputs=inputs, targets=memory_mapped(part.targets), weights=weights)


def memory_mapped(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """A copy of `array` in an unnamed temporary file; the same array if it is memory-mapped already."""
    if isinstance(array, np.memmap):
        return array
    with at_path(_TEMPORARY), tempfile.TemporaryFile(prefix="fitstop-") as file:
        file.write(np.ascontiguousarray(array).data)
        file.flush()
        return np.memmap(file, array.dtype, "r", shape=array.shape)


def _specs(batches: int, batch_size: int, rows: Sequence[Any]) -> Specs:
    """The specs of tensors, or of tensor specs, that hold all rows."""
    return tuple(tf.TensorSpec((batches, batch_size, *one.shape[1:]), one.dtype) for one in rows)


def _tail_specs(rows: int, one_row: Sequence[Any]) -> Specs:
    return tuple(tf.TensorSpec((rows, *one.shape[1:]), one.dtype) for one in one_row) if rows else ()
