"""An evaluation in a terminal: metrics, classes, the confusion matrix, residuals, the worst mistakes."""

import click
from rich.table import Table
from rich.text import Text

from fitstop.client import Json
from fitstop.terminal.output import fields, literal, number, show_rows, table

# A wider matrix does not fit into a terminal; -o json prints it.
_MOST_COLUMNS = 12
_MOST_ROWS = 20


def print_evaluation(document: Json) -> None:
    """Print the evaluation on the validation part, and on the test part if there is one."""
    show_rows(literal(f"model of epoch {document['epoch']} ({document.get('checkpoint') or 'not saved'})"))
    for name, part in _parts(document):
        _print_part(name, part)


def evaluation_words(document: Json) -> Text:
    """The metrics of each part, one line for each."""
    return Text("\n").join(literal(_part_words(name, part)) for name, part in _parts(document))


def _parts(document: Json) -> list[tuple[str, Json]]:
    return [(name, document[name]) for name in ("validation", "test") if document.get(name)]


def _part_words(name: str, part: Json) -> str:
    shown = ", ".join(f"{name} {number(value)}" for name, value in part["metrics"].items())
    rows = f"{part['rows']} rows" if part["rows"] == part["of"] else f"{part['rows']} of {part['of']} rows"
    return f"{name}: {shown} ({rows})"


def _print_part(name: str, part: Json) -> None:
    _print_title(_part_words(name, part))
    if part.get("classes"):
        show_rows(_classes(part["classes"]))
    if part.get("confusion") and len(part["classes"]) <= _MOST_COLUMNS:
        _print_title("confusion matrix: a row for each true class, a column for each predicted one")
        show_rows(_matrix(part))
    elif part.get("most_confused"):
        _print_title("most confused classes")
        show_rows(_confusions(part))
    if part.get("residuals"):
        show_rows(_residuals(part["residuals"]))
    if part.get("mistakes"):
        _print_title("worst mistakes; rows of the dataset, or of a script's validation data, count from 0")
        show_rows(_mistakes(part["mistakes"]))


def _print_title(words: str) -> None:
    click.echo("")
    show_rows(literal(words, "bold"))


def _classes(classes: list[Json]) -> Table:
    scores = ("SUPPORT", "PREDICTED", "PRECISION", "RECALL", "F1")
    grid = table("CLASS", *scores, right=scores)
    for one in classes[:_MOST_ROWS]:
        grid.add_row(literal(one["name"]), *(number(one[name.lower()]) for name in scores))
    if len(classes) > _MOST_ROWS:
        grid.add_row(literal(f"… {len(classes) - _MOST_ROWS} more: -o json", "dim"))
    return grid


def _matrix(part: Json) -> Table:
    names = [str(one["name"]) for one in part["classes"]]
    grid = table("TRUE", *(literal(name).plain for name in names), right=tuple(names))
    for name, row in zip(names, part["confusion"], strict=True):
        grid.add_row(literal(name), *map(str, row))
    return grid


def _confusions(part: Json) -> Table:
    grid = table("TRUE", "PREDICTED", "ROWS", right=("ROWS",))
    names = [one["name"] for one in part["classes"]]
    for one in part["most_confused"][:_MOST_ROWS]:
        grid.add_row(literal(names[one["true"]]), literal(names[one["predicted"]]), str(one["rows"]))
    return grid


def _residuals(residuals: Json) -> Table:
    quantiles = ", ".join(f"{name}: {number(value)}" for name, value in residuals["quantiles"].items())
    spread = f"mean {number(residuals['mean'])}, standard deviation {number(residuals['std'])}"
    return fields([("residuals", f"{spread} (true minus predicted)"), ("quantiles", quantiles)])


def _mistakes(mistakes: list[Json]) -> Table:
    """The worst mistakes. In a regression the loss is the absolute error, and there is no probability."""
    grid = table("ROW", "TRUE", "PREDICTED", "PROBABILITY", "LOSS", right=("ROW", "PROBABILITY", "LOSS"))
    for one in mistakes[:_MOST_ROWS]:
        grid.add_row(
            str(one["row"]),
            _value(one["true"]),
            _value(one["predicted"]),
            number(one["probability"]),
            number(one["loss"]),
        )
    return grid


def _value(value: object) -> str:
    shown = value if isinstance(value, list) else [value]
    return ", ".join(number(one) if isinstance(one, float) else literal(one).plain for one in shown)
