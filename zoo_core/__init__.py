"""The core of the zoo: interfaces, plugin host, catalogue, recipes, runs, evaluation, commands."""

__version__ = "0.1.0"
