"""The diffusion process: noise schedule, training objective, guided sampling.

Settings are the recipe's (`zoo_core.recipe.sections`); random numbers come from `zoo_core.stream`.
The arithmetic of the process is diffusers', imported when a schedule is built.
"""
