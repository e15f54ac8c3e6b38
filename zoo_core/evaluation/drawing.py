"""Drawing a prompt set with a backbone: noise fixed per prompt, batches fixed, over several processes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
import torch

from zoo_core.adapters.pixels import to_images
from zoo_core.diffusion.sampler import sample_latents
from zoo_core.diffusion.schedule import NoiseSchedule
from zoo_core.evaluation.image_store import Chunk, chunks_of
from zoo_core.evaluation.together import agreed
from zoo_core.interfaces.backbone import Backbone
from zoo_core.interfaces.group import Alone, Group
from zoo_core.interfaces.prompts import Prompt
from zoo_core.interfaces.reporter import Reporter
from zoo_core.interfaces.text_encoder import TextEncoder, TextStates
from zoo_core.interfaces.vae import VAE
from zoo_core.recipe import Recipe
from zoo_core.stream.bits import prompt_noise

T = TypeVar("T")


class Painter:
    """Draws images of prompts with a backbone that may still be in training.

    The backbone's weights may be spread over the processes of the group; the text encoder and the VAE
    are whole in each of them.
    """

    def __init__(
        self,
        recipe: Recipe,
        vae: VAE,
        text_encoder: TextEncoder,
        device: torch.device,
        group: Group | None = None,
    ) -> None:
        self.recipe = recipe
        self.vae = vae
        self.text_encoder = text_encoder
        self.device = device
        self.group = group or Alone()
        self.schedule = NoiseSchedule(recipe.diffusion)
        self._empty: TextStates | None = None

    def draw(
        self,
        backbone: Backbone,
        prompts: Sequence[Prompt],
        reporter: Reporter | None = None,
        interrupted: Callable[[], bool] = lambda: False,
    ) -> list[np.ndarray]:
        """Images uint8 [H, W, 3], one a prompt, in the prompts' order; on the group's leader.

        When `interrupted` turns true, drawing stops after the current batches and fewer images come
        back. The other processes get an empty list.
        """
        images: list[np.ndarray] = []
        chunks = chunks_of(prompts, self.recipe.sampling.batch_size)
        self.draw_chunks(
            backbone,
            chunks,
            lambda drawn: drawn,
            lambda number, drawn: images.extend(drawn),
            reporter or Reporter(),
            interrupted,
        )
        return images

    @torch.no_grad()
    def draw_chunks(
        self,
        backbone: Backbone,
        chunks: Sequence[Chunk],
        prepare: Callable[[list[np.ndarray]], T],
        keep: Callable[[int, T], None],
        reporter: Reporter,
        interrupted: Callable[[], bool] = lambda: False,
        done: int = 0,
    ) -> bool:
        """Draw every chunk as one batch, chunk c in process c modulo their number.

        prepare: what becomes of a chunk's images uint8 [H, W, 3] where they were drawn. keep: receives
        the chunk's number and that, in the leader, in the chunks' order. done: images there before,
        for the reporter. Returns False, in all processes, when any was interrupted before the end.

        An image is a function of its chunk's prompts, the weights and the number of threads; the
        number of processes does not matter. Weights are used as they are, and the training mode is
        restored. What `keep` raises is raised in all processes.
        """
        rank, size = self.group.rank, self.group.size
        total = done + sum(len(chunk) for chunk in chunks)
        was_training = backbone.training
        backbone.eval()
        try:
            with reporter.progress("drawing", total, "images", done=done) as progress:
                for first in range(0, len(chunks), size):
                    if self.group.any(interrupted()):
                        return False
                    spare = first + rank >= len(chunks)
                    # Where weights are spread, a process without a chunk must still take part in
                    # every forward pass: it draws the round's first chunk once more, for nobody.
                    images = self._draw_batch(backbone, chunks[first if spare else first + rank])
                    gathered = self.group.gather(None if spare else prepare(images))
                    with agreed(self.group):
                        for offset, drawn in enumerate(gathered or []):
                            if drawn is not None:
                                keep(first + offset, drawn)
                                progress.advance(len(chunks[first + offset]))
        finally:
            backbone.train(was_training)
        return True

    def _draw_batch(self, backbone: Backbone, prompts: Sequence[Prompt]) -> list[np.ndarray]:
        shape = self.recipe.latent_shape
        seed = self.recipe.sampling.seed
        noise = np.stack([prompt_noise(seed, prompt.id, shape) for prompt in prompts])
        # Always the whole batch at once: states of captions kept from other batches could differ in
        # their last bits, and with them the image.
        text = self._on_device(self.text_encoder.encode([prompt.text for prompt in prompts]))
        if self._empty is None:
            self._empty = self._on_device(self.text_encoder.empty())
        use_bf16 = self.recipe.training.precision == "bf16"
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=use_bf16):
            latents = sample_latents(
                backbone,
                text,
                self._empty,
                torch.from_numpy(noise).to(self.device),
                self.recipe.sampling,
                self.schedule,
            )
        return list(to_images(self.vae.decode(self.vae.unscale(latents.float()))))

    def _on_device(self, text: TextStates) -> TextStates:
        mask = None if text.mask is None else text.mask.to(self.device)
        return TextStates(text.states.to(self.device), mask)
