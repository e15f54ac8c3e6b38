"""Drawing prompts with a trained run."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from zoo_core.catalog import Catalog
from zoo_core.errors import RunError
from zoo_core.evaluation.grid import save_grid
from zoo_core.interfaces.prompts import Prompt
from zoo_core.interfaces.reporter import Reporter
from zoo_core.workflow.load import load_run


def sample(
    catalog: Catalog,
    run_path: Path,
    prompts: list[str],
    output: Path,
    count: int,
    overrides: dict[str, Any],
    reporter: Reporter,
) -> list[Path]:
    """Draw `count` images of each prompt into `output` and a grid of all as ``grid.png``.

    The noise of an image depends on the sampling seed, the prompt and the image's number alone.
    Returns the files written, the grid last.
    """
    loaded = load_run(catalog, run_path, overrides=overrides)
    wanted = [
        Prompt(text if number == 0 else f"{text}#{number}", text)
        for text in prompts
        for number in range(count)
    ]
    images = loaded.painter.draw(loaded.backbone, wanted, reporter)
    written = []
    try:
        output.mkdir(parents=True, exist_ok=True)
        for place, (prompt, image) in enumerate(zip(wanted, images, strict=True)):
            path = output / f"{place:04d}-{_slug(prompt.text)}.png"
            Image.fromarray(image).save(path, pnginfo=_provenance(loaded, prompt))
            written.append(path)
        grid = output / "grid.png"
        save_grid(
            grid,
            images,
            [prompt.text for prompt in wanted],
            columns=max(count, 1) if count > 1 else None,
        )
    except OSError as error:
        raise RunError(
            f"Images cannot be written to {output}: {error.strerror or error}."
        ) from error
    return [*written, grid]


def _provenance(loaded: Any, prompt: Prompt) -> PngInfo:
    """Text fields of the PNG that say how the image came about."""
    sampling = loaded.recipe.sampling
    info = PngInfo()
    for key, value in {
        "prompt": prompt.text,
        "run": str(loaded.run.path.name),
        "backbone": loaded.recipe.name,
        "step": loaded.step,
        "seed": sampling.seed,
        "scheduler": f"{sampling.scheduler}, {sampling.steps} steps, guidance {sampling.guidance:g}",
    }.items():
        info.add_itxt(f"zoo:{key}", str(value))
    return info


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:48] or "image"
