"""Settings of the prompt sets in files, and the shape of a JSON line."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from zoo_core.schema import Config


class PromptFileConfig(Config, frozen=True):
    """A file of prompts."""

    path: Annotated[
        str,
        Meta(description="The file: plain text (.txt), a prompt a line, or JSON lines (.jsonl)"),
    ]


class CocoConfig(Config, frozen=True):
    """COCO's caption annotations, and which of them are prompts."""

    path: Annotated[str, Meta(description="The annotations, such as captions_val2014.json")]
    images: Annotated[
        str, Meta(description="Folder of the images, such as val2014; none without it")
    ] = ""
    count: Annotated[int, Meta(ge=1, description="Images selected, each with one caption")] = 10_000
    seed: Annotated[int, Meta(ge=0, description="Seed of the selection")] = 0
    selection: Annotated[
        str,
        Meta(
            description="A file of annotation ids, one a line, in place of count and seed; "
            "python -m zoo_prompt_files.select writes one"
        ),
    ] = ""


class QuestionLine(Config, frozen=True):
    """A question of a JSON line, in TIFA's words."""

    question: str
    choices: tuple[str, ...]
    answer: str
    element_type: str = "other"
    element: str = ""
    parents: tuple[int, ...] = ()


class PromptLine(Config, frozen=True):
    """A JSON line."""

    id: Annotated[str, Meta(min_length=1)] | int
    text: Annotated[str, Meta(min_length=1)]
    questions: tuple[QuestionLine, ...] = ()
