"""Which questions presuppose others: the colour of a circle means nothing where there is no circle."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from zoo_shapes.programs import parse

#: Questions whether a shape is there, and the slot that names it.
_EXISTENCE = {"has_shape": "shape", "has_shapes": "shapes"}
#: Slots that name a shape of which something else is asked.
_SUBJECTS = ("subject", "many", "shape", "other", "shapes")


def parents(asked: Sequence[dict[str, Any]]) -> list[tuple[int, ...]]:
    """For each question of a prompt the places, from 0, of those that it presupposes.

    A question about a named shape presupposes the question whether that shape is there, where the
    prompt has one that expects "yes". Other questions stand alone. asked: as `questions` gives them.
    """
    programs = [parse(item["question"]) for item in asked]
    exists: dict[str, int] = {}
    for place, program in enumerate(programs):
        assert program is not None, f"no template makes '{asked[place]['question']}'"
        if program.template.name in _EXISTENCE and asked[place]["answer"] == "yes":
            exists[program.slots[_EXISTENCE[program.template.name]]] = place
    found = []
    for program in programs:
        assert program is not None
        named = {program.slots[slot] for slot in _SUBJECTS if slot in program.slots}
        stands_alone = program.template.name in _EXISTENCE
        places = set() if stands_alone else {exists[name] for name in named if name in exists}
        found.append(tuple(sorted(places)))
    return found
