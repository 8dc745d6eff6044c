"""`inference.json`: what a program needs to predict with an attempt's model, in addition to its files."""

from shared.document import Document


class InferenceFacts(Document):
    """The classes in the order of the model's outputs, None for a regression; and the libraries that trained it."""

    classes: tuple[int | float | bool | str, ...] | None
    versions: dict[str, str]
