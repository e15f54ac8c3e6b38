"""Where the images and results of one checkpoint are kept in a run folder, and for how long.

Layout::

    evaluations/step-000400-1f2e3d4c5b6a/
        about.json      the checkpoint, the drawing protocol and the prompt set
        drawn.jsonl     which images are there     (`zoo_core.evaluation.image_store`)
        images/         one lossless file a prompt
        parts/          results of an evaluation under way   (`zoo_core.evaluation.row_store`)
        tables/         results by prompt, one Parquet file a metric and protocol

The digits are a digest of weights, drawing protocol and prompt set, so that images drawn in another
way lie elsewhere. Retention: images that training drew at a milestone are removed when a later
milestone is drawn, unless ``evaluation.keep_images`` is ``"all"``; those that a restart superseded are
removed in any case. Images that ``zoo eval`` used stay until somebody removes the folder. Tables stay.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoo_core.errors import RunError
from zoo_core.evaluation.image_store import IMAGES
from zoo_core.runs.durable import cannot_write, write_atomic

EVALUATIONS = "evaluations"
ABOUT = "about.json"


@dataclass(frozen=True)
class Place:
    """A checkpoint that is scored, and the folder that keeps what comes of it.

    root: usually the run's folder. weights_hash: of the checkpoint's weights. milestone: whether
    training asks, whose images may go later.
    """

    root: Path
    step: int
    weights_hash: str
    milestone: bool = False

    def open(self, drawing: Mapping[str, Any], prompts: Mapping[str, Any], chunk: int) -> Path:
        """The folder for images drawn so, made when it is not there. Raises `RunError`.

        drawing: the protocol. prompts: name and hash of the set. chunk: prompts drawn together.
        """
        identity = {
            "weights_hash": self.weights_hash,
            "drawing": dict(drawing),
            "prompts": dict(prompts),
            "chunk": chunk,
        }
        text = json.dumps(identity, sort_keys=True)
        digest = hashlib.blake2b(text.encode(), digest_size=6).hexdigest()
        folder = self.root / EVALUATIONS / f"step-{self.step:06d}-{digest}"
        before = _about(folder)
        milestone = self.milestone and (before is None or before["milestone"])
        about = {"step": self.step, "milestone": milestone, **identity}
        if before != about:
            write_atomic(folder / ABOUT, (json.dumps(about, indent=1) + "\n").encode())
        return folder

    def retire_others(self, folder: Path, keep: str) -> list[Path]:
        """Remove images of earlier milestones, keeping `folder`'s; returns whose were removed.

        keep: ``newest`` or ``all``; images of this step under other weights go in any case. Raises
        `RunError`.
        """
        removed = []
        for other in sorted((self.root / EVALUATIONS).glob("step-*")):
            about = _about(other)
            if about is None or other == folder or not (other / IMAGES).is_dir():
                continue
            superseded = about["step"] == self.step and about["weights_hash"] != self.weights_hash
            if superseded or (about["milestone"] and keep == "newest"):
                try:
                    shutil.rmtree(other / IMAGES)
                except OSError as error:
                    raise RunError(cannot_write(other / IMAGES, error)) from None
                removed.append(other)
        return removed


def _about(folder: Path) -> dict[str, Any] | None:
    """What a folder says of itself; None when it is none of ours or was never finished."""
    try:
        about = json.loads((folder / ABOUT).read_bytes())
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    return about if isinstance(about, dict) and {"step", "milestone"} <= about.keys() else None
