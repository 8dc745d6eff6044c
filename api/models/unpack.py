"""Take the weights out of a `.keras` archive: `<folder>/weights.h5` of `<folder>/upload`, in a throw-away process.

No other entry of the archive is opened. The order has `max_bytes`; see `api.state.parsing_process`.
"""

import shutil
import zipfile
import zlib
from pathlib import Path
from typing import Any

from api.state import parsing_process
from shared.problems import Problem, Refused
from shared.weights import WEIGHTS_FILE

ENTRY = "model.weights.h5"
_PIECE_BYTES = 1024**2
_CANNOT = (zipfile.BadZipFile, zlib.error, EOFError, ValueError, NotImplementedError, RuntimeError)


def unpack(folder: Path, order: dict[str, Any]) -> dict[str, Any]:
    """Write the weights beside the archive. Raises Refused for an archive without weights, or a damaged one."""
    try:
        with zipfile.ZipFile(folder / "upload") as archive:
            entry = archive.getinfo(ENTRY)
            if entry.file_size > order["max_bytes"]:
                raise _refusal(f"the weights have {entry.file_size} bytes, expected at most {order['max_bytes']}")
            # zipfile reads no more than the announced size.
            with archive.open(entry) as packed, (folder / WEIGHTS_FILE).open("xb") as weights:
                shutil.copyfileobj(packed, weights, _PIECE_BYTES)
    except KeyError:
        raise _refusal(f"the archive holds no {ENTRY}, expected a .keras file that Keras 3 has saved") from None
    except _CANNOT:
        raise _refusal("the archive is damaged, expected a .keras file that Keras 3 has saved") from None
    return {}


def _refusal(detail: str) -> Refused:
    return Refused([Problem("#", detail, "no_weights")])


if __name__ == "__main__":
    parsing_process.run(unpack)
