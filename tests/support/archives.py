"""Small images and the archives that hold them, good and bad ones."""

import io
import tarfile
import zipfile

import numpy as np
from PIL import Image


def picture(seed=0, size=(8, 6), kind="PNG", mode="RGB", **options):
    """The bytes of a small image of noise; `size` is width and height."""
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    content = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(content, kind, **options)
    return content.getvalue()


def class_folders(count=2, prefix="", seed=0, names=("cat", "dog")):
    """The files of one folder for each class, with `count` images in each, all different."""
    return {
        f"{prefix}{name}/{number}.png": picture(seed + 100 * at + number)
        for at, name in enumerate(names)
        for number in range(count)
    }


def zip_of(files, method=zipfile.ZIP_STORED):
    """A zip of these files: names, or ZipInfo, and their bytes. It has no times, so equal files give equal zips."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, data in files.items() if isinstance(files, dict) else files:
            entry = name if isinstance(name, zipfile.ZipInfo) else zipfile.ZipInfo(name)
            archive.writestr(entry, data, method)
    return content.getvalue()


def tar_of(files, mode="w", **options):
    """A tar of these files: names, or TarInfo, and their bytes."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode=mode, **options) as archive:
        for name, data in files.items() if isinstance(files, dict) else files:
            member = name if isinstance(name, tarfile.TarInfo) else tarfile.TarInfo(name)
            member.size = member.size or len(data)
            archive.addfile(member, io.BytesIO(data))
    return content.getvalue()


def npz_of(compressed=False, **arrays):
    """A file as np.savez writes it."""
    content = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(content, **arrays)
    return content.getvalue()
