"""The event writer that comes with torch, behind the `Logger` interface."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tomli_w
from numpy.typing import NDArray
from torch.utils.tensorboard import SummaryWriter

from zoo_core.interfaces.logger import Logger
from zoo_tensorboard.config import TensorBoardConfig


def build(config: TensorBoardConfig) -> TensorBoard:
    """The logger with its settings; nothing is written before `TensorBoard.start`."""
    return TensorBoard(config)


class TensorBoard(Logger):
    """Writes under ``RUN/tensorboard``, a new event file each attempt; ``tensorboard --logdir RUN`` shows it.

    An attempt that goes on from a checkpoint says in its file from which step on earlier files are
    void, so that a curve has one value a step.
    """

    def __init__(self, config: TensorBoardConfig) -> None:
        self._config = config
        self._writer: SummaryWriter | None = None

    def start(self, folder: Path, recipe: Mapping[str, Any], step: int) -> None:
        # The checkpoint's own step stands: it was logged before the checkpoint was published.
        self._writer = SummaryWriter(
            log_dir=str(folder / self._config.folder),
            purge_step=step + 1 if step else 0,
            flush_secs=self._config.flush_seconds,
        )
        self._writer.add_text("recipe", _as_code(tomli_w.dumps(recipe)), step)

    def scalars(self, values: Mapping[str, float], step: int, images: int) -> None:
        """Each figure at `step`, and the images seen as ``progress/images``."""
        writer = self._started()
        for name, value in values.items():
            writer.add_scalar(name, value, step)
        writer.add_scalar("progress/images", images, step)

    def image(self, name: str, image: NDArray[np.uint8], step: int) -> None:
        self._started().add_image(name, image, step, dataformats="HWC")

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()

    def _started(self) -> SummaryWriter:
        assert self._writer is not None, "a logger is started before it is used"
        return self._writer


def _as_code(text: str) -> str:
    """Text as Markdown that shows it as it is: indented, since a fence could occur in the text."""
    return "".join(f"    {line}\n" for line in text.splitlines())
