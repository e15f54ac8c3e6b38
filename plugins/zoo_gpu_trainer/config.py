"""Settings of the trainer itself; what is trained and how long is in the recipe's sections."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from zoo_core.schema import Config


class GPUTrainerConfig(Config, frozen=True):
    """How the loop runs. None of it changes what is computed beyond floating-point order."""

    processes: Annotated[
        Annotated[int, Meta(ge=1, le=1024)] | None,
        Meta(
            description="Processes on this machine; when absent one for each visible GPU, or one",
        ),
    ] = None
    max_restarts: Annotated[
        int,
        Meta(ge=0, le=1000, description="How often processes that fail are all started again"),
    ] = 0
    threads: Annotated[
        Annotated[int, Meta(ge=1, le=4096)] | None,
        Meta(
            description="CPU threads of torch in each process; when absent the cores are shared out",
        ),
    ] = None
    shard: Annotated[
        Literal["auto", "none", "full", "hybrid"],
        Meta(
            description="FSDP2: 'full' over all processes, 'hybrid' within each machine; 'none' is for one "
            "process; auto: full with several processes"
        ),
    ] = "auto"
    reshard_after_forward: Annotated[
        bool,
        Meta(
            description="Free gathered weights between forward and backward; false shards only gradients "
            "and optimizer state (more memory, less traffic)"
        ),
    ] = True
    reduce_every_micro_batch: Annotated[
        bool,
        Meta(
            description="Reduce gradients after every micro-batch (least memory) instead of after the last"
        ),
    ] = False
    compile: Annotated[
        bool, Meta(description="torch.compile of the repeated blocks (minutes on a CPU, no gain)")
    ] = False
    channels_last: Annotated[
        bool | None, Meta(description="Memory format of images; when absent the measured default")
    ] = None
    activation_checkpointing: Annotated[
        bool, Meta(description="Compute the blocks' activations again in the backward pass")
    ] = False
    fused: Annotated[bool, Meta(description="AdamW as one fused kernel")] = True
    encode_batch: Annotated[
        int, Meta(ge=1, le=4096, description="Images the VAE encodes at a time for the cache")
    ] = 64
