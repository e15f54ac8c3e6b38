"""Which prompt set is meant: a name of the catalogue, or somebody's file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from zoo_core.catalog import Catalog
from zoo_core.errors import ConfigError, did_you_mean

#: The components that read files, by what the file is.
TEXT_OR_LINES = "prompt-file"
COCO = "coco-captions"
TIFA = "tifa-file"


def choose_prompts(catalog: Catalog, given: str) -> dict[str, Any]:
    """The recipe's table ``[prompts]`` for a name or a file: its component's name, and its path.

    Plain text (.txt) and JSON lines (.jsonl) are told by the ending; of a .json file the first
    character tells COCO's annotations (a table) from TIFA's questions (a list). Raises `ConfigError`.
    """
    if given in catalog.names("prompts"):
        return {"name": given}
    path = Path(given)
    if not path.is_file():
        hint = did_you_mean(given, catalog.names("prompts"))
        if given.isdigit():
            hint = f"For the first {given} prompts of a set use --limit {given}."
        raise ConfigError(
            f"--prompts {given}: neither a file nor a prompt set of the catalogue ('zoo list prompts' shows "
            f"them). {hint}".rstrip()
        )
    return {"name": _reader(path), "path": str(path)}


def _reader(path: Path) -> str:
    suffix = path.suffix.lower()
    if suffix in (".txt", ".jsonl"):
        return TEXT_OR_LINES
    if suffix == ".json":
        with path.open("rb") as file:
            head = file.read(4096).lstrip(b"\xef\xbb\xbf \t\r\n")
        if head[:1] == b"[":
            return TIFA
        if head[:1] == b"{":
            return COCO
    raise ConfigError(
        f"{path}: not a prompt file. Expected plain text (.txt, a prompt a line), JSON lines (.jsonl), "
        "TIFA's questions or COCO's caption annotations (.json)."
    )
