"""Checkpoints that are either whole or not there, and are checked before they are used.

A checkpoint is a folder ``checkpoints/step-000800/`` with one safetensors file a group of tensors,
``state.json`` and ``manifest.json``, which lists every file with its size and SHA-256. It is written
under another name and renamed when all of it is on the disk, so that a crash never leaves half of one
under its final name; the manifest tells when the disk damaged it later.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo_core.errors import CheckpointError, RunError
from zoo_core.runs.durable import cannot_write, sync_file, sync_folder, write_atomic
from zoo_core.runs.folder import RunFolder
from zoo_core.runs.lock import RunLock

if TYPE_CHECKING:
    from torch import Tensor

FORMAT = 1
MANIFEST = "manifest.json"
STATE = "state.json"

_PARTIAL = ".partial-"
_NAME = re.compile(r"step-(\d{6,})")


@dataclass(frozen=True)
class Checkpoint:
    """What the manifest of a checkpoint says.

    step: updates done. samples: training samples seen. variant: the backbone's name. fingerprint: of
    the recipe it was trained under. files: size in bytes and SHA-256 of each file.
    """

    path: Path
    step: int
    samples: int
    variant: str
    fingerprint: str
    files: Mapping[str, tuple[int, str]]

    def require(self, variant: str, fingerprint: str) -> None:
        """Raise `CheckpointError` unless this is a checkpoint of that variant and recipe."""
        if self.variant != variant:
            raise CheckpointError(
                f"{self.path}: a checkpoint of '{self.variant}', not of '{variant}'. Continue with "
                f"zoo train {self.variant}, or choose another folder with --run."
            )
        if self.fingerprint != fingerprint:
            raise CheckpointError(
                f"{self.path}: trained under another recipe (fingerprint {self.fingerprint[:12]}, now "
                f"{fingerprint[:12]}). Restore the recipe, or choose another folder with --run."
            )


def save(
    run: RunFolder,
    step: int,
    tensors: Mapping[str, Mapping[str, Tensor]],
    state: Mapping[str, Any],
    *,
    samples: int,
    variant: str,
    fingerprint: str,
) -> Checkpoint:
    """Publish a checkpoint of `step`, taking the place of an earlier one of the same step.

    tensors: named tensors in named groups (``{"model": ..., "optimizer": ...}``), one safetensors file
    a group; any shapes, dtypes and devices. state: whatever else is needed, as JSON. The caller holds
    the run's lock. Raises `CheckpointError` when the disk is full or the folder cannot be written;
    nothing is left behind then, and earlier checkpoints are as they were.
    """
    final = run.checkpoints / f"step-{step:06d}"
    partial = run.checkpoints / f"{_PARTIAL}{final.name}-{os.getpid()}"
    try:
        _discard(partial)
        partial.mkdir(parents=True)
        for group, named in tensors.items():
            _write_tensors(partial / f"{group}.safetensors", named)
        text = json.dumps(state, allow_nan=False, indent=1)
        write_atomic(partial / STATE, text.encode())
        files = {path.name: _measure(path) for path in sorted(partial.iterdir())}
        checkpoint = Checkpoint(final, step, samples, variant, fingerprint, files)
        write_atomic(partial / MANIFEST, _manifest(checkpoint))
        _publish(partial, final)
    except OSError as error:
        _discard(partial)
        raise CheckpointError(_not_saved(step, cannot_write(run.checkpoints, error))) from None
    except RunError as error:
        _discard(partial)
        raise CheckpointError(_not_saved(step, str(error))) from None
    except BaseException:
        _discard(partial)
        raise
    return checkpoint


def load(
    path: Path, *, verified: bool = False
) -> tuple[dict[str, dict[str, Tensor]], dict[str, Any]]:
    """The tensors (by group and name, on the CPU) and the state of a checkpoint.

    Its hashes are checked unless the caller says that `verify` or `latest` just did. Raises
    `CheckpointError` naming the file and what is wrong with it.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    checkpoint = _read_manifest(path) if verified else verify(path)
    tensors = {}
    for name in checkpoint.files:
        if not name.endswith(".safetensors"):
            continue
        try:
            tensors[name.removesuffix(".safetensors")] = load_file(path / name)
        except (OSError, SafetensorError) as error:
            raise CheckpointError(f"{path / name}: cannot be loaded ({error}).") from None
    try:
        state = json.loads((path / STATE).read_bytes())
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path / STATE}: cannot be read ({error}).") from None
    return tensors, state


def verify(path: Path) -> Checkpoint:
    """The checkpoint at `path`, after every file was compared with its size and SHA-256.

    Raises `CheckpointError` naming the first file that is missing, truncated or changed. No torch.
    """
    checkpoint = _read_manifest(path)
    for name, (size, digest) in checkpoint.files.items():
        try:
            found = (path / name).stat().st_size
            if found < size:
                raise CheckpointError(f"{path / name}: truncated, {found} of {size} bytes.")
            if found > size:
                raise CheckpointError(f"{path / name}: changed, {found} bytes instead of {size}.")
            if _measure(path / name)[1] != digest:
                raise CheckpointError(f"{path / name}: damaged, its SHA-256 is not the manifest's.")
        except FileNotFoundError:
            raise CheckpointError(f"{path / name}: missing.") from None
        except OSError as error:
            raise CheckpointError(f"{path / name}: cannot be read ({error.strerror}).") from None
    return checkpoint


def published(run: RunFolder) -> list[tuple[int, Path]]:
    """Steps and folders of all checkpoints, oldest first, unchecked; partial ones are not among them."""
    if not run.checkpoints.is_dir():
        return []
    found = []
    for path in run.checkpoints.iterdir():
        match = _NAME.fullmatch(path.name)
        if match:
            found.append((int(match[1]), path))
    return sorted(found)


def latest(run: RunFolder, warn: Callable[[str], None]) -> Checkpoint | None:
    """The newest checkpoint that is whole, or None when none was ever published.

    Each newer one that is damaged is passed over with a sentence to `warn`, naming the file. Raises
    `CheckpointError` when there are checkpoints and all are damaged: starting anew would hide it.
    """
    candidates = published(run)
    for _, path in reversed(candidates):
        try:
            return verify(path)
        except CheckpointError as error:
            warn(f"{error} This checkpoint is passed over.")
    if candidates:
        raise CheckpointError(
            f"{run.checkpoints}: none of its {len(candidates)} checkpoints is whole. Restore one from "
            "a copy, or remove this folder to train from the beginning."
        )
    return None


def prune(run: RunFolder, keep: int) -> list[Path]:
    """Remove all but the newest `keep` checkpoints; returns what was removed.

    Nothing is removed unless one of those kept is whole, so the last good one always stays. The
    caller holds the run's lock. Raises `RunError` when the folder cannot be changed.
    """
    assert keep >= 1, f"at least one checkpoint is kept, not {keep}"
    paths = [path for _, path in published(run)]
    old, kept = paths[:-keep], paths[-keep:]
    if not old or not any(_is_whole(path) for path in reversed(kept)):
        return []
    try:
        for path in old:
            _retire(path)
    except OSError as error:
        raise RunError(cannot_write(run.checkpoints, error)) from None
    return old


def remove_leftovers(run: RunFolder, lock: RunLock) -> list[Path]:
    """Remove what interrupted saves left behind. The lock shows that no save is under way."""
    assert lock.held, "leftovers may belong to another trainer unless the run is locked"
    if not run.checkpoints.is_dir():
        return []
    left = [path for path in run.checkpoints.iterdir() if path.name.startswith(_PARTIAL)]
    for path in left:
        _discard(path)
    return left


def _write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    # A copy of each, since safetensors takes neither strided nor shared memory (tied weights).
    plain = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    try:
        save_file(plain, path, metadata={"format": "pt"})
    except SafetensorError as error:
        number = re.search(r"os error (\d+)", str(error))
        if number is None:
            raise
        raise OSError(int(number[1]), os.strerror(int(number[1])), str(path)) from None
    sync_file(path)


def _measure(path: Path) -> tuple[int, str]:
    """Size in bytes and SHA-256 of a file."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return os.fstat(file.fileno()).st_size, digest


def _manifest(checkpoint: Checkpoint) -> bytes:
    table = {
        "format": FORMAT,
        "step": checkpoint.step,
        "samples": checkpoint.samples,
        "variant": checkpoint.variant,
        "fingerprint": checkpoint.fingerprint,
        "files": {
            name: {"size": size, "sha256": digest}
            for name, (size, digest) in checkpoint.files.items()
        },
    }
    return json.dumps({**table, "sha256": _digest_of(table)}, indent=1).encode()


def _digest_of(table: Mapping[str, Any]) -> str:
    """SHA-256 of a manifest's content, which guards the manifest itself."""
    return hashlib.sha256(json.dumps(table, sort_keys=True).encode()).hexdigest()


def _read_manifest(path: Path) -> Checkpoint:
    manifest = path / MANIFEST
    try:
        table = json.loads(manifest.read_bytes())
        digest = table.pop("sha256")
        if table["format"] != FORMAT:
            raise CheckpointError(
                f"{manifest}: format {table['format']}; this version reads format {FORMAT}."
            )
        if digest != _digest_of(table):
            raise CheckpointError(f"{manifest}: damaged, its content is not what its SHA-256 says.")
        return Checkpoint(
            path=path,
            step=table["step"],
            samples=table["samples"],
            variant=table["variant"],
            fingerprint=table["fingerprint"],
            files={name: (it["size"], it["sha256"]) for name, it in table["files"].items()},
        )
    except CheckpointError:
        raise
    except FileNotFoundError:
        what = "the manifest is missing" if path.is_dir() else "there is no such checkpoint"
        raise CheckpointError(f"{manifest}: {what}.") from None
    except OSError as error:
        raise CheckpointError(f"{manifest}: cannot be read ({error.strerror}).") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise CheckpointError(f"{manifest}: damaged, not a manifest.") from None


def _publish(partial: Path, final: Path) -> None:
    """Give a finished checkpoint its name."""
    sync_folder(partial)
    if final.exists():
        _retire(final)
    partial.rename(final)
    sync_folder(final.parent)


def _retire(path: Path) -> None:
    """Remove a published checkpoint, under another name first so that half of it is never found."""
    away = path.with_name(f"{_PARTIAL}old-{path.name}-{os.getpid()}")
    _discard(away)
    path.rename(away)
    _discard(away)


def _is_whole(path: Path) -> bool:
    try:
        verify(path)
    except CheckpointError:
        return False
    return True


def _discard(path: Path) -> None:
    """Remove an unpublished folder. What a failing disk keeps is removed by `remove_leftovers`."""
    shutil.rmtree(path, ignore_errors=True)


def _not_saved(step: int, reason: str) -> str:
    return f"The checkpoint of step {step} was not saved: {reason} Earlier checkpoints are intact."
