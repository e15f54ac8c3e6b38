"""A run's loggers as one: whatever is wrong with one of them stops neither training nor the others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from zoo_core.interfaces.logger import Logger

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

#: Of the rows of logs: what says when, not what.
_PLACE = ("step", "images", "attempt", "time")


class Loggers:
    """Passes everything on to each logger. Usable as a context manager, which closes them.

    A logger that raises is named to `warn` in a sentence, closed, and left out from then on, so there
    is one warning a logger at most. Without loggers every call does nothing.
    """

    def __init__(self, loggers: Mapping[str, Logger], warn: Callable[[str], None]) -> None:
        self._loggers = dict(loggers)
        self._warn = warn

    @property
    def names(self) -> list[str]:
        """Those that still work."""
        return list(self._loggers)

    def start(self, folder: Path, recipe: Mapping[str, Any], step: int) -> None:
        """See `Logger.start`."""
        self._each(lambda logger: logger.start(folder, recipe, step))

    def scalars(self, values: Mapping[str, float], step: int, images: int) -> None:
        """See `Logger.scalars`. Nothing is passed on when there are no values."""
        if values:
            self._each(lambda logger: logger.scalars(values, step, images))

    def image(self, name: str, image: Path | NDArray[np.uint8], step: int) -> None:
        """See `Logger.image`; `image` is the picture, uint8 [H, W, 3], or a file that holds it.

        A file that cannot be read is told, and no logger is blamed for it.
        """
        if not self._loggers:
            return
        if isinstance(image, Path):
            try:
                pixels = _read(image)
            except OSError as error:
                self._warn(f"{image}: cannot be read for the loggers ({error}).")
                return
        else:
            pixels = image
        self._each(lambda logger: logger.image(name, pixels, step))

    def close(self) -> None:
        """Close those that still work; none is left."""
        self._each(lambda logger: logger.close(), closing=True)
        self._loggers.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def _each(self, call: Callable[[Logger], None], closing: bool = False) -> None:
        for name, logger in list(self._loggers.items()):
            try:
                call(logger)
            except Exception as error:
                del self._loggers[name]
                also = "" if closing else _closed(logger)
                self._warn(
                    f"The logger '{name}' failed and gets nothing more ({_words(error)}{also}). Training "
                    "goes on; the run's own logs are complete."
                )


def training_scalars(row: Mapping[str, Any]) -> dict[str, float]:
    """The figures of a row of ``train.jsonl`` as ``train/NAME``, of tables in it as ``train/NAME/KEY``."""
    return dict(_numbers("train", row))


def score_scalars(rows: Iterable[Mapping[str, Any]]) -> dict[str, float]:
    """The scores of a milestone's rows of ``scores.jsonl`` as ``score/METRIC``."""
    return {f"score/{row['metric']}": float(row["value"]) for row in rows}


def _numbers(prefix: str, row: Mapping[str, Any]) -> Iterable[tuple[str, float]]:
    for key, value in row.items():
        if isinstance(value, Mapping):
            yield from _numbers(f"{prefix}/{key}", value)
        elif isinstance(value, (int, float)) and not isinstance(value, bool) and key not in _PLACE:
            yield f"{prefix}/{key}", float(value)


def _closed(logger: Logger) -> str:
    """Close a logger that failed; what goes wrong with that too, for the sentence about it."""
    try:
        logger.close()
    except Exception as error:
        return f"; closing it failed too, {_words(error)}"
    return ""


def _words(error: Exception) -> str:
    text = " ".join(str(error).split())[:300]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _read(path: Path) -> NDArray[np.uint8]:
    import numpy as np
    from PIL import Image

    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))
