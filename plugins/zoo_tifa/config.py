"""Settings of the TIFA metric and of its question files. Light: no torch, no numpy."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from zoo_core.schema import Config


class TIFAConfig(Config, frozen=True):
    """Which model answers the questions, and how a free answer becomes a choice.

    The names of both are part of the score's name.
    """

    vqa: Annotated[str, Meta(description="Name of the question answering component")]
    embedding: Annotated[
        Literal["", "all-mpnet-base-v2"],
        Meta(
            description="Sentence embedding that gives a free answer to the nearest choice; "
            "all-mpnet-base-v2 is TIFA v1.0's. Empty: an answer that is no choice is wrong"
        ),
    ] = ""
    weights: Annotated[
        str,
        Meta(
            description="The folder of the embedding's config.json, tokenizer.json and model.safetensors, "
            "or package:NAME/FOLDER; empty for $ZOO_WEIGHTS and the hub's cache"
        ),
    ] = ""
    sha256: Annotated[
        str,
        Meta(
            description="The SHA-256 that the embedding's weights must have; empty for the published one, "
            "'any' to record it alone"
        ),
    ] = ""


class TIFAFileConfig(Config, frozen=True):
    """Where the files are."""

    path: Annotated[
        str,
        Meta(
            min_length=1,
            description="The questions, such as tifa_v1.0_question_answers.json; or prompts without "
            "questions, such as tifa_v1.0_text_inputs.json, for other metrics",
        ),
    ]
    texts: Annotated[
        str,
        Meta(
            description="The prompts, such as tifa_v1.0_text_inputs.json: gives their order, and those "
            "without questions; empty to take the prompts of the questions"
        ),
    ] = ""
