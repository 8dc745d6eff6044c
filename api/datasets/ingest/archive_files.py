"""Kinds of files in an archive of images: image, table of labels, left out, or not allowed."""

from pathlib import PurePosixPath
from typing import Literal

METADATA = "metadata.csv"
FileKind = Literal["image", "metadata", "system", "other"]

_SYSTEM_NAMES = frozenset({"thumbs.db", "desktop.ini", "__macosx"})
_IMAGE_ENDINGS = frozenset({".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".gif", ".bmp", ".dib", ".webp"})
_UNSUPPORTED_IMAGES = {
    ".heic": "HEIC",
    ".heif": "HEIF",
    ".avif": "AVIF",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".svg": "SVG",
    ".jp2": "JPEG 2000",
    ".jxl": "JPEG XL",
    ".psd": "Photoshop",
    ".ico": "icon",
    ".dcm": "DICOM",
    **dict.fromkeys((".dng", ".cr2", ".nef"), "raw"),
}
_ARCHIVE_ENDINGS = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar", ".zst", ".npz")
_IMAGE_HEADS = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a")
_ARCHIVE_HEADS = (
    b"PK\x03\x04",
    b"PK\x05\x06",
    b"\x1f\x8b",
    b"BZh",
    b"\xfd7zXZ",
    b"7z\xbc\xaf",
    b"Rar!",
    b"\x28\xb5\x2f\xfd",
)
_TAR_PLACE, _TAR_HEAD = 257, b"ustar"


def is_image_name(name: str) -> bool:
    """Whether the name has the ending of an image. The kind of other files follows from their first bytes."""
    return PurePosixPath(name).suffix.lower() in _IMAGE_ENDINGS


def wants_head(name: str) -> bool:
    """Whether the kind of the file follows from its first bytes."""
    return not (is_image_name(name) or _is_system(name))


def kind_of(name: str, head: bytes) -> FileKind:
    """The kind of the file with this name and these first bytes."""
    if _is_system(name):
        return "system"
    if is_image_name(name):
        return "image"
    if PurePosixPath(name).name.lower() == METADATA:
        return "metadata"
    return "image" if _begins_as_image(head) else "other"


def fault_of(name: str, head: bytes) -> str | None:
    """The reason to refuse an archive with this file; None if the file is accepted or left out."""
    if _is_system(name) or is_image_name(name):
        return None
    if name.lower().endswith(_ARCHIVE_ENDINGS) or head.startswith(_ARCHIVE_HEADS) or _begins_as_tar(head):
        return "is an archive inside the archive; unpack it first"
    unsupported = _UNSUPPORTED_IMAGES.get(PurePosixPath(name).suffix.lower())
    if unsupported is not None:
        return f"is a {unsupported} image, expected JPEG, PNG, GIF, BMP or WebP"
    return None


def _begins_as_image(head: bytes) -> bool:
    return head.startswith(_IMAGE_HEADS) or (head.startswith(b"RIFF") and head[8:12] == b"WEBP")


def _begins_as_tar(head: bytes) -> bool:
    return head[_TAR_PLACE:].startswith(_TAR_HEAD)


def _is_system(name: str) -> bool:
    return any(part.startswith(".") or part.lower() in _SYSTEM_NAMES for part in name.split("/"))
