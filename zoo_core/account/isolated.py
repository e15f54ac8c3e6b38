"""Counting a family without a closed form: in a process of its own, remembered in a file.

Light: torch is imported only by the child process.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import subprocess
import sys
from dataclasses import asdict
from importlib import metadata
from pathlib import Path

import msgspec

from zoo_core.account.record import Account
from zoo_core.errors import PluginError
from zoo_core.interfaces import BackboneConfig, Component


def count_in_subprocess(
    component: Component,
    config: BackboneConfig,
    latent_size: int,
    text_tokens: int,
    cache: Path | None,
) -> Account:
    """The account of `component` with `config`, counted on the meta device by another process.

    cache: folder of remembered counts, made when missing; None remembers nothing. A count belongs to
        the family's source, its settings, the sizes, and the versions of torch and diffusers.
    Raises `PluginError` naming the target with the child's last words when it cannot be counted.
    """
    request = [
        component.target,
        component.config,
        msgspec.json.encode(config).decode(),
        str(latent_size),
        str(text_tokens),
    ]
    if cache is None:
        return _count(component, request)
    entry = cache / f"{_key(component, request)}.json"
    remembered = _read(entry)
    if remembered is None:
        remembered = _count(component, request)
        cache.mkdir(parents=True, exist_ok=True)
        # A name of its own until complete, so that no reader meets half a file.
        partial = entry.with_suffix(f".{os.getpid()}.partial")
        partial.write_bytes(msgspec.json.encode(asdict(remembered)))
        partial.replace(entry)
    return remembered


def _count(component: Component, request: list[str]) -> Account:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    child = subprocess.run(
        [sys.executable, "-m", "zoo_core.account.meta", *request],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if child.returncode:
        words = child.stderr.strip().splitlines() or [f"exit code {child.returncode}"]
        raise PluginError(
            f"The account of the {component.kind} family '{component.name}' ({component.target}) cannot be "
            f"counted: {words[-1]}"
        )
    # Libraries may print while they are imported; the account is the last line.
    return msgspec.json.decode(child.stdout.strip().splitlines()[-1], type=Account)


def _read(entry: Path) -> Account | None:
    """A remembered count, or None when there is none or it is damaged and must be counted again."""
    try:
        return msgspec.json.decode(entry.read_bytes(), type=Account)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def _key(component: Component, request: list[str]) -> str:
    digest = hashlib.sha256()
    for part in (*request, *(f"{name} {_version(name)}" for name in ("torch", "diffusers"))):
        digest.update(part.encode() + b"\0")
    for source in _sources(component.target.partition(":")[0]):
        digest.update(source.read_bytes() + b"\0")
    return digest.hexdigest()


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "absent"


def _sources(module: str) -> list[Path]:
    """The Python files of the top package that holds `module`, or its single file."""
    spec = importlib.util.find_spec(module.partition(".")[0])
    if spec is None:
        raise PluginError(f"The module {module} cannot be found; is its distribution installed?")
    folders = [Path(folder) for folder in spec.submodule_search_locations or []]
    if folders:
        return sorted(path for folder in folders for path in folder.rglob("*.py"))
    return [Path(spec.origin)] if spec.origin else []
