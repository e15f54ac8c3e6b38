"""Latent diffusion's autoencoder as a VAE family."""

from zoo_core.host import hookimpl
from zoo_core.interfaces import Component

ZOO_API_VERSION = "1.0"


@hookimpl
def zoo_components() -> list[Component]:
    return [
        Component(
            kind="vae",
            name="kl-vae",
            target="zoo_kl_vae.model:build",
            config="zoo_kl_vae.config:KLVAEConfig",
            summary="Latent diffusion's KL-regularised autoencoder (diffusers' AutoencoderKL)",
        )
    ]
