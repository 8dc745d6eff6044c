"""The article's data: the original file if it is beside the checkout, else generated data of the same form.

The form: 6,497 rows in 13 columns, 38 missing cells in 34 rows. A good wine (quality 6 or more) can be learned from the
other columns, but not without error.
"""

from pathlib import Path

import numpy as np
import pandas as pd

_ROWS, _REDS = 6497, 1599
# Mean and standard deviation of white and of red wine, and the number of decimals.
_COLUMNS = {
    "fixed acidity": (6.9, 0.8, 8.3, 1.7, 1),
    "volatile acidity": (0.28, 0.10, 0.53, 0.18, 2),
    "citric acid": (0.33, 0.12, 0.27, 0.19, 2),
    "residual sugar": (6.4, 5.0, 2.5, 1.4, 1),
    "chlorides": (0.046, 0.02, 0.087, 0.045, 3),
    "free sulfur dioxide": (35.0, 17.0, 16.0, 10.0, 0),
    "total sulfur dioxide": (138.0, 42.0, 46.0, 33.0, 0),
    "density": (0.994, 0.003, 0.997, 0.002, 5),
    "pH": (3.19, 0.15, 3.31, 0.15, 2),
    "sulphates": (0.49, 0.11, 0.66, 0.17, 2),
    "alcohol": (10.5, 1.2, 10.4, 1.1, 1),
}
_MISSING_ROWS, _MISSING_CELLS = 34, 38


def article_file(folder: Path) -> Path:
    """The original file, or a generated one, which is written into `folder`."""
    own = Path(__file__).parents[3] / "shared" / "data" / "winequalityN.csv"
    return own if own.exists() else made_file(folder)


def made_file(folder: Path) -> Path:
    """Write generated data, which are always the same, and return the file."""
    path = folder / "winequalityN.csv"
    made_frame().to_csv(path, index=False)
    return path


def made_frame() -> pd.DataFrame:
    generator = np.random.default_rng(2009)
    is_red = generator.permutation(_ROWS) < _REDS
    normal = {name: generator.normal(size=_ROWS) for name in _COLUMNS}
    frame = pd.DataFrame({"type": np.where(is_red, "red", "white")})
    for name, (white, white_spread, red, red_spread, digits) in _COLUMNS.items():
        values = np.where(is_red, red, white) + np.where(is_red, red_spread, white_spread) * normal[name]
        frame[name] = np.maximum(values, 0.0).round(digits)
    signal = (
        0.4 * normal["alcohol"]
        - 0.3 * normal["volatile acidity"] * np.where(is_red, 1.5, 0.8)
        # Learned late: the article's job must not stop after a few epochs.
        + 0.5 * np.sin(3.0 * normal["residual sugar"])
        + 0.5 * np.sin(3.0 * normal["pH"])
    )
    quality = 5.8 + signal + 0.3 * generator.normal(size=_ROWS)
    frame["quality"] = quality.round().clip(3, 9).astype(int)
    holes = generator.choice(_ROWS, _MISSING_ROWS, replace=False)
    names = list(_COLUMNS)
    for number in range(_MISSING_CELLS):
        frame.loc[holes[number % _MISSING_ROWS], names[(number + number // _MISSING_ROWS) % len(names)]] = np.nan
    return frame
