"""Where a run's figures go besides its own JSON lines."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Logger(ABC):
    """One further sink, named in ``logging.loggers``. A run writes its JSON lines with or without it.

    Only the process that leads a run has loggers. Calls come from the training loop, which waits for
    them: a logger that sends figures elsewhere should do so in a thread of its own. One that raises is
    reported once and dropped, and training goes on (`zoo_core.runs.loggers`).
    """

    @abstractmethod
    def start(self, folder: Path, recipe: Mapping[str, Any], step: int) -> None:
        """Called once, before anything is logged, by every attempt at a run.

        folder: the run's folder; a logger that keeps files there keeps them in a folder of its own.
        recipe: the resolved recipe as plain tables. step: updates done, 0 for a new run. Whatever an
        earlier attempt logged beyond `step` is superseded.
        """

    @abstractmethod
    def scalars(self, values: Mapping[str, float], step: int, images: int) -> None:
        """Figures by name (``"train/loss"``, ``"score/tifa[shapes-reader]"``), possibly not finite.

        step: updates done. images: training samples seen.
        """

    @abstractmethod
    def image(self, name: str, image: NDArray[np.uint8], step: int) -> None:
        """A picture, uint8 [H, W, 3] in RGB, such as the grid of a milestone."""

    @abstractmethod
    def close(self) -> None:
        """Called once, after the last call: finish what is under way."""
