"""Weights come from safetensors only, and every tensor is accounted for."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from zoo_core.adapters.weights import load_part, read_json, safetensors_files
from zoo_core.errors import ConfigError


@pytest.fixture
def layer():
    return nn.Linear(3, 2)


def test_pickles_are_refused_with_the_reason(tmp_path, layer):
    torch.save(layer.state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(
        ConfigError, match=r"pytorch_model\.bin.*can run any code.*model\.safetensors"
    ):
        safetensors_files(tmp_path, ["model.safetensors"])


def test_a_folder_without_weights_says_what_is_expected(tmp_path):
    with pytest.raises(ConfigError, match=r"expected a\.safetensors or b\.safetensors"):
        safetensors_files(tmp_path, ["a.safetensors", "b.safetensors"])


def test_parts_of_an_index_are_loaded_together(tmp_path, layer):
    index = {"weight_map": {"weight": "1.safetensors", "bias": "2.safetensors"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    save_file({"weight": torch.ones(2, 3)}, tmp_path / "1.safetensors")
    with pytest.raises(ConfigError, match=r"lists 2\.safetensors, which is not in the folder"):
        safetensors_files(tmp_path, ["model.safetensors"])
    save_file({"bias": torch.ones(2)}, tmp_path / "2.safetensors")
    load_part(layer, safetensors_files(tmp_path, ["model.safetensors"]))
    assert layer(torch.ones(1, 3)).tolist() == [[4, 4]]


def test_other_parts_of_the_file_are_left_alone(tmp_path, layer):
    file = tmp_path / "model.safetensors"
    tensors = {"weight": torch.ones(2, 3), "bias": torch.zeros(2)}
    save_file(
        {"visual.weight": torch.zeros(9), **{f"text.{k}": v for k, v in tensors.items()}}, file
    )
    load_part(layer, [file], prefixes=("", "text."))
    assert layer(torch.ones(1, 3)).tolist() == [[3, 3]]


def test_a_missing_tensor_is_named(tmp_path, layer):
    file = tmp_path / "model.safetensors"
    save_file({"weight": torch.ones(2, 3)}, file)
    with pytest.raises(ConfigError, match="'bias' is missing \\(1 of 2"):
        load_part(layer, [file])


def test_a_tensor_of_another_shape_is_named(tmp_path, layer):
    file = tmp_path / "model.safetensors"
    save_file({"weight": torch.ones(2, 4), "bias": torch.ones(2)}, file)
    with pytest.raises(ConfigError, match=r"'weight' is \(2, 4\), .* has \(2, 3\)"):
        load_part(layer, [file])


def test_a_truncated_file_is_named(tmp_path, layer):
    file = tmp_path / "model.safetensors"
    save_file(layer.state_dict(), file)
    file.write_bytes(file.read_bytes()[:-4])
    with pytest.raises(ConfigError, match=r"model\.safetensors is no intact safetensors file"):
        load_part(layer, [file])


def test_tied_tensors_are_stored_once(tmp_path):
    first, second = nn.Embedding(4, 2), nn.Embedding(4, 2)
    second.weight = first.weight
    tied = nn.ModuleList([first, second])
    file = tmp_path / "model.safetensors"
    save_file({"0.weight": torch.ones(4, 2)}, file)
    load_part(tied, [file])
    assert second.weight.sum() == 8


def test_json_errors_name_the_place(tmp_path):
    (tmp_path / "config.json").write_text('{"a": 1,\n oops}')
    with pytest.raises(ConfigError, match=r"config\.json:2:2: not valid JSON"):
        read_json(tmp_path / "config.json")
    with pytest.raises(ConfigError, match=r"other\.json is missing"):
        read_json(tmp_path / "other.json")
