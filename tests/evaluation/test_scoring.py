"""Scoring by chunks over a group: exact merging, nothing twice, failing together."""

import threading
from typing import Any

import numpy as np
import pytest

from zoo_core.errors import ConfigError, RunError
from zoo_core.evaluation.image_store import chunks_of
from zoo_core.evaluation.prompt_images import PromptImages
from zoo_core.evaluation.row_store import RowStore
from zoo_core.evaluation.scoring import prepare, score_chunks, summarize
from zoo_core.evaluation.together import agreed
from zoo_core.interfaces.group import Alone, Group
from zoo_core.interfaces.metric import Metric, Score
from zoo_core.interfaces.prompts import Prompt, Question
from zoo_core.interfaces.reporter import Reporter

PROMPTS = [Prompt(f"p{number}", f"picture {number}") for number in range(11)]
CHUNKS = chunks_of(PROMPTS, 2)


class Threads(Group):
    """A group of threads of this process, in lockstep by a barrier that never waits for ever."""

    def __init__(self, rank: int, size: int, shared: dict[str, Any]) -> None:
        self.rank, self.size, self._shared = rank, size, shared
        self.calls: list[str] = []

    def _exchange(self, what: str, value: Any) -> list[Any]:
        self.calls.append(what)
        self._shared["values"][self.rank] = value
        self.barrier()
        values = list(self._shared["values"])
        self.barrier()
        return values

    def gather(self, value):
        values = self._exchange("gather", value)
        return values if self.leads else None

    def broadcast(self, value):
        return self._exchange("broadcast", value)[0]

    def any(self, flag):
        return any(self._exchange("any", flag))

    def barrier(self):
        self._shared["barrier"].wait(timeout=20)


def in_group(size: int, work) -> list[Any]:
    """What ``work(group)`` gives or raises in each of `size` threads."""
    shared = {"values": [None] * size, "barrier": threading.Barrier(size)}
    groups = [Threads(rank, size, shared) for rank in range(size)]
    results: list[Any] = [None] * size

    def run(rank: int) -> None:
        try:
            results[rank] = work(groups[rank])
        except Exception as error:
            results[rank] = error

    threads = [threading.Thread(target=run, args=(rank,)) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(group.calls == groups[0].calls for group in groups)
    return results


class Pictures(PromptImages):
    def digest(self, prompt):
        return prompt.id * 2

    def read(self, prompts):
        return [np.full((2, 2, 3), int(prompt.id[1:]), np.uint8) for prompt in prompts]


class Brightness(Metric):
    """The mean of an image; counts its calls."""

    needs = frozenset()

    def __init__(self, fails_at: str = "") -> None:
        self.scored: list[str] = []
        self.fails_at = fails_at

    @property
    def name(self):
        return "brightness"

    def score_images(self, prompts, images):
        if self.fails_at in [prompt.id for prompt in prompts]:
            raise ConfigError(f"{self.fails_at} is no picture")
        self.scored += [prompt.id for prompt in prompts]
        return [
            {"prompt": prompt.id, "value": float(image.mean())}
            for prompt, image in zip(prompts, images, strict=True)
        ]

    def summarize(self, rows):
        if not rows:
            raise ValueError("nothing to look at")
        return Score(self.name, sum(row["value"] for row in rows) / len(rows), None, len(rows))

    def protocol(self):
        return {"variant": "1"}


def score(metric, folder, group, scorers=None, stop=lambda: False):
    return score_chunks(
        metric,
        CHUNKS,
        Pictures(),
        RowStore(folder),
        group,
        group.size if scorers is None else scorers,
        Reporter(),
        stop,
    )


def rows_of(scored) -> list[dict]:
    return [row for part in scored.parts.values() for row in part.rows]


@pytest.mark.parametrize(("size", "scorers"), [(1, 1), (2, 2), (3, 3), (4, 1), (8, 8)])
def test_any_number_of_processes_gives_the_rows_of_one(tmp_path, size, scorers):
    metric = Brightness()
    results = in_group(size, lambda group: score(metric, tmp_path, group, scorers))
    assert [row["prompt"] for row in rows_of(results[0])] == [prompt.id for prompt in PROMPTS]
    assert [row["value"] for row in rows_of(results[0])] == list(range(11))
    assert sorted(metric.scored) == sorted(prompt.id for prompt in PROMPTS)
    assert all(result.parts == {} for result in results[1:])


def test_what_was_scored_before_a_stop_is_not_scored_again(tmp_path):
    metric = Brightness()
    answers = iter([False, False, True])
    assert score(metric, tmp_path, Alone(), stop=answers.__next__) is None
    assert len(metric.scored) == 4
    again = Brightness()
    found = score(again, tmp_path, Alone())
    assert len(again.scored) == 7
    assert [row["value"] for row in rows_of(found)] == list(range(11))


def test_a_stop_in_one_process_stops_all(tmp_path):
    results = in_group(
        3, lambda group: score(Brightness(), tmp_path, group, stop=lambda: group.rank == 1)
    )
    assert results == [None] * 3


def test_a_failure_in_one_process_ends_all_with_its_words(tmp_path):
    results = in_group(3, lambda group: score(Brightness("p3"), tmp_path, group))
    assert [type(result) for result in results] == [RunError, ConfigError, RunError]
    assert {str(result) for result in results} == {"p3 is no picture"}
    # What the others had scored until then is lost with the round, and no more.
    assert len(rows_of(score(Brightness(), tmp_path, Alone()))) == 11


def test_failing_together():
    def work(group):
        with agreed(group):
            if group.rank == 2:
                raise OSError(28, "disk full")
        return "done"

    results = in_group(3, work)
    assert [type(result) for result in results] == [RunError, RunError, OSError]
    assert "disk full" in str(results[0])

    def fine(group):
        with agreed(group):
            pass
        return "done"

    assert in_group(3, fine) == ["done"] * 3


def test_no_rows_is_a_sentence_for_people():
    with pytest.raises(ConfigError, match="nothing to look at"):
        summarize(Brightness(), [], pytest.fail)


def test_what_a_metric_warns_of_is_told():
    import warnings

    class Warning(Brightness):
        def summarize(self, rows):
            warnings.warn("very few of them", stacklevel=2)
            return super().summarize(rows)

    told: list[str] = []
    assert summarize(Warning(), [{"prompt": "p", "value": 1.0}], told.append).value == 1
    assert told == ["very few of them"]


def test_what_a_metric_needs_is_asked_for_first():
    class Asking(Brightness):
        needs = frozenset({"questions"})

    class Comparing(Brightness):
        needs = frozenset({"references"})
        given = None

        def use_references(self, references):
            self.given = references

    def never():
        pytest.fail("nobody compares")

    assert prepare([Brightness()], PROMPTS, "mine", never) is None
    with pytest.raises(ConfigError, match="'mine' has none"):
        prepare([Asking()], PROMPTS, "mine", never)
    asked = [Prompt("q", "x", (Question("is it?", ("yes", "no"), "yes"),))]
    prepare([Asking()], [*PROMPTS, *asked], "mine", never)
    with pytest.raises(ConfigError, match=r"compares with real images.*--reference"):
        prepare([Comparing()], PROMPTS, "mine", lambda: None)
    metric, source = Comparing(), object()
    assert prepare([metric, Brightness()], PROMPTS, "mine", lambda: source) is source
    assert metric.given is source
