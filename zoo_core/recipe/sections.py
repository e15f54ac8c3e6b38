"""The sections of a recipe. Defaults are the paper's setting (Li et al. 2024, section 3)."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from zoo_core.errors import ConfigError
from zoo_core.schema import Config


class ScaleSettings(Config, frozen=True):
    """``[scale]``: the same topology, narrower."""

    width_divisor: Annotated[
        int,
        Meta(ge=1, le=64, description="Divides every width of the backbone, text width included"),
    ] = 1


class DataSettings(Config, frozen=True):
    """``[data]``: what a training sample is made of."""

    resolution: Annotated[
        int, Meta(ge=8, le=4096, description="Pixels along one side of the square images")
    ] = 256
    cache: Annotated[
        bool, Meta(description="Encode images once and keep the moments, instead of at every step")
    ] = True


class CaptionSettings(Config, frozen=True):
    """``[captions]``: what a training sample is called."""

    policy: Annotated[
        Literal["alt", "random-synthetic", "top-synthetic"],
        Meta(
            description="alt: original captions only; random-synthetic: with the given probability one "
            "of the five best synthetic captions at random; top-synthetic: with that probability the best"
        ),
    ] = "random-synthetic"
    probability: Annotated[
        float,
        Meta(
            ge=0,
            le=1,
            description="Share of samples that take a synthetic caption, if they have one",
        ),
    ] = 0.5
    drop: Annotated[
        float,
        Meta(ge=0, le=1, description="Share of samples whose caption is dropped, for guidance"),
    ] = 0.1


class DiffusionSettings(Config, frozen=True):
    """``[diffusion]``: LDM's forward process and the training target."""

    timesteps: Annotated[int, Meta(ge=2, le=10000, description="Length of the forward process")] = (
        1000
    )
    beta_start: Annotated[float, Meta(gt=0, lt=1, description="First beta")] = 0.00085
    beta_end: Annotated[float, Meta(gt=0, lt=1, description="Last beta")] = 0.012
    beta_schedule: Annotated[
        Literal["scaled_linear", "linear", "squaredcos_cap_v2"],
        Meta(description="How beta runs from first to last, in diffusers' words"),
    ] = "scaled_linear"
    prediction: Annotated[
        Literal["epsilon", "v_prediction"], Meta(description="What the backbone predicts")
    ] = "epsilon"


class SamplingSettings(Config, frozen=True):
    """``[sampling]``: how images are drawn from a trained backbone."""

    scheduler: Annotated[Literal["ddim"], Meta(description="Sampler: DDIM with eta 0")] = "ddim"
    steps: Annotated[int, Meta(ge=1, le=999, description="Denoising steps")] = 50
    guidance: Annotated[
        float, Meta(ge=1, le=100, description="Classifier-free guidance scale; 1 switches it off")
    ] = 7.5
    seed: Annotated[
        int, Meta(ge=0, description="Seed of the noise, which is fixed for each prompt")
    ] = 0
    batch_size: Annotated[int, Meta(ge=1, le=4096, description="Images drawn at a time")] = 32


class OptimizerSettings(Config, frozen=True):
    """``[optimizer]``: AdamW, linear warm-up, then constant."""

    learning_rate: Annotated[float, Meta(gt=0, le=1, description="Learning rate after warm-up")] = (
        8e-5
    )
    warmup_steps: Annotated[
        int, Meta(ge=0, description="Steps (or images) of linear warm-up from zero")
    ] = 10_000
    beta1: Annotated[float, Meta(ge=0, lt=1, description="Decay of the first moment")] = 0.9
    beta2: Annotated[float, Meta(ge=0, lt=1, description="Decay of the second moment")] = 0.999
    epsilon: Annotated[float, Meta(gt=0, description="Added to the root of the second moment")] = (
        1e-8
    )
    weight_decay: Annotated[float, Meta(ge=0, description="Decoupled weight decay")] = 0.01
    gradient_clip: Annotated[
        float, Meta(ge=0, description="Largest norm of the whole gradient; 0 switches clipping off")
    ] = 1.0


class TrainingSettings(Config, frozen=True):
    """``[training]``: how long, in what batches, and what is written down."""

    steps: Annotated[int, Meta(ge=1, description='Updates in all, or images such as "8Mi"')] = (
        600_000
    )
    batch_size: Annotated[int, Meta(ge=1, description="Samples an update, over all processes")] = (
        2048
    )
    micro_batch: Annotated[
        Annotated[int, Meta(ge=1)] | Literal["auto"],
        Meta(
            description="Samples a forward pass of one process; auto: as many as fit, halved when memory "
            "runs out"
        ),
    ] = "auto"
    seed: Annotated[
        int,
        Meta(
            ge=0, description="Seed of initial weights, data order, captions, timesteps and noise"
        ),
    ] = 0
    init_from: Annotated[
        str | None,
        Meta(
            description="A run, a checkpoint or a safetensors file whose weights training begins with; "
            "absent: new weights from the seed"
        ),
    ] = None
    init_sha256: Annotated[
        Annotated[str, Meta(pattern="^[0-9a-f]{64}$")] | None,
        Meta(description="SHA-256 of those weights' file; filled in when training begins"),
    ] = None
    precision: Annotated[
        Literal["fp32", "bf16"], Meta(description="bf16 autocasts; weights stay in fp32")
    ] = "bf16"
    ema_decay: Annotated[
        float,
        Meta(
            ge=0,
            lt=1,
            description="Decay of an average of the weights kept beside them; 0 keeps none. Scores are of "
            "the weights themselves",
        ),
    ] = 0.0
    on_nonfinite: Annotated[
        Literal["stop", "skip", "rollback"],
        Meta(
            description="When a loss or gradient is not finite: stop; skip the batch; or go back to the last "
            "checkpoint's weights and on with the next batch"
        ),
    ] = "stop"
    nonfinite_limit: Annotated[
        int,
        Meta(ge=1, description="Batches in a row that may be passed over before training stops"),
    ] = 10
    device: Annotated[
        Literal["auto", "cpu", "cuda"],
        Meta(description="auto takes an accelerator where there is one"),
    ] = "auto"
    log_every: Annotated[
        int, Meta(ge=1, description="Steps (or images) between two lines of train.jsonl")
    ] = 50
    checkpoint_every: Annotated[
        int, Meta(ge=1, description="Steps (or images) between two checkpoints")
    ] = 5000
    keep_checkpoints: Annotated[int, Meta(ge=1, description="Newest checkpoints kept")] = 3

    def __post_init__(self) -> None:
        if self.init_from == "":  # how a layer takes back what one below it says
            msgspec.structs.force_setattr(self, "init_from", None)
        if self.init_sha256 is not None and self.init_from is None:
            raise ConfigError(
                "training.init_sha256 is the hash of weights to begin with, but training.init_from names "
                "none.",
                key="init_sha256",
            )


class EvaluationSettings(Config, frozen=True):
    """``[evaluation]``: the milestones of the learning curve."""

    every: Annotated[int, Meta(ge=1, description="Steps (or images) between two milestones")] = (
        10_000
    )
    prompts: Annotated[
        int, Meta(ge=1, description="Prompts drawn at a milestone, from the head of the prompt set")
    ] = 1024
    final_prompts: Annotated[
        int | None, Meta(description="Prompts drawn after the last step; all when absent")
    ] = None
    metrics: Annotated[
        tuple[str, ...], Meta(description="Names of the metrics; settings of each in [metric.NAME]")
    ] = ()
    grid: Annotated[int, Meta(ge=1, le=256, description="Images in the grid of each milestone")] = (
        16
    )
    keep_images: Annotated[
        Literal["newest", "all"],
        Meta(
            description="Whose images stay in the run folder after scoring: the newest milestone's or all"
        ),
    ] = "newest"


class LoggingSettings(Config, frozen=True):
    """``[logging]``: where figures go besides the run folder's own JSON lines."""

    loggers: Annotated[
        tuple[str, ...], Meta(description="Names of loggers; settings of each in [logger.NAME]")
    ] = ()


SECTIONS: dict[str, type[Config]] = {
    "scale": ScaleSettings,
    "data": DataSettings,
    "captions": CaptionSettings,
    "diffusion": DiffusionSettings,
    "sampling": SamplingSettings,
    "optimizer": OptimizerSettings,
    "training": TrainingSettings,
    "evaluation": EvaluationSettings,
    "logging": LoggingSettings,
}
