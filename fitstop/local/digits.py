"""scikit-learn's handwritten digits as PNG files in class folders: images for the demo, without internet."""

from pathlib import Path

DIGITS_ID = "digits"


def write_digits(folder: Path) -> Path:
    """Write the 1,797 grey images of 8 x 8 pixels to `folder`, as `digits/<class>/<number>.png`; return that folder.

    Raises ImportError if scikit-learn or Pillow is not installed.
    """
    from PIL import Image
    from sklearn.datasets import load_digits

    data = load_digits()
    top = folder / DIGITS_ID
    for number, (pixels, label) in enumerate(zip(data.images, data.target, strict=True)):
        path = top / str(label) / f"{number:04}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        # The pixels are from 0 to 16.
        Image.fromarray((pixels * (255 / 16)).astype("uint8")).save(path)
    return top
