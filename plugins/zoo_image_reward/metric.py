"""The ImageReward score: mean over prompts of a learned human preference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, final

import numpy as np
import torch

from zoo_core.adapters.pinned import PinnedFile, load_state, locate_pinned, pinned_protocol
from zoo_core.adapters.precision import full_precision
from zoo_core.adapters.state_dict import WithoutDraws
from zoo_core.adapters.wordpiece import BERT_UNCASED, locate_bert_vocabulary
from zoo_core.evaluation.mean import mean_score
from zoo_core.interfaces.metric import Metric, Score
from zoo_core.interfaces.prompts import Prompt
from zoo_image_reward.config import ImageRewardConfig
from zoo_image_reward.inputs import RESOLUTION, TOKENS, PromptTokens, pixels
from zoo_image_reward.model import Architecture, RewardModel, load_published

#: The published file; its hash is not confirmed, so that of the file found is recorded.
WEIGHTS = PinnedFile(
    name="ImageReward-v1.0",
    file="ImageReward.pt",
    licence="Apache-2.0",
    repo="THUDM/ImageReward",
    size=1_790_000_000,
)


def build(config: ImageRewardConfig) -> ImageReward:
    """The metric with the published weights and vocabulary.

    Raises `ConfigError` saying which file is missing, from where and into which folder, or that the
    file is another than asked for.
    """
    pinned = WEIGHTS.expecting(config.sha256)
    vocabulary = locate_bert_vocabulary(config.vocabulary)
    return load(pinned, locate_pinned(pinned, config.weights), vocabulary, Architecture())


def load(
    pinned: PinnedFile, weights: Path, vocabulary: Path, architecture: Architecture
) -> ImageReward:
    """The metric with a checkpoint of the published format, of any size."""
    state = load_state(weights)  # before the model, since a wrong file should not take long
    with WithoutDraws():
        model = RewardModel(architecture)
    load_published(model, state, str(weights))
    protocol = {
        "variant": "image-reward-1.0",
        "weights": pinned_protocol(pinned, weights),
        "vocabulary": pinned_protocol(BERT_UNCASED, vocabulary),
        "preprocessing": f"shorter side to {RESOLUTION} by Pillow bicubic, centre crop, CLIP's mean and deviation",
        "text": f"{TOKENS} tokens, first [CLS]",
        "libraries": {name: metadata.version(name) for name in ("transformers", "torchvision")},
    }
    return ImageReward(model, PromptTokens(vocabulary), protocol)


@final
class ImageReward(Metric):
    """Xu et al. 2023: the reward of an image given its prompt, standardised, about -2 to 2.

    Every image is scored by itself, so a row does not depend on the images beside it.
    """

    def __init__(
        self, model: RewardModel, tokens: PromptTokens, protocol: Mapping[str, Any]
    ) -> None:
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.model = model.eval().requires_grad_(False).to(self.device)
        self.tokens = tokens
        self._protocol = dict(protocol)

    @property
    def name(self) -> str:
        return "image-reward"

    def score_images(
        self, prompts: Sequence[Prompt], images: Sequence[np.ndarray]
    ) -> list[dict[str, Any]]:
        """One row an image: prompt, reward."""
        assert len(prompts) == len(images), "one image a prompt"
        return [
            {"prompt": prompt.id, "reward": self.reward(prompt.text, image)}
            for prompt, image in zip(prompts, images, strict=True)
        ]

    def reward(self, prompt: str, image: np.ndarray) -> float:
        """The standardised reward of one image uint8 [H, W, 3]."""
        ids, mask = self.tokens(prompt)
        dtype = next(self.model.parameters()).dtype
        with full_precision(self.device):
            seen = pixels(image).to(self.device, dtype)
            return self.model(seen, ids.to(self.device), mask.to(self.device)).item()

    def summarize(self, rows: Sequence[Mapping[str, Any]]) -> Score:
        """Mean reward with standard error, interval and details of `mean_score`."""
        return mean_score(self.name, rows, "reward")

    def protocol(self) -> dict[str, Any]:
        return dict(self._protocol)
