"""Published weights: where they come from, where they are found, and proof that they are the right ones.

A `PinnedFile` names one file of a publication. `locate_pinned` finds it (a folder of the user's, the
folder ``$ZOO_WEIGHTS``, the local cache of the Hugging Face hub, or a download where
``ZOO_DOWNLOAD=1`` allows it) and refuses a file whose SHA-256 is another than the published one.
`load_state` reads its tensors, and never runs a pickle. Files of unknown hash are accepted, and
`pinned_protocol` puts the hash that was found into the score's protocol either way.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import zipfile
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any

from zoo_core.catalog.cache import cache_folder
from zoo_core.catalog.resource import locate
from zoo_core.errors import ConfigError

if TYPE_CHECKING:
    from torch import Tensor

FOLDER_VARIABLE = "ZOO_WEIGHTS"
DOWNLOAD_VARIABLE = "ZOO_DOWNLOAD"
PICKLES = (".bin", ".pt", ".pth", ".ckpt")


@dataclass(frozen=True)
class PinnedFile:
    """One file of published weights.

    name: what people call it; also its folder under ``$ZOO_WEIGHTS`` when there is no `repo`.
    file: the file's name there; may lie in a folder (``"blip/model.safetensors"``).
    licence: the terms it is published under, in a few words.
    repo: the hub repository, as ``"owner/name"``; revision: its commit. None where it is not confirmed.
    url: a plain address, for files that no hub repository has.
    sha256: 64 hexadecimal digits; None where it is not confirmed. size: bytes, for the message.
    """

    name: str
    file: str
    licence: str
    repo: str | None = None
    revision: str | None = None
    url: str | None = None
    sha256: str | None = None
    size: int | None = None

    def expecting(self, sha256: str) -> PinnedFile:
        """The same file held to another hash, as a setting asks: a fine-tuned or converted copy.

        sha256: empty for the published hash, ``"any"`` to accept every file and record its hash, or
        64 hexadecimal digits. Raises `ConfigError` for anything else.
        """
        if not sha256:
            return self
        if sha256 == "any":
            return replace(self, sha256=None)
        if not re.fullmatch(r"[0-9a-fA-F]{64}", sha256):
            raise ConfigError(
                f"'{sha256}' is no SHA-256; write its 64 hexadecimal digits, or 'any' to accept the file "
                f"and record its hash.",
                key="sha256",
            )
        return replace(self, sha256=sha256.lower())

    @property
    def place(self) -> str:
        """The folder under ``$ZOO_WEIGHTS`` that the file belongs into."""
        return self.repo or self.name

    @property
    def source(self) -> str:
        """Where it is published, in words."""
        if self.repo is None:
            return self.url or "no published address"
        at = f" at revision {self.revision}" if self.revision else ""
        return f"the hub repository {self.repo}{at}"


def weights_folder() -> Path:
    """``$ZOO_WEIGHTS``, else ``weights`` in the cache folder."""
    chosen = os.environ.get(FOLDER_VARIABLE)
    return Path(chosen).expanduser() if chosen else cache_folder() / "weights"


def locate_pinned(pinned: PinnedFile, folder: str | None = None, setting: str = "weights") -> Path:
    """The path of the file, found and checked.

    folder: what the user's settings name, a folder (or the file itself) or ``package:NAME/FOLDER``;
    None or empty to look into ``$ZOO_WEIGHTS/<repo or name>``, then into the hub's local cache, then to
    download where ``ZOO_DOWNLOAD=1`` (`HF_ENDPOINT` names a mirror). A folder that is named is the only
    place looked at. setting: the key that names the folder, for messages. Raises `ConfigError` when there
    is no such file, or its SHA-256 is another.
    """
    if folder:
        path = _in_named_folder(pinned, locate(folder), setting)
    else:
        found_here = _in_weights_folder(pinned) or _in_hub_cache(pinned)
        path = found_here or _downloaded(pinned, setting)
    if pinned.sha256 is not None and (found := content_sha256(path)) != pinned.sha256:
        raise ConfigError(
            f"{path} is not the published {pinned.name}: its SHA-256 is {found}, that of {pinned.source} "
            f"is {pinned.sha256}; fetch the file again, or set sha256 to accept another one."
        )
    return path


def _in_named_folder(pinned: PinnedFile, place: Path, setting: str) -> Path:
    if place.is_file():
        return place
    for path in (place / pinned.file, place / Path(pinned.file).name):
        if path.is_file():
            return path
    raise ConfigError(_missing(pinned, place, setting))


def _in_weights_folder(pinned: PinnedFile) -> Path | None:
    path = weights_folder() / pinned.place / pinned.file
    return path if path.is_file() else None


def _in_hub_cache(pinned: PinnedFile) -> Path | None:
    if pinned.repo is None:
        return None
    from huggingface_hub import try_to_load_from_cache  # takes a quarter of a second

    found = try_to_load_from_cache(pinned.repo, pinned.file, revision=pinned.revision)
    return Path(found) if isinstance(found, str) else None


def _downloaded(pinned: PinnedFile, setting: str) -> Path:
    if os.environ.get(DOWNLOAD_VARIABLE) != "1" or (pinned.repo or pinned.url) is None:
        raise ConfigError(_missing(pinned, weights_folder() / pinned.place, setting))
    from huggingface_hub.errors import HTTPError

    try:
        return _from_hub(pinned) if pinned.repo else _from_url(pinned)
    # Most of the hub's errors are an OSError or a ValueError, a connection that breaks off is not.
    except (OSError, ValueError, HTTPError) as error:
        reason = " ".join(str(error).split())[:300]
        raise ConfigError(
            f"{pinned.name}: downloading {pinned.file} from {pinned.source} failed: {reason}. "
            f"{_by_hand(pinned, setting)}"
        ) from None


def _from_hub(pinned: PinnedFile) -> Path:
    from huggingface_hub import hf_hub_download

    assert pinned.repo is not None
    mirror = os.environ.get("HF_ENDPOINT") or None
    return Path(
        hf_hub_download(pinned.repo, pinned.file, revision=pinned.revision, endpoint=mirror)
    )


def _from_url(pinned: PinnedFile) -> Path:
    from torch.hub import download_url_to_file  # writes beside the target and renames when whole

    assert pinned.url is not None
    path = weights_folder() / pinned.place / pinned.file
    path.parent.mkdir(parents=True, exist_ok=True)
    download_url_to_file(pinned.url, str(path))
    return path


def _missing(pinned: PinnedFile, place: Path, setting: str) -> str:
    return f"{pinned.name}: the file {pinned.file} is not in {place}. {_by_hand(pinned, setting)}"


def _by_hand(pinned: PinnedFile, setting: str) -> str:
    size = f", {_megabytes(pinned.size)}" if pinned.size else ""
    allow = (
        f", or set {DOWNLOAD_VARIABLE}=1 to have it fetched" if pinned.repo or pinned.url else ""
    )
    return (
        f"Put it there from {pinned.source} (licence: {pinned.licence}{size}), or name its folder by the "
        f"'{setting}' setting{allow}."
    )


def _megabytes(size: int) -> str:
    return f"{size / 1e9:.2f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"


def content_sha256(path: Path) -> str:
    """The SHA-256 of a file, 64 hexadecimal digits.

    Remembered under the cache folder by path, size and time of change, so that files of gigabytes
    are read once. Raises `ConfigError` when the file cannot be read.
    """
    try:
        path = path.resolve()
        status = path.stat()
        stamp = {"path": str(path), "size": status.st_size, "modified": status.st_mtime_ns}
        name = hashlib.blake2b(str(path).encode(), digest_size=16).hexdigest()
        note = cache_folder() / "sha256" / f"{name}.json"
        known = _remembered(note)
        if all(known.get(key) == value for key, value in stamp.items()):
            return str(known["sha256"])
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror or error}.") from None
    # A cache that cannot be written costs the next run a second reading, and nothing else.
    with suppress(OSError):
        note.parent.mkdir(parents=True, exist_ok=True)
        temporary = note.with_suffix(f".{os.getpid()}.tmp")
        temporary.write_text(json.dumps({**stamp, "sha256": digest}), encoding="utf-8")
        temporary.replace(note)
    return digest


def _remembered(note: Path) -> dict[str, Any]:
    try:
        known = json.loads(note.read_bytes())
    except (OSError, ValueError):  # not there, or cut off by a full disk
        return {}
    return known if isinstance(known, dict) else {}


def pinned_protocol(pinned: PinnedFile, path: Path) -> dict[str, str]:
    """What a score's protocol says of its weights; `sha256` is that of the file which was found."""
    entries = {
        "file": pinned.file,
        "source": pinned.repo or pinned.url or pinned.name,
        "revision": pinned.revision,
        "sha256": content_sha256(path),
    }
    return {key: value for key, value in entries.items() if value is not None}


def load_state(path: Path, under: str | None = None) -> dict[str, Tensor]:
    """The tensors of a weights file by name, on the CPU, in their own dtypes.

    path: ``.safetensors``, or ``.bin``, ``.pt``, ``.pth``, ``.ckpt`` as `torch.save` writes them; the
    latter are pickles and are read by torch's restricted reader, which runs no code of theirs.
    under: the key of the checkpoint that the tensors lie under, such as ``"state_dict"``; what else
    the checkpoint holds is left alone. Raises `ConfigError` for a damaged file, a TorchScript program,
    and anything that is no tensor.
    """
    if path.suffix == ".safetensors":
        content: Any = _safetensors(path)
    elif path.suffix in PICKLES:
        content = _pickled(path)
    else:
        raise ConfigError(f"{path}: weights end in .safetensors, {', '.join(PICKLES)}.")
    if under is not None:
        if not isinstance(content, dict) or under not in content:
            raise ConfigError(f"{path} has no '{under}', under which its tensors should lie.")
        content = content[under]
    return _only_tensors(path, content)


def _safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise ConfigError(f"{path} is no intact safetensors file: {error}.") from None


def _pickled(path: Path) -> Any:
    import torch

    if (kind := _archive(path)) == "TorchScript":
        raise ConfigError(
            f"{path} is a TorchScript program, which is not run; use the weights saved as tensors "
            f"(safetensors, or a state dict)."
        )
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=kind == "zip")
    except UnpicklingError as error:
        if blocked := re.search(r"GLOBAL (\S+)", str(error)):
            raise ConfigError(
                f"{path} is a Python pickle that holds {blocked[1]} besides tensors. Reading it would run "
                f"code, so it is refused; save the tensors alone, best as safetensors."
            ) from None
        raise ConfigError(f"{path} is no intact weights file of torch.") from None
    except (EOFError, OSError, RuntimeError) as error:
        first = (str(error).splitlines() or ["it ends too soon"])[0]
        raise ConfigError(f"{path} is no intact weights file of torch: {first}") from None


def _archive(path: Path) -> str | None:
    """``"zip"`` for torch's present format, ``"TorchScript"`` for a program, None for the old format."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError):
        return None
    return "TorchScript" if any(name.endswith("/constants.pkl") for name in names) else "zip"


def _only_tensors(path: Path, content: Any) -> dict[str, Tensor]:
    from torch import Tensor

    if not isinstance(content, dict):
        raise ConfigError(f"{path} holds a {type(content).__name__}; expected tensors by name.")
    for name, value in content.items():
        if not isinstance(value, Tensor):
            raise ConfigError(
                f"{path}: '{name}' is a {type(value).__name__}, not a tensor; expected tensors by name."
            )
    return {str(name): value.detach() for name, value in content.items()}
