"""Checkpoints that are either whole or not there, and are checked before they are used.

A checkpoint is a folder ``checkpoints/step-000800/`` with ``backbone.safetensors`` (all weights under the
backbone's names), ``state.json``, whatever files the trainer adds, and ``manifest.json``, which lists
every file with its size and SHA-256. It is written under another name and renamed when all of it is on
the disk, so that a crash never leaves half of one under its final name; the manifest tells when the disk
damaged it later. ``checkpoints/latest`` is a link to the newest.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
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
LATEST = "latest"

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


@dataclass(frozen=True)
class Draft:
    """A checkpoint being written: fill `path` with files, then `publish` or `discard` it."""

    run: RunFolder
    step: int
    path: Path

    def write_tensors(self, group: str, tensors: Mapping[str, Tensor]) -> None:
        """Write ``GROUP.safetensors``; any shapes, dtypes and devices. Raises OSError."""
        from safetensors import SafetensorError
        from safetensors.torch import save_file

        path = self.path / f"{group}.safetensors"
        # A copy where needed: safetensors takes neither strided nor shared memory (tied weights).
        seen: set[int] = set()
        plain = {}
        for name, value in tensors.items():
            value = value.detach().cpu().contiguous()
            shared = value.untyped_storage().data_ptr() in seen
            partial = value.untyped_storage().nbytes() != value.nbytes
            plain[name] = value.clone() if shared or partial else value
            seen.add(plain[name].untyped_storage().data_ptr())
        try:
            save_file(plain, path, metadata={"format": "pt"})
        except SafetensorError as error:
            number = re.search(r"os error (\d+)", str(error))
            if number is None:
                raise
            raise OSError(int(number[1]), os.strerror(int(number[1])), str(path)) from None
        sync_file(path)

    def publish(
        self,
        state: Mapping[str, Any],
        *,
        samples: int,
        variant: str,
        fingerprint: str,
        measured: Mapping[str, tuple[int, str]] | None = None,
    ) -> Checkpoint:
        """Give the checkpoint its name, taking the place of an earlier one of the same step.

        state: what is needed besides the files, as JSON. measured: size and SHA-256 of files that
        were measured already, by their path in the folder. The caller holds the run's lock. Raises
        OSError or `RunError`; the draft is then still there, and earlier checkpoints are as they were.
        """
        text = json.dumps(state, allow_nan=False, indent=1)
        write_atomic(self.path / STATE, text.encode())
        files = dict(measured or {})
        for path in sorted(self.path.rglob("*")):
            name = path.relative_to(self.path).as_posix()
            if path.is_file() and name not in files:
                files[name] = measure(path)
        final = self.run.checkpoints / _name(self.step)
        checkpoint = Checkpoint(final, self.step, samples, variant, fingerprint, files)
        write_atomic(self.path / MANIFEST, _manifest(checkpoint))
        _publish(self.path, final)
        return checkpoint

    def discard(self) -> None:
        """Remove it."""
        _discard(self.path)


def begin(run: RunFolder, step: int) -> Draft:
    """Start writing a checkpoint of `step`. Raises OSError when the folder cannot be made."""
    path = run.checkpoints / f"{_PARTIAL}{_name(step)}-{os.getpid()}"
    _discard(path)
    path.mkdir(parents=True)
    return Draft(run, step, path)


@contextmanager
def saving(run: RunFolder, step: int) -> Iterator[None]:
    """Turn what goes wrong while a checkpoint of `step` is written into a `CheckpointError`."""
    try:
        yield
    except OSError as error:
        raise CheckpointError(_not_saved(step, cannot_write(run.checkpoints, error))) from None
    except CheckpointError:
        raise
    except RunError as error:
        raise CheckpointError(_not_saved(step, str(error))) from None


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
    """Write and publish a checkpoint at once, for a trainer of one process.

    tensors: named tensors in named groups (``{"backbone": ..., "optimizer": ...}``), one safetensors
    file a group. The rest is as in `Draft.publish`. Raises `CheckpointError` when the disk is full or
    the folder cannot be written; nothing is left behind then, and earlier checkpoints are as they were.
    """
    with saving(run, step):
        draft = begin(run, step)
        try:
            for group, named in tensors.items():
                draft.write_tensors(group, named)
            return draft.publish(state, samples=samples, variant=variant, fingerprint=fingerprint)
        except BaseException:
            draft.discard()
            raise


def load(
    path: Path, *, verified: bool = False
) -> tuple[dict[str, dict[str, Tensor]], dict[str, Any]]:
    """The tensors (by group and name, on the CPU) and the state of a checkpoint.

    Files in folders of the checkpoint are the trainer's own and are left to it. Its hashes are checked unless the caller says that `verify` or `latest` just did. Raises
    `CheckpointError` naming the file and what is wrong with it.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    checkpoint = _read_manifest(path) if verified else verify(path)
    tensors = {}
    for name in checkpoint.files:
        if not name.endswith(".safetensors") or "/" in name:
            continue
        try:
            tensors[name.removesuffix(".safetensors")] = load_file(path / name)
        except (OSError, SafetensorError) as error:
            raise CheckpointError(f"{path / name}: cannot be loaded ({error}).") from None
    return tensors, load_state(path)


def load_state(path: Path) -> dict[str, Any]:
    """The state of a checkpoint alone. Raises `CheckpointError`."""
    try:
        return json.loads((path / STATE).read_bytes())
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path / STATE}: cannot be read ({error}).") from None


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
            if measure(path / name)[1] != digest:
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


def latest(
    run: RunFolder, warn: Callable[[str], None], among: Callable[[int], bool] = lambda step: True
) -> Checkpoint | None:
    """The newest checkpoint that is whole, or None when none was ever published.

    among: which steps count. Each newer one that is damaged is passed over with a sentence to `warn`, naming the file. Raises
    `CheckpointError` when there are checkpoints and all are damaged: starting anew would hide it.
    """
    candidates = [(step, path) for step, path in published(run) if among(step)]
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


def prune(run: RunFolder, keep: int, whole: Checkpoint | None = None) -> list[Path]:
    """Remove all but the newest `keep` checkpoints; returns what was removed.

    Nothing is removed unless one of those kept is whole, so the last good one always stays. whole: one
    that was just published and need not be checked. The caller holds the run's lock. Raises `RunError`
    when the folder cannot be changed.
    """
    assert keep >= 1, f"at least one checkpoint is kept, not {keep}"
    paths = [path for _, path in published(run)]
    old, kept = paths[:-keep], paths[-keep:]
    if not old:
        return []
    if (whole is None or whole.path not in kept) and not any(map(_is_whole, reversed(kept))):
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
    remaining = published(run)
    if remaining and not (run.checkpoints / LATEST).exists():  # a crash may have left it astray
        _point(run.checkpoints, remaining[-1][1])
    return left


def measure(path: Path) -> tuple[int, str]:
    """Size in bytes and SHA-256 of a file. Raises OSError."""
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
        if any(".." in PurePosixPath(name).parts or name[:1] == "/" for name in table["files"]):
            raise CheckpointError(f"{manifest}: names a file outside the checkpoint.")
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
    """Give a finished checkpoint its name, and let ``latest`` lead to it."""
    for folder in sorted(path for path in partial.rglob("*") if path.is_dir()):
        sync_folder(folder)
    sync_folder(partial)
    if final.exists():
        _point(final.parent, partial)  # the link never leads nowhere, even for a moment
        _retire(final)
    partial.rename(final)
    _point(final.parent, final)
    sync_folder(final.parent)


def _point(folder: Path, to: Path) -> None:
    """Let ``latest`` lead to a checkpoint, in one step."""
    link = folder / f"{_PARTIAL}latest-{os.getpid()}"
    link.unlink(missing_ok=True)
    link.symlink_to(to.name)
    link.replace(folder / LATEST)


def _name(step: int) -> str:
    return f"step-{step:06d}"


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
    """Remove what is unpublished. What a failing disk keeps is removed by `remove_leftovers`."""
    if path.is_symlink():
        path.unlink()
    else:
        shutil.rmtree(path, ignore_errors=True)


def _not_saved(step: int, reason: str) -> str:
    return f"The checkpoint of step {step} was not saved: {reason} Earlier checkpoints are intact."
