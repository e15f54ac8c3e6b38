"""The small world: coloured shapes to draw, describe and read, so that everything runs offline."""

from __future__ import annotations

from pathlib import Path

from zoo_core.host import hookimpl
from zoo_core.interfaces import Component

ZOO_API_VERSION = "1.0"


@hookimpl
def zoo_components() -> list[Component]:
    return [
        Component(
            kind="dataset",
            name="shapes",
            target="zoo_shapes.components:ShapesDataset",
            config="zoo_shapes.config:ShapesConfig",
            summary="Rendered scenes of coloured, sized, counted and placed shapes with captions",
        ),
        Component(
            kind="prompts",
            name="shapes-prompts",
            target="zoo_shapes.components:ShapesPrompts",
            config="zoo_shapes.config:ShapesPromptsConfig",
            summary="Captions of scenes that are not trained on, with questions in TIFA's format",
        ),
        Component(
            kind="vqa",
            name="shapes-reader",
            target="zoo_shapes.components:ShapesReader",
            config="zoo_shapes.config:ShapesReaderConfig",
            summary="Answers questions about scenes by analysis by synthesis",
        ),
    ]


@hookimpl
def zoo_registries() -> list[Path]:
    return [Path(__file__).with_name("registry.toml")]
