"""Scoring images that are there: by chunks, over the processes of a group, kept as it goes."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from zoo_core.errors import ConfigError
from zoo_core.evaluation.image_store import Chunk
from zoo_core.evaluation.prompt_images import PromptImages
from zoo_core.evaluation.protocol import SCORING_LIBRARIES, versions
from zoo_core.evaluation.row_store import (
    Part,
    RowStore,
    merge_versions,
    metric_identity,
    row_key,
)
from zoo_core.evaluation.rows import Row
from zoo_core.evaluation.together import agreed
from zoo_core.interfaces.group import Group
from zoo_core.interfaces.images import ImageSource
from zoo_core.interfaces.metric import Metric, Score
from zoo_core.interfaces.prompts import Prompt
from zoo_core.interfaces.reporter import Reporter


@dataclass(frozen=True)
class Scored:
    """All parts of one metric, by key in the order of the chunks."""

    parts: dict[str, Part]

    @property
    def libraries(self) -> dict[str, str]:
        """Versions of what scored them."""
        return merge_versions(part.libraries for part in self.parts.values())


def prepare(
    metrics: Sequence[Metric],
    prompts: Sequence[Prompt],
    name: str,
    references: Callable[[], ImageSource | None],
) -> ImageSource | None:
    """See to it that every metric has what it needs, before any image is drawn.

    name: of the prompt set, for messages. references: gives the real images, if any; called once, and
    only when a metric wants them. Returns them. Raises `ConfigError`.
    """
    found = None
    wanted = [metric for metric in metrics if "references" in metric.needs]
    if wanted:
        found = references()
        if found is None:
            raise ConfigError(
                f"The metric {wanted[0].name} compares with real images, and the prompt set '{name}' has "
                "none. Name a folder of them with --reference DIR."
            )
        for metric in wanted:
            metric.use_references(found)
    for metric in metrics:
        if "questions" in metric.needs and not any(prompt.questions for prompt in prompts):
            raise ConfigError(
                f"The metric {metric.name} asks questions about images, and the prompt set '{name}' has "
                "none. Choose a prompt set with questions, such as TIFA's, or other metrics."
            )
    return found


def score_chunks(
    metric: Metric,
    chunks: Sequence[Chunk],
    images: PromptImages,
    store: RowStore,
    group: Group,
    scorers: int,
    reporter: Reporter,
    interrupted: Callable[[], bool],
) -> Scored | None:
    """Rows of every chunk, scored now or found; on the leader (others get no parts).

    The first `scorers` processes of the group take part. None, in every process, when any was
    interrupted; what was scored until then is kept.
    """
    keys: list[str] = []
    found: dict[str, Part] = {}
    with agreed(group):
        if group.leads:
            identity = metric_identity(metric)
            keys = [row_key(identity, chunk, images) for chunk in chunks]
            found = store.find(metric.name, keys)
    pending: list[int] = group.broadcast(
        [number for number, key in enumerate(keys) if key not in found]
    )
    libraries = versions(SCORING_LIBRARIES)
    total = sum(len(chunk) for chunk in chunks)
    done = total - sum(len(chunks[number]) for number in pending)
    with reporter.progress(f"scoring {metric.name}", total, "images", done=done) as progress:
        for first in range(0, len(pending), scorers):
            if group.any(interrupted()):
                return None
            batch = pending[first : first + scorers]
            mine: list[Row] | None = None
            with agreed(group):
                if group.rank < len(batch):
                    chunk = chunks[batch[group.rank]]
                    mine = metric.score_images(chunk, images.read(chunk))
            gathered = group.gather(mine)
            with agreed(group):
                for number, rows in zip(batch, gathered or [], strict=False):
                    assert rows is not None, "every process of the batch scored its chunk"
                    found[keys[number]] = store.add(metric.name, keys[number], rows, libraries)
                    progress.advance(len(chunks[number]))
    return Scored({key: found[key] for key in keys})


def summarize(metric: Metric, rows: Sequence[Row], tell: Callable[[str], None]) -> Score:
    """The metric's score; what it warns of is told.

    Raises `ConfigError` where no image could be scored.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        try:
            score = metric.summarize(rows)
        except ValueError as error:
            if rows:
                raise
            raise ConfigError(str(error)) from None
    for warning in caught:
        if issubclass(warning.category, UserWarning):
            tell(str(warning.message))
    return score
