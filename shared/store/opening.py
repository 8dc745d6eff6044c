"""The store at a place that a person names: a folder, or `s3://BUCKET/PREFIX`."""

import os
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from shared.store.address import parse_address
from shared.store.bucket import BucketStore
from shared.store.credentials import find_access, find_proxy
from shared.store.folder import FolderStore
from shared.store.interface import Store

if TYPE_CHECKING:
    from obstore.store import RetryConfig

# For a service: a request gives up before an attempt would count as lost because of it.
PATIENCE: "RetryConfig" = {"max_retries": 3, "retry_timeout": timedelta(seconds=4)}


def is_address(place: str) -> bool:
    """Whether `place` is an address rather than a folder."""
    return "://" in place


def open_store(place: str, environment: Mapping[str, str] = os.environ) -> Store:
    """Open the store at `place`. A bucket must exist; a folder need not. Raises BadName, StoreError."""
    return open_bucket(place, environment) if is_address(place) else FolderStore(Path(place).resolve())


def open_bucket(
    address: str, environment: Mapping[str, str] = os.environ, retries: "RetryConfig | None" = None
) -> BucketStore:
    """Open the existing bucket at `s3://BUCKET/PREFIX`. Raises BadName, StoreError. `retries` as for BucketStore."""
    bucket, prefix = parse_address(address)
    access = find_access(environment)
    proxy = find_proxy(environment, access.get("endpoint", "https://"))
    store = BucketStore(bucket, prefix, access, retries, proxy)
    store.check()
    return store
