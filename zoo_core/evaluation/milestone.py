"""One point of a learning curve: draw the prompts, score them, keep the images and the rows."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoo_core.evaluation.drawing import Painter
from zoo_core.evaluation.image_files import encode_image
from zoo_core.evaluation.image_store import (
    IMAGES,
    Chunk,
    ImageStore,
    StoredImages,
    chunk_key,
    chunks_of,
)
from zoo_core.evaluation.place import Place
from zoo_core.evaluation.prompt_images import PromptImages, check_prompts
from zoo_core.evaluation.protocol import (
    DRAWING_LIBRARIES,
    drawing_protocol,
    fingerprint,
    protocol,
    versions,
)
from zoo_core.evaluation.result import Evaluation, ScoreLine
from zoo_core.evaluation.row_store import RowStore, merge_versions
from zoo_core.evaluation.rows import Row
from zoo_core.evaluation.scoring import Scored, prepare, score_chunks, summarize
from zoo_core.evaluation.together import agreed
from zoo_core.interfaces.backbone import Backbone
from zoo_core.interfaces.group import Alone, Group
from zoo_core.interfaces.images import ImageSource
from zoo_core.interfaces.metric import Metric
from zoo_core.interfaces.prompts import Prompt
from zoo_core.interfaces.reporter import Reporter
from zoo_core.recipe import Recipe
from zoo_core.recipe.components import Components
from zoo_core.runs.folder import RunFolder
from zoo_core.runs.scores import weights_hash

Studio = Callable[[], tuple[Painter, Backbone]]
"""Loads what draws, when there is something to draw."""


class Evaluator:
    """Scores a backbone under a recipe's protocol, as often as asked. Built once a process.

    In a group every process makes the same calls; each draws and scores its share, and the leader
    alone writes. Raises `ConfigError` at once when a metric lacks what it needs.
    """

    def __init__(
        self,
        recipe: Recipe,
        components: Components,
        painter: Painter | None = None,
        group: Group | None = None,
        references: ImageSource | None = None,
        weights: str = "raw",
    ) -> None:
        self.recipe = recipe
        self.painter = painter
        self.group = group or Alone()
        self.prompts = components.prompts()
        self.metrics = components.metrics()
        self._name = recipe.slots["prompts"].name
        self._told: set[str] = set()
        self._drawing = drawing_protocol(recipe, weights)
        everything = self.prompts.prompts()
        check_prompts(everything, self._name)
        self._references = prepare(
            self.metrics,
            everything,
            self._name,
            lambda: self.prompts.references() if references is None else references,
        )

    def evaluate(
        self,
        backbone: Backbone,
        limit: int | None,
        reporter: Reporter,
        interrupted: Callable[[], bool] = lambda: False,
        run: RunFolder | None = None,
        step: int | None = None,
    ) -> Evaluation | None:
        """Draw the first `limit` prompts (all when None) and score them; None when interrupted.

        run, step: where the weights have a published checkpoint, images and rows are kept in the run
        folder, and what an interrupted call left there is used. Raises `RunError`, in every process,
        when the folder cannot be written.
        """
        assert self.painter is not None, "to draw, an evaluator needs a painter"
        painter = self.painter
        place = None
        with agreed(self.group):
            if self.group.leads and run is not None and step is not None:
                found = weights_hash(run, step)
                place = None if found is None else Place(run.path, step, found, milestone=True)
        return self.evaluate_at(place, lambda: (painter, backbone), limit, reporter, interrupted)

    def evaluate_at(
        self,
        place: Place | None,
        studio: Studio,
        limit: int | None,
        reporter: Reporter,
        interrupted: Callable[[], bool] = lambda: False,
    ) -> Evaluation | None:
        """As `evaluate`, with what draws loaded only when an image is missing.

        place: where images and rows are kept; a folder that is gone afterwards when None. The
        leader's counts.
        """
        prompts = self.prompts.prompts(limit)
        chunks = chunks_of(prompts, self.recipe.sampling.batch_size)
        with self._folder(place) as folder:
            images = self._draw(folder, chunks, studio, reporter, interrupted)
            if images is None:
                return None
            # Where the run folder is not shared among machines, the leader's own processes score.
            seen = not self.group.any(not (folder / IMAGES).is_dir())
            scorers = self.group.size if seen else 1
            evaluation = Evaluation(list(prompts))
            for metric in self.metrics:
                scored = score_chunks(
                    metric,
                    chunks,
                    images.source,
                    RowStore(folder),
                    self.group,
                    scorers,
                    reporter,
                    interrupted,
                )
                if scored is None:
                    return None
                with agreed(self.group):
                    if self.group.leads:
                        kept = place is not None
                        line, rows = self._sum_up(
                            metric, scored, prompts, images, folder, kept, reporter
                        )
                        evaluation.lines.append(line)
                        evaluation.rows[metric.name] = rows
            with agreed(self.group):
                if self.group.leads:
                    shown = prompts[: self.recipe.evaluation.grid]
                    evaluation.images.extend(images.source.read(shown))
            evaluation.lines[:] = self.group.broadcast(
                [line.located(place) for line in evaluation.lines]
            )
        return evaluation

    @contextmanager
    def _folder(self, place: Place | None) -> Iterator[Path]:
        """The folder to work in, the same in all processes; the leader's `place` counts."""
        path = ""
        temporary = None
        with agreed(self.group):
            if self.group.leads and place is None:
                temporary = tempfile.TemporaryDirectory(prefix="zoo-eval-")
                path = temporary.name
            elif self.group.leads and place is not None:
                prompts = {"set": self._name, "hash": self.prompts.fingerprint()}
                folder = place.open(self._drawing, prompts, self.recipe.sampling.batch_size)
                if place.milestone:
                    place.retire_others(folder, self.recipe.evaluation.keep_images)
                path = str(folder)
        try:
            yield Path(self.group.broadcast(path))
        finally:
            if temporary is not None:
                temporary.cleanup()

    def _draw(
        self,
        folder: Path,
        chunks: Sequence[Chunk],
        studio: Studio,
        reporter: Reporter,
        interrupted: Callable[[], bool],
    ) -> _Drawn | None:
        """All images, drawn now or found; None when interrupted."""
        store = ImageStore(folder)
        lines: dict[str, dict[str, Any]] = {}
        missing: list[int] = []
        with agreed(self.group):
            if self.group.leads:
                lines = store.finished(chunks)
                missing = [
                    number for number, chunk in enumerate(chunks) if chunk_key(chunk) not in lines
                ]
        missing = self.group.broadcast(missing)
        if missing:
            painter, backbone = studio()
            wanted = [chunks[number] for number in missing]
            libraries = versions(DRAWING_LIBRARIES)

            def keep(number: int, encoded: list[bytes]) -> None:
                line = store.add(wanted[number], encoded, libraries)
                lines[line["chunk"]] = line

            there = sum(map(len, chunks)) - sum(map(len, wanted))
            finished = painter.draw_chunks(
                backbone,
                wanted,
                lambda images: [encode_image(image) for image in images],
                keep,
                reporter,
                interrupted,
                done=there,
            )
            if not finished:
                return None
        digests = {
            prompt_id: digest
            for line in lines.values()
            for prompt_id, (_, digest) in line["images"].items()
        }
        drawn_by = merge_versions(line["libraries"] for line in lines.values())
        return _Drawn(StoredImages(store, self.group.broadcast(digests)), drawn_by)

    def _sum_up(
        self,
        metric: Metric,
        scored: Scored,
        prompts: Sequence[Prompt],
        images: _Drawn,
        folder: Path,
        kept: bool,
        reporter: Reporter,
    ) -> tuple[ScoreLine, list[Row]]:
        """In the leader: the score of all rows with its protocol, and the rows as one table."""
        compared = self._references if "references" in metric.needs else None
        ingredients = protocol(
            self._drawing,
            {"set": self._name, "hash": self.prompts.fingerprint(), "count": len(prompts)},
            {"name": metric.name, **metric.protocol()},
            None if compared is None else compared.fingerprint(),
            {"drawing": images.libraries, "scoring": scored.libraries},
        )
        texts = {prompt.id: prompt.text for prompt in prompts}
        path, rows = RowStore(folder).finish(
            metric.name, fingerprint(ingredients), scored.parts, texts
        )

        def tell(text: str) -> None:
            if text not in self._told:  # the same at every milestone
                self._told.add(text)
                reporter.say(text)

        score = summarize(metric, rows, tell)
        return ScoreLine(score, ingredients, table=str(path) if kept else None), rows


@dataclass(frozen=True)
class _Drawn:
    """Images by prompt, and in the leader the versions of what drew them."""

    source: PromptImages
    libraries: dict[str, str]
