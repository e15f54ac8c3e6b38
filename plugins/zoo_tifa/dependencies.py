"""Voiding questions whose parents failed, as Davidsonian scene graphs do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def with_dependencies(questions: Sequence[Mapping[str, Any]]) -> list[bool]:
    """The verdicts after voiding: a right answer counts only when all its parents are right too.

    questions: of one row, each with `right` and `parents`, the places of the questions it presupposes.
    As in the reference (Cho et al. 2024, arXiv 2310.18235), a parent fails by its own answer alone:
    one that is void itself but was answered as expected does not void its children.
    """
    return [
        bool(question["right"])
        and all(questions[parent]["right"] for parent in question["parents"])
        for question in questions
    ]
