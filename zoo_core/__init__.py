"""The core of the zoo: interfaces, plugin host, catalogue, recipes, runs, evaluation, command line."""

__version__ = "0.1.0"
