"""The address of a bucket, as a person writes it: `s3://BUCKET/PREFIX`."""

from urllib.parse import urlsplit

from shared.store.interface import BadName, check_name


def parse_address(address: str) -> tuple[str, str]:
    """The bucket and the prefix, which may be empty. Raises BadName."""
    parts = urlsplit(address)
    if parts.scheme != "s3" or not parts.netloc or "@" in parts.netloc or parts.query or parts.fragment:
        raise BadName(f"{_without_secrets(address)} is not a bucket: expected s3://BUCKET or s3://BUCKET/PREFIX")
    prefix = parts.path.strip("/")
    if prefix:
        check_name(prefix)
    return parts.netloc, prefix


def _without_secrets(address: str) -> str:
    """An address that may be shown: without a key before an `@` or after a `?`."""
    scheme, _, rest = address.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2].partition('?')[0]}"
