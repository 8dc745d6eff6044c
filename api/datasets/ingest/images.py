"""Stores images in `data.parquet`. Each is decoded once. If one is damaged, the whole upload is refused."""

import hashlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from api.archive.entries import show
from api.datasets.ingest.image_decode import BadImage, Decoded, decode
from api.datasets.ingest.image_files import ImageFile, ThumbnailFile
from api.datasets.ingest.image_labels import Label
from api.datasets.ingest.limits import ImageLimits
from shared.dataset import MOST_IMAGE_CLASSES, ImageClass, ImagesProfile
from shared.problems import MOST_PROBLEMS, Problem, Refused, at_most_shown, list_names, pointer

MOST_NAMES_LEFT_OUT = 100
_PARTS = {"": "unsplit", "train": "train", "validation": "validation", "test": "test"}
_PART_NUMBERS = {split: number for number, split in enumerate(_PARTS)}
# The stored part of a SHA-256: two different images do not have the same one by chance.
_DIGEST_BYTES = 16


@dataclass(frozen=True)
class ImageItem:
    """One image of an upload: its path, its label and its encoded bytes."""

    path: str
    label: Label
    content: bytes


@dataclass
class Images:
    """The counts and the problems of the images so far. `sizes`: lowest and highest width, then height, in pixels."""

    limits: ImageLimits
    problems: list[Problem] = field(default_factory=list)
    broken: int = 0
    rows: int = 0
    bytes: int = 0
    channels: Counter[str] = field(default_factory=Counter)
    classes: Counter[tuple[str, str]] = field(default_factory=Counter)
    sizes: list[int] = field(default_factory=list)
    notes: Counter[str] = field(default_factory=Counter)
    _digests: bytearray = field(default_factory=bytearray)
    _parts: bytearray = field(default_factory=bytearray)

    def refuse(self, path: str, detail: str, code: str) -> None:
        """Add the problem of an image, or only count it if there are MOST_PROBLEMS already."""
        self.broken += 1
        if self.broken <= MOST_PROBLEMS:
            self.problems.append(Problem(pointer("files", show(path)), detail, code))

    def add(self, item: ImageItem) -> Decoded | None:
        """Decode and count an image. Return None if it is refused, and add the reason to the problems."""
        self.bytes += len(item.content)
        try:
            decoded = decode(item.content, self.limits.image_pixels)
        except BadImage as error:
            self.refuse(item.path, str(error), "bad_image")
            return None
        self.rows += 1
        self.classes[item.label.name, item.label.split] += 1
        self.channels[str(decoded.channels)] += 1
        self._widen(decoded)
        self.notes.update(_notes(decoded))
        self._digests += hashlib.sha256(item.content).digest()[:_DIGEST_BYTES]
        self._parts.append(_PART_NUMBERS[item.label.split])
        return decoded

    def profile(self) -> ImagesProfile:
        """The profile of all images. Raises Refused with all problems."""
        self._raise_problems()
        duplicates, in_both = self._count_duplicates()
        return ImagesProfile(
            classes=tuple(self._class(name) for name in sorted(self._class_names())),
            width=(self.sizes[0], self.sizes[1]),
            height=(self.sizes[2], self.sizes[3]),
            channels=dict(sorted(self.channels.items())),
            duplicates=duplicates,
            in_train_and_validation=in_both,
        )

    def _raise_problems(self) -> None:
        problems = [*self.problems, *self._problems_of_all()]
        if problems:
            raise Refused(at_most_shown(problems, max(0, self.broken - MOST_PROBLEMS)))

    def _problems_of_all(self) -> list[Problem]:
        """The problems of the images together. If some were refused, only the number of classes is checked."""
        names = self._class_names()
        if len(names) > MOST_IMAGE_CLASSES:
            detail = f"has {len(names)} classes, expected at most {MOST_IMAGE_CLASSES}"
            return [Problem("#", detail, "too_many_classes")]
        if self.problems:
            return []
        if len(names) < 2:
            found = f"has one class, {list_names([show(name) for name in names])}" if names else "has no image"
            return [Problem("#", f"{found}; expected two classes or more", "one_class")]
        if not any(split in {"", "train"} for _, split in self.classes):
            return [Problem("#", "has no image to train on: all are in validation or test", "no_training_images")]
        return []

    def _class_names(self) -> set[str]:
        return {name for name, _ in self.classes}

    def _class(self, name: str) -> ImageClass:
        return ImageClass(name=name, **{part: self.classes[name, split] for split, part in _PARTS.items()})

    def _widen(self, one: Decoded) -> None:
        low_width, high_width, low_height, high_height = self.sizes or (one.width, one.width, one.height, one.height)
        self.sizes = [
            *(min(low_width, one.width), max(high_width, one.width)),
            *(min(low_height, one.height), max(high_height, one.height)),
        ]

    def _count_duplicates(self) -> tuple[int, int]:
        """The number of images with the same bytes as another, and of those that are in both train and validation."""
        digests = np.frombuffer(self._digests, dtype=f"V{_DIGEST_BYTES}")
        parts = np.frombuffer(self._parts, dtype=np.uint8)
        _, groups, counts = np.unique(digests, return_inverse=True, return_counts=True)
        train, validation = (
            np.bincount(groups[parts == _PART_NUMBERS[part]], minlength=len(counts)) for part in ("train", "validation")
        )
        in_both = (train > 0) & (validation > 0)
        return int(counts[counts > 1].sum()), int((train + validation)[in_both].sum())


def _notes(one: Decoded) -> list[str]:
    """The text of a warning for each property that a model will not see."""
    found = {
        "animations, of which only the first frame is used": one.is_animated,
        "images with 16 bits per channel, reduced to 8": one.is_deep,
    }
    return [note for note, is_so in found.items() if is_so]


def store_images(items: Iterable[ImageItem], images: Images, folder: Path) -> dict[str, Any]:
    """Write `data.parquet` and `thumbnails.parquet`; return the facts. Raises Refused with every problem."""
    with ImageFile(folder / "data.parquet") as data, ThumbnailFile(folder / "thumbnails.parquet") as thumbnails:
        for item in items:
            decoded = images.add(item)
            if decoded is not None and not images.problems:
                data.add(item.path, item.label, item.content, decoded)
                thumbnails.add(item.path, item.label, decoded)
        profile = images.profile()
    return {
        "kind": "images",
        "data_sha256": data.sha256(),
        "rows": images.rows,
        "images": profile.model_dump(mode="json"),
        "warnings": _warnings(images, profile),
    }


def _warnings(images: Images, profile: ImagesProfile) -> list[str]:
    found = [f"{note}: {count}" for note, count in sorted(images.notes.items())]
    if profile.duplicates:
        found.append(f"duplicate images: {profile.duplicates}")
    if profile.in_train_and_validation:
        both = "images that are in both train and validation, so the validation metrics are too good"
        found.append(f"{both}: {profile.in_train_and_validation}")
    untrained = [show(one.name) for one in profile.classes if not one.train and not one.unsplit]
    if untrained:
        found.append(f"classes without an image to train on: {list_names(untrained, 10)}")
    return found
