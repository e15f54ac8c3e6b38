"""The names under which random numbers are drawn, one a use, so that uses never share numbers.

A purpose is part of the key of every draw: adding a purpose, or drawing more for one, changes no
other. Renaming one changes every stream that uses it, so these strings are fixed.
"""

ORDER = "order"
"""Keys of the permutation of the dataset, drawn once an epoch (the index is the epoch's)."""

CAPTION_CHOICE = "caption-choice"
"""Which of a sample's captions is used."""

CAPTION_DROP = "caption-drop"
"""Whether the caption is replaced by the empty one, for classifier-free guidance."""

LATENT = "latent"
"""The unit normal that turns the autoencoder's moments into a latent."""

TIMESTEP = "timestep"
"""The diffusion timestep of a training sample."""

NOISE = "noise"
"""The noise added to a training sample's latent."""

PROMPT_NOISE = "prompt-noise"
"""The noise a prompt's image is drawn from; keyed by the prompt's id, the index is 0."""

ALL = (ORDER, CAPTION_CHOICE, CAPTION_DROP, LATENT, TIMESTEP, NOISE, PROMPT_NOISE)
"""Every purpose the core draws for."""
