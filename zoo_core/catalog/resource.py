"""Folders of weights named in TOML: a path, or a place inside an installed package."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from zoo_core.errors import ConfigError

SCHEME = "package:"


def locate(reference: str) -> Path:
    """The folder a setting such as ``weights`` names.

    ``package:zoo_shapes/weights/tiny_vae`` is looked up in the installed package, so that a run's
    recipe holds no path of the machine it was made on; anything else is a path, ``~`` understood.
    Raises `ConfigError` when there is nothing.
    """
    if not reference.startswith(SCHEME):
        path = Path(reference).expanduser()
        if not path.exists():
            raise ConfigError(f"There is nothing at {path}, which a 'weights' setting names.")
        return path
    package, _, inside = reference.removeprefix(SCHEME).partition("/")
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise ConfigError(f"'{reference}' needs the package '{package}', which is not installed.")
    root = Path(spec.origin).parent
    path = (root / inside).resolve()
    if not path.is_relative_to(root.resolve()):
        raise ConfigError(f"'{reference}' leaves the package '{package}'.")
    if not path.exists():
        raise ConfigError(
            f"'{reference}' is missing from the installed package '{package}' ({path})."
        )
    return path
