"""A spec judged against the data that it names, with nothing left open: a judge for each kind of data and of model.

What an answer refuses and what a training does with the rows rest on the same code (`row_facts`, `shared.rows`).
"""

from shared.resolve.job import Resolved, auto_monitor, problems_without_data, resolve

__all__ = ["Resolved", "auto_monitor", "problems_without_data", "resolve"]
