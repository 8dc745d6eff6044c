"""Limits of an upload."""

from dataclasses import dataclass

from shared.problems import Problem, Refused


@dataclass(frozen=True)
class Limits:
    """The maximum number of columns, and of cells (rows times columns)."""

    columns: int
    cells: int

    def check(self, rows: int, columns: int) -> None:
        """Raise Refused above a limit."""
        if columns > self.columns:
            raise refusal("#", f"holds {columns} columns, expected at most {self.columns}", "too_many_columns")
        if rows * columns > self.cells:
            detail = f"holds {rows} rows or more of {columns} columns, expected at most {self.cells} cells"
            raise refusal("#", detail, "too_many_cells")


@dataclass(frozen=True)
class ImageLimits:
    """The maximum number of images and of bytes of all images, and of bytes and pixels of one image."""

    images: int
    bytes: int
    image_bytes: int
    image_pixels: int


def refusal(pointer: str, detail: str, code: str) -> Refused:
    """The refusal with one problem."""
    return Refused([Problem(pointer, detail, code)])
