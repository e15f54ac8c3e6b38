"""Prompt sets in files: plain text, JSON lines, and COCO's caption annotations."""

from __future__ import annotations

from zoo_core.host import hookimpl
from zoo_core.interfaces import Component

ZOO_API_VERSION = "1.0"


@hookimpl
def zoo_components() -> list[Component]:
    return [
        Component(
            kind="prompts",
            name="prompt-file",
            target="zoo_prompt_files.lines:build",
            config="zoo_prompt_files.config:PromptFileConfig",
            summary="Prompts of a text file (one a line) or of JSON lines (id, text, questions)",
        ),
        Component(
            kind="prompts",
            name="coco-captions",
            target="zoo_prompt_files.coco:build",
            config="zoo_prompt_files.config:CocoConfig",
            summary="A seeded selection of COCO's captions, one an image, with the images to compare",
        ),
    ]
