"""The autoencoder: shapes, moments, scaling, and weights from a folder."""

import json

import pytest
import torch
from diffusers import AutoencoderKL

from zoo_core.errors import ConfigError
from zoo_core.schema import convert
from zoo_kl_vae.config import KLVAEConfig
from zoo_kl_vae.model import build

TINY = {"block_out_channels": [8, 16, 16, 16], "layers_per_block": 1, "norm_groups": 4}


def tiny(**changes):
    return convert({**TINY, **changes}, KLVAEConfig, "here")


@pytest.fixture
def folder(tmp_path):
    """A tiny autoencoder saved in diffusers' format."""
    torch.manual_seed(0)
    vae = build(tiny())
    vae.autoencoder.save_pretrained(tmp_path, safe_serialization=True)
    return tmp_path


def test_the_default_is_stable_diffusions_autoencoder():
    with torch.device("meta"):
        vae = build(KLVAEConfig())
        moments = vae.encode(torch.zeros(1, 3, 256, 256))
        images = vae.decode(moments.mean)
    assert moments.mean.shape == moments.logvar.shape == (1, 4, 32, 32)
    assert images.shape == (1, 3, 256, 256)
    # Stable Diffusion's published autoencoder has 83,653,863 parameters.
    assert sum(p.numel() for p in vae.parameters()) == 83_653_863


@torch.no_grad()
def test_shapes_of_a_small_one_with_real_numbers():
    torch.manual_seed(0)
    vae = build(tiny(latent_channels=3, scaling_factor=0.5, shift_factor=0.25))
    images = torch.rand(2, 3, 32, 16) * 2 - 1
    moments = vae.encode(images)
    assert moments.mean.shape == (2, 3, 4, 2)
    assert vae.decode(moments.mean).shape == images.shape
    drawn = moments.sample(torch.ones_like(moments.mean))
    torch.testing.assert_close(drawn, moments.mean + (0.5 * moments.logvar).exp())
    scaled = vae.scale(drawn)
    torch.testing.assert_close(scaled, (drawn - 0.25) * 0.5)
    torch.testing.assert_close(vae.unscale(scaled), drawn)


def test_images_that_do_not_fit_are_refused():
    with pytest.raises(ConfigError, match=r"30 x 32 pixels .* multiples of 8"):
        build(tiny()).encode(torch.zeros(1, 3, 30, 32))


@torch.no_grad()
def test_weights_of_a_folder_are_those_that_were_saved(folder):
    vae = build(tiny(weights=str(folder)))
    reference = AutoencoderKL.from_pretrained(folder, use_safetensors=True)
    latents = torch.randn(1, 4, 2, 2)
    torch.testing.assert_close(vae.decode(latents), reference.decode(latents).sample)
    assert {p.dtype for p in vae.parameters()} == {torch.float32}


def test_another_architecture_or_scale_is_refused_with_the_fix(folder):
    complaint = (
        r"set block_out_channels = \[8, 16, 16, 16\], layers_per_block = 1, norm_groups = 4\."
    )
    with pytest.raises(ConfigError, match=complaint):
        build(KLVAEConfig(weights=str(folder)))
    with pytest.raises(ConfigError, match=r"set scaling_factor = 0.18215"):
        build(tiny(weights=str(folder), scaling_factor=0.13025))


def test_pickles_are_refused(folder):
    (folder / "diffusion_pytorch_model.safetensors").rename(folder / "diffusion_pytorch_model.bin")
    with pytest.raises(ConfigError, match=r"diffusion_pytorch_model.bin.*pickles"):
        build(tiny(weights=str(folder)))


def test_incomplete_weights_are_refused(folder):
    from safetensors.torch import load_file, save_file

    file = folder / "diffusion_pytorch_model.safetensors"
    tensors = load_file(file)
    del tensors["decoder.conv_in.weight"]
    save_file(tensors, file, metadata={"format": "pt"})
    with pytest.raises(ConfigError, match=r"'decoder.conv_in.weight'"):
        build(tiny(weights=str(folder)))


def test_a_missing_configuration_is_refused(folder):
    (folder / "config.json").unlink()
    with pytest.raises(ConfigError, match=r"config.json is missing"):
        build(tiny(weights=str(folder)))
    with pytest.raises(ConfigError, match="nothing at"):
        build(tiny(weights=str(folder / "elsewhere")))


def test_older_names_of_the_attention_are_understood(folder):
    """Stable Diffusion's own files call the attention's tensors query, key, value and proj_attn."""
    from safetensors.torch import load_file, save_file

    file = folder / "diffusion_pytorch_model.safetensors"
    old = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    tensors = {}
    for name, value in load_file(file).items():
        for new, former in old.items():
            name = name.replace(f".{new}.", f".{former}.")
        tensors[name] = value
    expected = build(tiny(weights=str(folder))).state_dict()
    save_file(tensors, file, metadata={"format": "pt"})
    assert any(".query." in name for name in tensors)
    loaded = build(tiny(weights=str(folder))).state_dict()
    assert all(torch.equal(loaded[name], value) for name, value in expected.items())


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        (
            {"block_out_channels": [32, 64]},
            "2 levels .* downsample by 2, not by 8; set downsampling",
        ),
        ({"norm_groups": 48}, "128 in block_out_channels is not divisible by norm_groups 48"),
        ({"scaling_factor": 0}, "'scaling_factor' is 0"),
    ],
)
def test_unusable_settings_are_refused(settings, complaint):
    with pytest.raises(ConfigError, match=complaint):
        convert(settings, KLVAEConfig, "here")


def test_fields_are_stated_in_diffusers_file(folder):
    """What the comparison reads is what diffusers writes."""
    stored = json.loads((folder / "config.json").read_text())
    assert stored["norm_num_groups"] == 4
    assert stored["scaling_factor"] == 0.18215
