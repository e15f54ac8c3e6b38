"""Randomness that belongs to the sample: every draw is a function of (seed, purpose, sample index).

`bits` turns that triple into random words and numbers, `order` visits a dataset in a new order each
epoch, `captions` chooses what a sample is called, `draws` names the draws of the diffusion objective,
`digest` hashes a stretch of the stream.

Nothing here keeps state, so a stream does not change with the micro-batch, the number of processes or
the number of restarts, and two runs of one seed see the same data, captions, timesteps and noise
whatever backbone they train (common random numbers).
"""
