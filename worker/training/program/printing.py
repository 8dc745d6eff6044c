"""Writes a script's output to a log: only the last state of a progress bar, without colours; an epoch as one line."""

import re
import time
from typing import Any, TextIO

import keras

# Keras colours its progress bars even in files. Other escape sequences are kept, and shown as text.
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


class LastStates:
    """A text stream that writes only the last state of each line: the text after its last carriage return."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._line = ""

    def write(self, text: str) -> int:
        """Write the complete lines of `text`; keep the rest until its line is complete."""
        *whole, rest = (self._line + text).split("\n")
        # A carriage return at the end is kept: the next text replaces the line.
        self._line = _last_state(rest) + ("\r" if rest.endswith("\r") else "")
        if whole:
            self._stream.write("".join(f"{_last_state(line)}\n" for line in whole))
            self._stream.flush()
        return len(text)

    def flush(self) -> None:
        """Flush the complete lines. An unfinished line is kept, because it may still change."""
        self._stream.flush()

    def finish(self) -> None:
        """Write the last, unfinished line."""
        if self._line:
            self._stream.write(f"{_last_state(self._line)}\n")
            self._line = ""
        self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _last_state(line: str) -> str:
    kept = _COLOUR.sub("", line).replace("\b", "").rstrip("\r")
    return kept.rpartition("\r")[2]


class EpochLines(keras.callbacks.Callback):
    """Prints a line for each epoch, like Keras's `fit` with `verbose=2`."""

    def __init__(self, epochs: int, offset: int) -> None:
        super().__init__()
        self._epochs = epochs
        self._offset = offset
        self._began = 0.0

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002
        self._began = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        seconds = time.monotonic() - self._began
        values = " - ".join(f"{name}: {float(value):.4f}" for name, value in (logs or {}).items())
        number = epoch - self._offset + 1
        print(f"Epoch {number}/{self._epochs} - {seconds:.2f}s - {values}", flush=True)  # noqa: T201
