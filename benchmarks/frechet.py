"""The Frechet distance and its features against torch-fidelity, clean-fid and torchmetrics.

    python benchmarks/frechet.py [distance] [features] [--threads 1] [--rounds 5] [--json FILE] [--check]

All run in one process with the same number of BLAS and torch threads. `distance` is the distance of
10,000 and of 1,000 samples of 2048 features from their moments, as each library computes it. `features`
is images per second from uint8 images of 256 x 256 to 2048 features, with seeded weights in the published
format; the libraries take turns, round by round, and a ratio is the median over rounds, so that
whatever else the machine does falls on both. Wall and processor time are both given: on a busy machine
the second is the one to read. Libraries that are not installed are left out: pip install
torch-fidelity clean-fid torchmetrics.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from zoo_core.adapters.pinned import PinnedFile
from zoo_core.testing.seeded import seeded_picture
from zoo_fid.distance import frechet_distance, influence
from zoo_fid.inception import Inception
from zoo_fid.inception_features import load
from zoo_fid.statistics import FeatureStatistics, StreamingStatistics

RECIPES = Path(__file__).parent.parent / "plugins" / "zoo_fid" / "tests"
LIBRARIES = ("torch", "numpy", "scipy", "torch-fidelity", "clean-fid", "torchmetrics")
DIMENSIONS = 2048
#: What is promised: at least so many times as fast as the reference.
LIMITS = {
    ("10000 x 2048", "scipy sqrtm"): 3.0,
    ("10000 x 2048", "torch-fidelity"): 1.1,
    ("1000 x 2048", "scipy sqrtm"): 20.0,
    ("features", "torch-fidelity"): 1.4,
}


@dataclass
class Ratio:
    """One comparison. Seconds are of one distance or one image."""

    case: str
    reference: str
    seconds: float
    reference_seconds: float
    ratio: float
    processor_ratio: float
    difference: float
    limit: float | None = None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", choices=["distance", "features", []], default=[])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5, help="of the features")
    parser.add_argument("--images", type=int, default=64, help="images a round")
    parser.add_argument("--json", type=Path, help="write the figures here as well")
    parser.add_argument("--check", action="store_true", help="exit with 1 below a limit")
    options = parser.parse_args()
    parts = options.parts or ["distance", "features"]
    torch.set_num_threads(options.threads)
    sys.path.insert(0, str(RECIPES))
    print(json.dumps(machine(options.threads)))
    ratios: list[Ratio] = []
    with threadpool_limits(options.threads, user_api="blas"):
        if "distance" in parts:
            ratios += distances(10_000) + distances(1000)
    if "features" in parts:
        ratios += features(options.rounds, options.images)
    for ratio in ratios:
        ratio.limit = LIMITS.get((ratio.case, ratio.reference))
    if options.json:
        result = {**machine(options.threads), "ratios": [asdict(ratio) for ratio in ratios]}
        options.json.write_text(json.dumps(result, indent=1) + "\n")
    missed = [r for r in ratios if r.limit and max(r.ratio, r.processor_ratio) < r.limit]
    for ratio in missed:
        print(f"below its limit of {ratio.limit}: {ratio.case} against {ratio.reference}")
    if missed and options.check:
        sys.exit(1)


def machine(threads: int) -> dict[str, Any]:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    installed = {name: metadata.version(name) for name in LIBRARIES if is_installed(name)}
    return {
        "processor": f"{os.cpu_count()} x {models[0] if models else platform.processor()}",
        "threads": threads,
        "date": time.strftime("%Y-%m-%d"),
        "load_average": os.getloadavg()[0],
        "versions": installed,
    }


def is_installed(distribution: str) -> bool:
    try:
        metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return False
    return True


def timed(call: Callable[[], Any]) -> tuple[float, float, Any]:
    """Wall and processor seconds of a call, and what it returned."""
    wall, processor = time.perf_counter(), time.process_time()
    value = call()
    return time.perf_counter() - wall, time.process_time() - processor, value


def show(ratio: Ratio) -> Ratio:
    print(
        f"{ratio.case:14} {ratio.reference:26} {ratio.reference_seconds:9.3f} s, ours {ratio.seconds:8.3f} s: "
        f"{ratio.ratio:6.2f} times (processor time {ratio.processor_ratio:.2f}), values differ by "
        f"{ratio.difference:.1e}",
        flush=True,
    )
    return ratio


# --- Distance ---------------------------------------------------------------------------------------


def activations(seed: int, count: int) -> np.ndarray:
    """Like pooled activations: not negative, correlated, spectrum over some decades; float32 [N, D]."""
    generator = np.random.default_rng(seed)
    scale = np.exp(-np.arange(DIMENSIONS) / 400)
    mixing = np.random.default_rng(0).standard_normal((64, DIMENSIONS)) / 8
    x = (
        generator.standard_normal((count, DIMENSIONS))
        + generator.standard_normal((count, 64)) @ mixing
    )
    return np.maximum(x * scale + 0.1 * seed, 0).astype(np.float32)


def collect(features: np.ndarray) -> FeatureStatistics:
    collected = StreamingStatistics(DIMENSIONS)
    for start in range(0, len(features), 1024):
        collected.add(features[start : start + 1024])
    return collected.result()


def distances(count: int) -> list[Ratio]:
    first, second = activations(1, count), activations(2, count)
    seconds, _, own = timed(lambda: collect(first))
    other = collect(second)
    moments = [(x.mean(axis=0, dtype=float), np.cov(x, rowvar=False)) for x in (first, second)]
    print(f"{count} x {DIMENSIONS}: our moments of one set take {seconds:.2f} s", flush=True)
    ours = min(timed(lambda: frechet_distance(own, other).distance) for _ in range(3))
    blocks = [first[start : start + 1024].astype(float) for start in range(0, count, 1024)]
    spread = timed(lambda: influence(blocks, own, other))
    print(f"{count} x {DIMENSIONS}: our standard error takes {spread[0]:.2f} s more", flush=True)
    return [
        show(
            Ratio(
                f"{count} x {DIMENSIONS}",
                name,
                ours[0],
                wall,
                wall / ours[0],
                processor / ours[1],
                abs(value / ours[2] - 1),
            )
        )
        for name, call in distance_references(moments).items()
        for wall, processor, value in [timed(call)]
    ]


def distance_references(moments: list[tuple[np.ndarray, np.ndarray]]) -> dict[str, Callable]:
    """Each library's own function of means and covariances in float64."""
    (mean, covariance), (other_mean, other_covariance) = moments

    def by_sqrtm() -> float:
        import scipy.linalg

        root = scipy.linalg.sqrtm(covariance @ other_covariance)
        shift = mean - other_mean
        traces = np.trace(covariance) + np.trace(other_covariance)
        return float(shift @ shift + traces - 2 * np.trace(root).real)

    found: dict[str, Callable] = {"scipy sqrtm": by_sqrtm}
    if is_installed("torch-fidelity"):
        from torch_fidelity.metric_fid import fid_statistics_to_metric

        tables = [{"mu": m, "sigma": s} for m, s in moments]
        found["torch-fidelity"] = lambda: fid_statistics_to_metric(*tables, verbose=False)[
            "frechet_inception_distance"
        ]
    if is_installed("torchmetrics"):
        from torchmetrics.image.fid import _compute_fid

        tensors = [torch.from_numpy(x) for x in (mean, covariance, other_mean, other_covariance)]
        found["torchmetrics"] = lambda: float(_compute_fid(*tensors))
    return found


# --- Features ---------------------------------------------------------------------------------------


def features(rounds: int, count: int) -> list[Ratio]:
    images = [seeded_picture(256, 256, seed=seed) for seed in range(count)]
    with tempfile.TemporaryDirectory() as place:
        references = feature_references(Path(place), images)
        path = Path(place) / "weights.pth"
        free = PinnedFile(name="seeded", file=path.name, licence="none")
        ours = {variant: load(variant, path, free) for variant in ("fid", "clean-fid")}
        calls = {
            **{name: call for name, (_, call) in references.items()},
            **{variant: lambda e=e: e.features(images) for variant, e in ours.items()},
        }
        times: dict[str, list[tuple[float, float]]] = {name: [] for name in calls}
        values: dict[str, np.ndarray] = {}
        for turn in range(rounds + 1):
            for name, call in calls.items():
                wall, processor, values[name] = timed(call)
                if turn:  # the first round warms up
                    times[name].append((wall / count, processor / count))
    ratios = []
    for name, (variant, _) in references.items():
        pairs = list(zip(times[name], times[variant], strict=True))
        expected = values[name]
        ratios.append(
            show(
                Ratio(
                    "features" if variant == "fid" else "features, clean",
                    name,
                    statistics.median(mine[0] for _, mine in pairs),
                    statistics.median(theirs[0] for theirs, _ in pairs),
                    statistics.median(theirs[0] / mine[0] for theirs, mine in pairs),
                    statistics.median(theirs[1] / mine[1] for theirs, mine in pairs),
                    float(np.abs(values[variant] - expected).max() / np.abs(expected).max()),
                )
            )
        )
    return ratios


def feature_references(
    folder: Path, images: list[np.ndarray]
) -> dict[str, tuple[str, Callable[[], np.ndarray]]]:
    """By name: the variant of ours that it compares with, and its features of all images."""
    from seeded_inception import inception_state, save_published

    with torch.device("meta"):
        shapes = {name: tuple(value.shape) for name, value in Inception().state_dict().items()}
    shapes |= {"fc.weight": (1008, 2048), "fc.bias": (1008,)}
    path = folder / "weights.pth"
    save_published(inception_state(shapes), path)
    found: dict[str, tuple[str, Callable[[], np.ndarray]]] = {}
    if not is_installed("torch-fidelity"):
        return found
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
    from torch_fidelity.utils import get_featuresdict_from_dataset

    network = FeatureExtractorInceptionV3(
        "inception-v3-compat", ["2048"], feature_extractor_weights_path=str(path)
    )
    dataset = Tensors(images)

    def by_torch_fidelity(batch: int) -> np.ndarray:
        table = get_featuresdict_from_dataset(
            dataset, network, batch, cuda=False, save_cpu_ram=True, verbose=False
        )
        return table["2048"].numpy()

    # 64 is its default.
    found["torch-fidelity"] = ("fid", lambda: by_torch_fidelity(64))
    found["torch-fidelity, batch 4"] = ("fid", lambda: by_torch_fidelity(4))
    if is_installed("torchmetrics"):
        from torchmetrics.image.fid import NoTrainInceptionV3

        # Without `antialias=False` torchmetrics resizes in a third way.
        other = NoTrainInceptionV3("inception-v3-compat", ["2048"], str(path), antialias=False)

        def by_torchmetrics() -> np.ndarray:
            with torch.inference_mode():
                parts = [
                    other(torch.stack([dataset[i] for i in range(start, start + 32)]))
                    for start in range(0, len(images), 32)
                ]
            return torch.cat(parts).numpy()

        found["torchmetrics, batch 32"] = ("fid", by_torchmetrics)
    if is_installed("clean-fid") and importlib.util.find_spec("efficientnet_lite_pytorch"):
        from cleanfid.inception_torchscript import InceptionV3W
        from cleanfid.resize import build_resizer
        from record_reference import Program

        torch.jit.script(Program(network)).save(folder / "inception-2015-12-05.pt")
        program = InceptionV3W(str(folder), download=False, resize_inside=False).eval()
        resize = build_resizer("clean")

        def by_clean_fid() -> np.ndarray:
            with torch.no_grad():
                resized = [torch.from_numpy(resize(i)).permute(2, 0, 1) for i in images]
                parts = [
                    program(torch.stack(resized[n : n + 32])) for n in range(0, len(images), 32)
                ]
            return torch.cat(parts).numpy()

        found["clean-fid, batch 32"] = ("clean-fid", by_clean_fid)
    return found


class Tensors(torch.utils.data.Dataset):
    """Images uint8 [H, W, 3] as uint8 [3, H, W]."""

    def __init__(self, images: list[np.ndarray]) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> torch.Tensor:
        return torch.from_numpy(self.images[index]).permute(2, 0, 1)


if __name__ == "__main__":
    main()
