"""The shipped weights: formats, reconstructions that the reader reads, and retrieval."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from zoo_core.adapters.pixels import to_images, to_pixels
from zoo_shapes import clip, vae
from zoo_shapes.captions import captions, prompt, vocabulary
from zoo_shapes.clip import learn_merges, retrieval, text_features, write_merges
from zoo_shapes.measure import alignment, psnr, read_all, scenes_with_questions
from zoo_shapes.scene import draw
from zoo_shapes.train_clip import contrastive_loss
from zoo_shapes.train_vae import losses
from zoo_shapes.world import DEFAULT, SIMPLE

SCENES = 64


@pytest.fixture(scope="module")
def autoencoder():
    return vae.load_vae()


@pytest.fixture(scope="module")
def model() -> clip.CLIP:
    return clip.load_clip()


@pytest.fixture(scope="module")
def tokenizer() -> clip.SimpleTokenizer:
    return clip.load_tokenizer()


@pytest.mark.parametrize("world", [SIMPLE, DEFAULT], ids=lambda world: world.name)
@pytest.mark.parametrize("split", ["heldout", "composition"])
@pytest.mark.parametrize("seed", [None, 0], ids=["mode", "sampled"])
def test_reconstructions_are_read_like_their_scenes(autoencoder, world, split: str, seed) -> None:
    _, images, asked = scenes_with_questions(world, split, SCENES)
    copies = vae.reconstruct(autoencoder, images, seed)
    assert copies.shape == images.shape
    assert copies.dtype == np.uint8
    assert alignment(asked, read_all(copies)) >= 0.95
    assert psnr(images, copies) >= 30.0


def test_latents_have_unit_deviation_over_all_channels(autoencoder) -> None:
    _, images, _ = scenes_with_questions(DEFAULT, "heldout", SCENES)
    posterior = autoencoder.encode(to_pixels(images)).latent_dist
    assert posterior.mean.shape == (SCENES, 4, 8, 8)
    latents = posterior.sample(torch.Generator().manual_seed(0))
    scaled = latents * autoencoder.config.scaling_factor
    assert scaled.std().item() == pytest.approx(1.0, abs=0.05)


def test_decoder_forgives_noise_on_the_latents(autoencoder) -> None:
    _, images, asked = scenes_with_questions(DEFAULT, "heldout", SCENES)
    latents = autoencoder.encode(to_pixels(images)).latent_dist.mode()
    noise = torch.randn(latents.shape, generator=torch.Generator().manual_seed(0))
    noisy = latents + 0.2 / autoencoder.config.scaling_factor * noise
    copies = to_images(autoencoder.decode(noisy).sample)
    assert alignment(asked, read_all(copies)) >= 0.93


def test_autoencoder_is_small_and_is_what_the_script_builds(autoencoder) -> None:
    assert sum(weight.numel() for weight in autoencoder.parameters()) < 1_500_000
    fresh = {name: value.shape for name, value in vae.build_vae().state_dict().items()}
    assert {name: value.shape for name, value in autoencoder.state_dict().items()} == fresh
    size = (vae.WEIGHTS / "diffusion_pytorch_model.safetensors").stat().st_size
    assert size < 6_000_000


def test_autoencoder_loss_falls_where_the_copy_is_better(autoencoder) -> None:
    _, images, _ = scenes_with_questions(DEFAULT, "heldout", 8)
    torch.manual_seed(0)
    with torch.no_grad():
        trained, parts = losses(autoencoder, to_pixels(images))
        fresh, _ = losses(vae.build_vae(), to_pixels(images))
    assert trained < 0.2 * fresh
    assert set(parts) == {"pixels", "mse", "kl"}


@pytest.mark.parametrize("load", [vae.load_vae, clip.load_clip, clip.load_tokenizer])
def test_missing_weights_name_the_command_that_makes_them(load, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"python -m zoo_shapes.train_(vae|clip)"):
        load(tmp_path)


def test_every_word_of_a_caption_is_one_token(tokenizer) -> None:
    assert all(len(tokenizer.encode(word)) == 1 for word in vocabulary())
    assert len(vocabulary()) < 150
    for index in range(100):
        scene = draw(DEFAULT, 0, "train", index)
        for caption in captions(scene, index):
            ids = tokenizer([caption.text])[0]
            assert ids.shape == (32,)
            words = len(caption.text.split())
            assert ids[0] == tokenizer.sot_token_id
            assert ids[words + 1] == tokenizer.eot_token_id
            assert not ids[words + 2 :].any()


def test_unknown_words_fall_back_to_pieces_and_come_back(tokenizer) -> None:
    ids = tokenizer.encode("zebra é 42")
    assert len(ids) > 3
    assert tokenizer.decode(ids).split() == ["zebra", "é", "4", "2"]


def test_shipped_merges_are_what_the_vocabulary_makes(tokenizer, tmp_path: Path) -> None:
    write_merges(tmp_path / "merges.gz")
    assert clip.load_tokenizer().vocab_size == 512 + len(learn_merges(vocabulary())) + 2
    again = clip.SimpleTokenizer(bpe_path=str(tmp_path / "merges.gz"), context_length=32)
    assert again.encoder == tokenizer.encoder


def test_merges_of_a_small_vocabulary() -> None:
    assert learn_merges(["ab", "cab"]) == [("a", "b</w>"), ("c", "ab</w>")]
    assert learn_merges(["a"]) == []


@pytest.mark.parametrize("split", ["heldout", "composition"])
def test_images_find_their_captions(model, tokenizer, split: str) -> None:
    scenes, images, _ = scenes_with_questions(DEFAULT, split, 64)
    found = retrieval(model, tokenizer, images, [prompt(scene) for scene in scenes])
    assert min(found) >= CLIP_FLOOR[split]
    strange = retrieval(model, tokenizer, images, [prompt(s) for s in [*scenes[9:], *scenes[:9]]])
    assert max(strange) <= 0.15


CLIP_FLOOR = {"heldout": 0.8, "composition": 0.5}


def test_clip_is_a_text_encoder_of_width_128_over_32_tokens(model, tokenizer) -> None:
    config = json.loads((clip.WEIGHTS / clip.CONFIG_FILE).read_text())
    assert config["model_cfg"] == clip.model_config(tokenizer.vocab_size)
    assert model.positional_embedding.shape == (32, 128)
    assert len(model.transformer.resblocks) >= 3
    features = text_features(model, tokenizer, ["a red circle", "a blue square"])
    assert features.shape == (2, 128)
    assert features.norm(dim=1).tolist() == pytest.approx([1.0, 1.0], abs=1e-5)


def test_contrastive_loss_counts_equal_captions_as_matches(model, tokenizer) -> None:
    scenes, images, _ = scenes_with_questions(DEFAULT, "heldout", 8)
    texts = [prompt(scene) for scene in scenes]
    doubled = [*texts, *texts]
    pixels = clip.preprocess(np.concatenate([images, images]))
    with torch.no_grad():
        once = contrastive_loss(model, pixels[:8], tokenizer(texts), texts)
        twice = contrastive_loss(model, pixels, tokenizer(doubled), doubled)
    # Two equal halves: each row's probability is split in two, which costs exactly log 2.
    assert twice.item() == pytest.approx(once.item() + np.log(2), abs=1e-4)
