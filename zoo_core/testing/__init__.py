"""Checks that a component keeps its interface's contract, for plugins' own tests."""
