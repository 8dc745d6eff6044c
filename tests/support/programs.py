"""Puts programs on a volume as the API does."""

import hashlib
import io

from shared.durable import encode
from shared.program import ARCHIVE, DOCUMENT, LatestVersion, ProgramFile, ProgramInfo, hash_program, write_archive
from shared.times import utc_now
from shared.volume import Volume

SCRIPT = b"print('hello')\n"


def put_program(
    volume: Volume, program_id: str = "mine", files: dict[str, bytes] | None = None, project: str = "default"
) -> ProgramInfo:
    """Put a version of a program on the volume, and make it the latest one."""
    kept = dict(sorted((files or {"train.py": SCRIPT}).items()))
    version = hash_program((path, hashlib.sha256(content).hexdigest()) for path, content in kept.items())
    moment = utc_now()
    info = ProgramInfo(
        id=program_id,
        version=version,
        project=project,
        created_at=moment,
        bytes=sum(map(len, kept.values())),
        files=tuple(ProgramFile(path=path, bytes=len(content)) for path, content in kept.items()),
    )
    prepared = volume.programs.make_folder() / f".prepared-{version}"
    prepared.mkdir()
    write_archive(prepared / ARCHIVE, ((path, io.BytesIO(content)) for path, content in kept.items()))
    (prepared / DOCUMENT).write_bytes(encode(info.model_dump(mode="json")))
    latest = LatestVersion(id=program_id, project=project, created_at=moment, version=version, updated_at=moment)
    if not volume.programs.create(prepared, latest):
        volume.programs.add_version(prepared, program_id, version)
        volume.programs.set_latest(latest)
    return info
