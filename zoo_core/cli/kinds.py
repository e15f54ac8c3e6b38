"""The words people use for kinds of components."""

from __future__ import annotations

from zoo_core.errors import UnknownNameError, did_you_mean
from zoo_core.interfaces.manifest import KINDS

PRESET = "preset"
#: Everything `zoo list` can list: component kinds and presets.
LISTABLE = (*KINDS, PRESET)

_ALSO = {"prompt-sets": "prompts", "prompt-set": "prompts", "autoencoders": "vae"}
_PLURALS = {f"{kind}s": kind for kind in LISTABLE if kind != "prompts"}
WORDS = {**{kind: kind for kind in LISTABLE}, **_PLURALS, **_ALSO}


def kind_called(word: str) -> str:
    """The kind meant by a word: singular or plural, with dash, underscore or capital letters.

    Raises `UnknownNameError` with the nearest kind.
    """
    kind = WORDS.get(word.lower().replace("_", "-"))
    if kind is None:
        hint = did_you_mean(word, LISTABLE) or f"Kinds: {', '.join(LISTABLE)}."
        raise UnknownNameError(f"No kind of component is called '{word}'. {hint}")
    return kind
