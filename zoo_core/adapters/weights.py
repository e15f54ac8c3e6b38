"""Reading pretrained weights from a folder: safetensors files only, and every tensor accounted for."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from zoo_core.errors import ConfigError

_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")


def safetensors_files(folder: Path, names: Sequence[str]) -> list[Path]:
    """The file of the first of `names` that is in the folder, or the parts its index lists.

    A name such as ``model.safetensors`` may stand for parts listed in ``model.safetensors.index.json``.
    Raises `ConfigError` when there is none; pickled weights are refused, with the reason.
    """
    for name in names:
        if (folder / name).is_file():
            return [folder / name]
        index = folder / f"{name}.index.json"
        if index.is_file():
            parts = sorted(set(read_json(index)["weight_map"].values()))
            lacking = [part for part in parts if not (folder / part).is_file()]
            if lacking:
                raise ConfigError(f"{index} lists {lacking[0]}, which is not in the folder.")
            return [folder / part for part in parts]
    pickled = sorted(path.name for path in folder.glob("*") if path.suffix in _PICKLES)
    if pickled:
        raise ConfigError(
            f"{folder} has weights only as {pickled[0]}. Such files are Python pickles, which can run any "
            f"code while they are read, so only safetensors are; convert the file and save it as {names[0]}."
        )
    raise ConfigError(f"{folder} has no weights; expected {' or '.join(names)}.")


def read_json(path: Path) -> dict:
    """A JSON file. Raises `ConfigError` when it is missing or does not parse."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path} is missing.") from None
    except json.JSONDecodeError as error:
        raise ConfigError(
            f"{path}:{error.lineno}:{error.colno}: not valid JSON: {error.msg}."
        ) from None


def load_part(module: nn.Module, files: Sequence[Path], prefixes: Sequence[str] = ("",)) -> None:
    """Fill `module` from the files' tensors, ignoring those of other parts of the saved model.

    prefixes: what the tensors' names may begin with in the files; the first under which the module's
        first tensor is found counts. A tensor that shares its memory with another (tied weights) may be absent.
    Raises `ConfigError` naming the file and the first tensor that is missing or has another shape.
    """
    wanted = module.state_dict()
    loaded: set[str] = set()
    for file in files:
        try:
            with safe_open(file, framework="pt") as stored:
                names = set(stored.keys())
                prefix = next(
                    (p for p in prefixes if any(p + name in names for name in wanted)), None
                )
                if prefix is None:
                    continue
                for name in wanted.keys() & {
                    n.removeprefix(prefix) for n in names if n.startswith(prefix)
                }:
                    _copy(wanted[name], stored.get_tensor(prefix + name), name, file)
                    loaded.add(name)
        except SafetensorError as error:
            raise ConfigError(f"{file} is no intact safetensors file: {error}.") from None
    memory = {wanted[name].data_ptr() for name in loaded}
    missing = [
        name for name in wanted if name not in loaded and wanted[name].data_ptr() not in memory
    ]
    if missing:
        places = ", ".join(str(file) for file in files)
        raise ConfigError(
            f"{places}: the tensor '{missing[0]}' is missing ({len(missing)} of {len(wanted)} are); the file "
            f"is of another architecture."
        )


def _copy(target: Tensor, value: Tensor, name: str, file: Path) -> None:
    if target.shape != value.shape:
        raise ConfigError(
            f"{file}: '{name}' is {tuple(value.shape)}, but the configured architecture has "
            f"{tuple(target.shape)}."
        )
    target.copy_(value)
