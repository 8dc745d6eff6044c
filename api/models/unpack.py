"""Take the weights out of a `.keras` archive: `python -m api.models.unpack FOLDER MOST_BYTES`, a throw-away process.

It reads `FOLDER/upload` and writes `FOLDER/weights.h5`. Nothing else of the archive is opened. The status is 1, with a
sentence on stdout, where the archive cannot be taken.
"""

import resource
import shutil
import sys
import zipfile
import zlib
from pathlib import Path

ENTRY = "model.weights.h5"
_MEMORY_BYTES = 1024**3
_PIECE_BYTES = 1024**2
_CANNOT = (zipfile.BadZipFile, zlib.error, EOFError, ValueError, NotImplementedError, RuntimeError, MemoryError)


def unpack(folder: Path, most_bytes: int) -> str:
    """Why the archive cannot be taken; empty where the weights are beside it."""
    try:
        with zipfile.ZipFile(folder / "upload") as archive:
            entry = archive.getinfo(ENTRY)
            if entry.file_size > most_bytes:
                return f"the weights have {entry.file_size} bytes, expected at most {most_bytes}"
            # zipfile ends a file at its announced size.
            with archive.open(entry) as packed, (folder / "weights.h5").open("xb") as kept:
                shutil.copyfileobj(packed, kept, _PIECE_BYTES)
    except KeyError:
        return f"the archive holds no {ENTRY}, expected a .keras file that Keras 3 has saved"
    except _CANNOT:
        return "the archive is damaged, expected a .keras file that Keras 3 has saved"
    return ""


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    refusal = unpack(Path(sys.argv[1]), int(sys.argv[2]))
    sys.stdout.write(refusal)
    sys.exit(1 if refusal else 0)
