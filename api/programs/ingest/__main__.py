"""Make `<folder>/version/program.zip` of `<folder>/upload`, a `.py` file or a zip or tar of a folder.

The order has `script_name`, `max_files`, `max_bytes`; see `api.state.parsing_process`.
"""

import warnings

from api.programs.ingest.program import take_program
from api.state import parsing_process

if __name__ == "__main__":
    warnings.simplefilter("ignore")
    parsing_process.run(
        lambda folder, order: take_program(folder, order["script_name"], order["max_files"], order["max_bytes"])
    )
