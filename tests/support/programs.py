"""Programs on a volume, as the service stores them."""

import hashlib
import zipfile

from shared.durable import encode, replace_file
from shared.program import ARCHIVE, DOCUMENT, LatestVersion, ProgramFile, ProgramInfo, ProgramStore
from shared.times import utc_now
from shared.volume import Volume


def put_program(volume: Volume, files: dict[str, str], name: str = "mine") -> ProgramInfo:
    """A new version of a program with these files by path."""
    store = ProgramStore(volume.root)
    sums = sorted((path, hashlib.sha256(text.encode()).hexdigest()) for path, text in files.items())
    version = hashlib.sha256("".join(f"{digest}  {path}\n" for path, digest in sums).encode()).hexdigest()
    folder = store.version_folder(name, version)
    folder.mkdir(parents=True)
    with zipfile.ZipFile(folder / ARCHIVE, "w") as archive:
        for path, text in sorted(files.items()):
            archive.writestr(path, text)
    listed = tuple(ProgramFile(path=path, bytes=len(text.encode())) for path, text in sorted(files.items()))
    size, now = sum(one.bytes for one in listed), utc_now()
    info = ProgramInfo(id=name, version=version, created_at=now, bytes=size, files=listed)
    replace_file(folder / DOCUMENT, encode(info.model_dump(mode="json")))
    latest = LatestVersion(id=name, created_at=now, version=version, updated_at=now)
    replace_file(store.latest_file(name), encode(latest.model_dump(mode="json")))
    return info
