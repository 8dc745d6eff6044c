"""Bodies that are the most costly to check: as many wrong values as the limits allow, each as costly as possible."""

import json
from collections.abc import Callable

from api.http.strict_json import MOST_VALUES

_TABLE = '"dataset":{"id":"grades","target":"grade"}'
_LONG = "epochs_batch_size_learning_rate" * 2


def filled(head: str, item: Callable[[int], str], tail: str, most_bytes: int) -> bytes:
    """`head`, as many items as the limits allow, and `tail`."""
    parts: list[str] = []
    left = most_bytes - len(head) - len(tail)
    while len(parts) < MOST_VALUES - 4 and (left := left - len(item(len(parts))) - 1) >= 0:
        parts.append(item(len(parts)))
    return (head + ",".join(parts) + tail).encode()


def worst_bodies(most_bytes: int) -> dict[str, bytes]:
    """The bodies, each below both limits, by description."""

    def of(head: str, item: Callable[[int], str], tail: str) -> bytes:
        return filled(head, item, tail, most_bytes)

    half = most_bytes // 2
    return {
        "unknown fields": of("{", lambda n: f'"f{n}":1', "}"),
        "unknown fields like a known one": of("{", lambda n: f'"epochz{n:05d}":1', "}"),
        "unknown fields of 64 characters": of("{", lambda n: f'"{_LONG[:58]}{n:06d}":1', "}"),
        "unknown hyperparameters": of(f'{{{_TABLE},"hyperparameters":{{', lambda n: f'"epoch{n}":1', "}}"),
        "layers that are texts": of(f'{{{_TABLE},"model":{{"layers":[', lambda _: '"x"', "]}}"),
        "layers that are too small": of(f'{{{_TABLE},"model":{{"layers":[', lambda _: "0", "]}}"),
        "metrics": of(f'{{{_TABLE},"hyperparameters":{{"metrics":[', lambda _: '"acc"', "]}}"),
        "metadata": of(f'{{{_TABLE},"metadata":{{', lambda n: f'"k{n}":1', "}}"),
        "columns that are not there": of(
            '{"dataset":{"id":"wide","target":"x","drop_columns":[', lambda n: f'"column_{n}_{"y" * 48}"', "]}}"
        ),
        "categories that are not there": of(
            '{"dataset":{"id":"wide","target":"x","categorical_columns":[', lambda n: f'"c{n}"', "]}}"
        ),
        "halves of characters": of('{"dataset":[', lambda _: '"\\ud800"', "]}"),
        "lists in lists": of('{"dataset":[', lambda _: "[" * 28 + "]" * 28, "]}"),
        "one name again and again": of("{", lambda _: '"a":1', "}"),
        "quotes": b'{"a":"' + b'\\"' * (half - 8) + b'"}',
        "a text without end": b'{"a":"' + b"\\\\" * (half - 8),
        "brackets": b"[{" * 14 + b"]" * (most_bytes - 100),
        "digits": b'{"a":' + b"1" * (most_bytes - 20) + b"}",
        "a long name": json.dumps({"name": "x" * (most_bytes - 100)}).encode(),
    }
