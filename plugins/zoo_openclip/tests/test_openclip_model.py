"""OpenCLIP's text towers: penultimate states, vocabularies, and weights from a folder."""

import gzip
import json

import open_clip
import pytest
import torch
from open_clip.tokenizer import SimpleTokenizer
from safetensors.torch import save_file

from zoo_core.errors import ConfigError
from zoo_core.schema import convert
from zoo_openclip.config import OpenCLIPConfig
from zoo_openclip.model import build

TEXT = {"context_length": 12, "vocab_size": 516, "width": 32, "heads": 2, "layers": 3}
MODEL = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 16, "layers": 1, "width": 16, "head_width": 8, "patch_size": 8},
    "text_cfg": TEXT,
}


@pytest.fixture
def folder(tmp_path):
    """A tiny CLIP with two merges of its own: 512 byte symbols, 2 merges, start and end."""
    torch.manual_seed(0)
    clip = open_clip.CLIP(**MODEL)
    save_file(clip.state_dict(), tmp_path / "open_clip_model.safetensors")
    (tmp_path / "open_clip_config.json").write_text(json.dumps({"model_cfg": MODEL}))
    with gzip.open(tmp_path / "merges.txt.gz", "wt") as file:
        file.write("#version\nr e\nre d</w>")
    return tmp_path


def tiny(folder, **changes):
    settings = {"weights": str(folder), "width": 32, "tokens": 12, **changes}
    return convert(settings, OpenCLIPConfig, "here")


def saved_clip(folder):
    """The same folder as open_clip itself loads it."""
    clip, _, _ = open_clip.create_model_and_transforms(f"local-dir:{folder}")
    return clip.eval()


@torch.no_grad()
def test_states_are_the_penultimate_layers_after_the_final_norm(folder):
    encoder = build(tiny(folder)).eval()
    captions = ["red", "a red RED thing", ""]
    states = encoder.encode(captions)
    assert states.states.shape == (3, 12, 32)
    assert states.mask is None

    clip = saved_clip(folder)
    ids = SimpleTokenizer(bpe_path=str(folder / "merges.txt.gz"), context_length=12)(captions)
    x = clip.token_embedding(ids) + clip.positional_embedding
    for block in list(clip.transformer.resblocks)[:-1]:
        x = x + causal_attention(block.attn, block.ln_1(x))
        x = x + block.mlp(block.ln_2(x))
    torch.testing.assert_close(states.states, clip.ln_final(x), atol=1e-5, rtol=1e-5)
    last = clip.transformer.resblocks[-1](x, attn_mask=clip.attn_mask)
    assert (states.states - clip.ln_final(last)).abs().amax() > 1e-2
    torch.testing.assert_close(encoder.empty().states, states.states[2:])


def causal_attention(attention, x):
    """Multi-head attention in which a token sees itself and those before it, written out."""
    heads, width = attention.num_heads, x.shape[-1]
    projected = x @ attention.in_proj_weight.T + attention.in_proj_bias
    q, k, v = (part.unflatten(-1, (heads, -1)).transpose(1, 2) for part in projected.chunk(3, -1))
    scores = q @ k.mT / (width // heads) ** 0.5
    later = torch.ones(scores.shape[-2:], dtype=torch.bool).triu(1)
    mixed = scores.masked_fill(later, -torch.inf).softmax(-1) @ v
    return attention.out_proj(mixed.transpose(1, 2).flatten(2))


def test_only_the_text_tower_is_kept(folder):
    encoder = build(tiny(folder))
    clip = saved_clip(folder)
    names = {name.removeprefix("tower.") for name in encoder.state_dict()}
    left = {name.split(".")[0] for name in set(clip.state_dict()) - names}
    assert left == {"visual", "logit_scale"}
    assert all(torch.equal(clip.state_dict()[n], encoder.state_dict()[f"tower.{n}"]) for n in names)


def test_towers_saved_under_a_name_of_their_own_are_found(folder):
    plain = build(tiny(folder)).state_dict()
    both = open_clip.CustomTextCLIP(**MODEL)
    save_file(both.state_dict(), folder / "open_clip_model.safetensors")
    loaded = build(tiny(folder)).state_dict()
    assert torch.equal(loaded["tower.ln_final.weight"], both.text.ln_final.weight)
    assert not torch.equal(
        loaded["tower.positional_embedding"], plain["tower.positional_embedding"]
    )
    assert torch.equal(loaded["tower.positional_embedding"], both.text.positional_embedding)


def test_openclip_h_has_its_published_shape():
    with torch.device("meta"):
        encoder = build(OpenCLIPConfig())
        states = encoder.encode_ids(torch.zeros(2, 77, dtype=torch.int64))
    assert states.states.shape == (2, 77, 1024)
    # 354M in the study's Table 2.
    assert round(sum(p.numel() for p in encoder.parameters()) / 1e6) == 354
    assert encoder.tokenizer(["a dog"]).shape == (1, 77)


def test_long_captions_are_cut_with_their_end_kept(folder):
    encoder = build(tiny(folder))
    ids = encoder.tokenizer(["red " * 40])
    assert ids.shape == (1, 12)
    assert ids[0, -1] == encoder.tokenizer.eot_token_id


def test_shapes_that_differ_are_refused_with_the_fix(folder):
    with pytest.raises(ConfigError, match=r"width is 64, but .* has 32; set width = 32"):
        build(tiny(folder, width=64))
    with pytest.raises(ConfigError, match=r"tokens is 77, but .* has 12; set tokens = 12"):
        build(tiny(folder, tokens=77))


def test_unknown_models_are_refused_with_a_suggestion():
    with pytest.raises(ConfigError, match=r"no model 'ViT-H14'. Did you mean .*'ViT-H-14'"):
        build(OpenCLIPConfig(model="ViT-H14"))


def test_a_vocabulary_that_does_not_fit_is_refused(folder):
    (folder / "merges.txt.gz").rename(folder / "merges.gz")
    with pytest.raises(ConfigError, match=r"516 tokens, its vocabulary 49408; .*\*\.txt\.gz"):
        build(tiny(folder))


def test_two_vocabularies_are_refused(folder):
    (folder / "other.txt.gz").write_bytes((folder / "merges.txt.gz").read_bytes())
    with pytest.raises(ConfigError, match=r"several vocabularies \(merges.txt.gz, other.txt.gz\)"):
        build(tiny(folder))


def test_pickles_are_refused(folder):
    (folder / "open_clip_model.safetensors").rename(folder / "open_clip_pytorch_model.bin")
    with pytest.raises(ConfigError, match=r"open_clip_pytorch_model\.bin.*pickles"):
        build(tiny(folder))


def test_settings_that_would_be_ignored_are_refused(folder):
    odd = {**MODEL, "text_cfg": {**TEXT, "hf_model_name": "someone/bert"}}
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": odd}))
    with pytest.raises(ConfigError, match=r"sets text_cfg\.hf_model_name, which .* does not build"):
        build(tiny(folder))
