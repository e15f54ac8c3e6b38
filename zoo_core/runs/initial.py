"""Where a run's initial weights come from, and that they stay the same while the run goes on. No torch.

A recipe names initial weights by a path, ``training.init_from``. What they are is their content, so when
training begins the path is joined by the SHA-256 of the weights' file, ``training.init_sha256``. The hash
is part of the recipe's fingerprint and the path is not: the same weights may lie elsewhere tomorrow, and
other weights at the same place are another recipe.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path, PurePath

import msgspec

from zoo_core.errors import CheckpointError, ConfigError
from zoo_core.recipe import Recipe
from zoo_core.runs import checkpoints
from zoo_core.runs.folder import MARKER, RunFolder
from zoo_core.schema import load_toml

#: The file of a checkpoint that holds the backbone's weights, whole and in fp32.
WEIGHTS = "backbone.safetensors"
KEY = "training.init_from"
_RECIPE = "recipe.toml"


@dataclass(frozen=True)
class WeightsFile:
    """A safetensors file of a backbone's weights.

    place: the file, or the checkpoint that it belongs to. sha256: of the file's bytes. step and variant:
    what the checkpoint says, None for a file by itself.
    """

    file: Path
    place: Path
    sha256: str
    step: int | None = None
    variant: str | None = None


def find_weights(path: Path, warn: Callable[[str], None]) -> WeightsFile:
    """The weights that a path means: a run (its newest whole checkpoint), a checkpoint, or a file.

    The whole file is read to know its hash, and compared with the manifest of a checkpoint. Raises
    `CheckpointError` when the path holds none of them, or what it holds is damaged. warn: gets a
    sentence for every newer checkpoint of a run that is damaged and passed over.
    """
    try:
        if path.is_file():
            return WeightsFile(path, path, checkpoints.measure(path)[1])
        if (path / checkpoints.MANIFEST).is_file():
            # A link such as `checkpoints/latest` moves on; its target does not.
            place = path.parent / path.readlink() if path.is_symlink() else path
            return _of_checkpoint(checkpoints.verify(place))
        if (path / MARKER).is_file():
            newest = checkpoints.latest(RunFolder.open(path), warn)
            if newest is None:
                raise CheckpointError(f"{path}: the run has no checkpoint yet to begin from.")
            return _of_checkpoint(newest)
        what = "holds neither" if path.is_dir() else "is not there; expected"
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror or error}).") from None
    raise CheckpointError(
        f"{path}: {what} a run, a checkpoint of one (RUN/checkpoints/step-NNNNNN) or a safetensors file; "
        f"{KEY} names one of them."
    )


def pin_initial_weights(recipe: Recipe, run: Path, warn: Callable[[str], None]) -> Recipe:
    """The recipe with the hash of its initial weights, where it names any.

    run: the run's folder, which need not exist yet. A run that has a checkpoint of its own is past its
    beginning: what its recipe says of the same path is taken over, and the weights need not be there any
    more. Raises `CheckpointError` as `find_weights` does, and `ConfigError` when the recipe itself gives
    a hash that is not the file's.
    """
    training = recipe.training
    if training.init_from is None:
        return recipe
    place, sha256 = training.init_from, None
    recorded = _recorded(run)
    if recorded is not None and _same_place(place, recorded[0]):
        # A run that began from another keeps to the checkpoint it took, should there be newer ones.
        if Path(recorded[0]).exists():
            place = recorded[0]
        if checkpoints.published(RunFolder.open(run)):
            place, sha256 = recorded
    if sha256 is None:
        found = find_weights(Path(place), warn)
        place, sha256 = str(found.place), found.sha256
    if training.init_sha256 not in (None, sha256):
        raise ConfigError(
            f"{training.init_from}: the weights have the SHA-256 {sha256}, but training.init_sha256 is "
            f"{training.init_sha256}. Begin from those weights, or leave training.init_sha256 out.",
            key="training.init_sha256",
        )
    pinned = msgspec.structs.replace(training, init_from=place, init_sha256=sha256)
    return replace(recipe, training=pinned)


def _of_checkpoint(checkpoint: checkpoints.Checkpoint) -> WeightsFile:
    if WEIGHTS not in checkpoint.files:
        raise CheckpointError(f"{checkpoint.path}: a checkpoint without {WEIGHTS}.")
    return WeightsFile(
        file=checkpoint.path / WEIGHTS,
        place=checkpoint.path,
        sha256=checkpoint.files[WEIGHTS][1],
        step=checkpoint.step,
        variant=checkpoint.variant,
    )


def _recorded(run: Path) -> tuple[str, str] | None:
    """Path and hash in the recipe of a run that was begun before."""
    if not (run / MARKER).is_file() or not (run / _RECIPE).is_file():
        return None
    training = load_toml(run / _RECIPE).get("training", {})
    path, sha256 = training.get("init_from"), training.get("init_sha256")
    return (path, sha256) if path and sha256 else None


def _same_place(given: str, recorded: str) -> bool:
    """Whether the recorded place is the one given, or the checkpoint that was taken in it."""
    place, at = PurePath(os.path.normpath(recorded)), PurePath(os.path.normpath(given))
    if place == at:
        return True
    links = at.name == checkpoints.LATEST and place.parent == at.parent
    return links or place.parent == at / "checkpoints"
