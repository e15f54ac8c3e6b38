"""Scoring images that are there, without any run."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

from zoo_core.catalog import Catalog
from zoo_core.errors import ConfigError
from zoo_core.evaluation.image_files import FolderImages
from zoo_core.evaluation.image_store import chunks_of
from zoo_core.evaluation.prompt_images import FolderByPrompt, check_prompts
from zoo_core.evaluation.protocol import fingerprint, protocol
from zoo_core.evaluation.row_store import RowStore
from zoo_core.evaluation.scoring import prepare, score_chunks, summarize
from zoo_core.interfaces.group import Alone
from zoo_core.interfaces.reporter import Reporter
from zoo_core.recipe import Layer, merge, parse_assignment
from zoo_core.recipe.components import build_named
from zoo_core.runs.scores import record
from zoo_core.workflow.prompt_choice import choose_prompts

#: Images scored together. Part of a score's last bits, so it is fixed.
CHUNK = 32


def score_images(
    catalog: Catalog,
    images: Path,
    prompts: str,
    metrics: Sequence[str],
    reporter: Reporter,
    *,
    limit: int | None = None,
    reference: Path | None = None,
    output: Path | None = None,
    assignments: Sequence[str] = (),
) -> list[dict[str, Any]]:
    """Score a folder of images; one row a metric.

    images: a file a prompt, named by the prompt's id. prompts: a name of the catalogue or a file.
    metrics: names of the catalogue. limit: the first prompts of the set. reference: a folder of real
    images, for metrics that compare with them. output: a folder for tables and ``scores.jsonl``; with
    it a call that was interrupted can be made again without scoring an image twice. assignments:
    ``KEY=VALUE`` with keys of ``prompts`` and ``metric.NAME``. Raises `ConfigError` and `PluginError`.
    """
    if not metrics:
        raise ConfigError(
            "No metric to score with. Name some with --metric ('zoo list metrics' shows them)."
        )
    settings = _settings(prompts, metrics, assignments, catalog)
    name = settings["prompts"].pop("name")
    source = build_named(catalog, "prompts", name, settings["prompts"])
    everything = source.prompts()
    check_prompts(everything, name)
    wanted = source.prompts(limit)
    found = FolderByPrompt(images, wanted, known={prompt.id for prompt in everything})
    built = [
        build_named(catalog, "metric", metric, settings["metric"].get(metric))
        for metric in dict.fromkeys(metrics)
    ]
    references = prepare(
        built,
        wanted,
        name,
        lambda: source.references() if reference is None else FolderImages.of(reference),
    )
    texts = {prompt.id: prompt.text for prompt in wanted}
    rows = []
    with ExitStack() as stack:
        folder = output
        if folder is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="zoo-eval-")))
        store = RowStore(folder)
        for metric in built:
            scored = score_chunks(
                metric, chunks_of(wanted, CHUNK), found, store, Alone(), 1, reporter, lambda: False
            )
            assert scored is not None, "nothing interrupts this evaluation"
            compared = references if "references" in metric.needs else None
            ingredients = protocol(
                {"images": "given"},
                {"set": name, "hash": source.fingerprint(), "count": len(wanted)},
                {"name": metric.name, **metric.protocol()},
                None if compared is None else compared.fingerprint(),
                {"scoring": scored.libraries},
            )
            table, kept = store.finish(metric.name, fingerprint(ingredients), scored.parts, texts)
            row = asdict(summarize(metric, kept, reporter.say))
            row["protocol"] = fingerprint(ingredients)
            row["images_hash"] = found.fingerprint(wanted)
            row["table"] = None if output is None else str(table.relative_to(output))
            row["ingredients"] = ingredients
            rows.append(row)
        if output is not None:
            lines = [{"attempt": 1, "step": 0, **row} for row in rows]
            record(output / "scores.jsonl", lines, "zoo eval")
    return rows


def _settings(
    prompts: str, metrics: Sequence[str], assignments: Sequence[str], catalog: Catalog
) -> dict[str, Any]:
    layers = [Layer("--prompts", {"prompts": choose_prompts(catalog, prompts), "metric": {}})]
    for text in assignments:
        values = parse_assignment(text)
        other = [key for key in values if key not in ("prompts", "metric")]
        tables = values.get("metric", {})
        if other or not isinstance(tables, dict):
            raise ConfigError(
                f"--set {text}: without a run there are prompts.KEY and metric.NAME.KEY to set."
            )
        unknown = [key for key in tables if key not in metrics]
        if unknown:
            raise ConfigError(
                f"--set {text}: '{unknown[0]}' is not among the metrics asked for ({', '.join(metrics)})."
            )
        layers.append(Layer("--set", values))
    return merge(layers)[0]
