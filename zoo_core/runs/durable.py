"""Files that are either whole or not there, whatever happens while they are written."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from zoo_core.errors import RunError

TEMPORARY = ".zoo-tmp-"
"""How the names of unfinished files begin; a file with such a name belongs to nobody."""


def write_atomic(path: Path, data: bytes) -> None:
    """Put `data` in place of the file at `path`, all or nothing, and on the disk when it returns.

    Raises `RunError` saying why it cannot be written; the earlier file is then untouched.
    """
    temporary = path.with_name(f"{TEMPORARY}{os.getpid()}-{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        discard(temporary)
        raise RunError(cannot_write(path, error)) from None


def sync_folder(path: Path) -> None:
    """Put a folder's list of names on the disk, so that a rename in it survives a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_file(path: Path) -> None:
    """Put a file's content on the disk."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def discard(path: Path) -> None:
    """Remove a file of ours if it is there. A failure to write it often is one to remove it too."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        # The first error is the one to report; this file's name marks it as left over.
        if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR):
            raise


def cannot_write(path: Path, error: OSError) -> str:
    """The sentence for a failed write, with what to do about the usual causes."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        cause = "the disk is full" if error.errno == errno.ENOSPC else "the disk quota is used up"
        return f"{path}: cannot be written, {cause}. Free some space, then run the command again."
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        cause = "read-only file system" if error.errno == errno.EROFS else "permission denied"
        return f"{path}: cannot be written ({cause}). Choose a folder you can write to with --run."
    return f"{path}: cannot be written ({(error.strerror or str(error)).lower()})."
