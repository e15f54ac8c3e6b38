"""The recipe that fixtures were made by, as a module."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from zoo_core.adapters.pinned import PinnedFile
from zoo_fid.inception_features import InceptionFeatures, load

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def recipe() -> ModuleType:
    """``seeded_inception.py``, which ``record_reference.py`` imports too."""
    spec = importlib.util.spec_from_file_location("seeded_inception", HERE / "seeded_inception.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def recorded() -> dict[str, np.ndarray]:
    """What the references said, by name."""
    with np.load(HERE / "fid_reference.npz", allow_pickle=False) as stored:
        return dict(stored)


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory, recipe: ModuleType) -> Path:
    """Seeded Inception weights in a file of the published format."""
    import torch

    from zoo_fid.inception import Inception

    with torch.device("meta"):
        shapes = {name: tuple(value.shape) for name, value in Inception().state_dict().items()}
    shapes |= {"fc.weight": (1008, 2048), "fc.bias": (1008,)}
    path = tmp_path_factory.mktemp("inception") / "pt_inception-2015-12-05-6726825d.pth"
    recipe.save_published(recipe.inception_state(shapes), path)
    return path


@pytest.fixture(scope="session")
def extractor(weights: Path) -> InceptionFeatures:
    """The variant ``fid`` with the seeded weights."""
    return load("fid", weights, PinnedFile(name="seeded", file=weights.name, licence="none"))
