"""Caption policies: the shares they promise, and independence from the batch."""

from __future__ import annotations

from collections import Counter

import pytest

from zoo_core.interfaces.dataset import Caption
from zoo_core.recipe.sections import CaptionSettings
from zoo_core.stream.captions import choose_captions

SYNTHETIC = tuple(Caption(f"s{rank}", "synthetic", 0.9 - rank / 10) for rank in range(7))
SIX = (Caption("alt"), *SYNTHETIC)
N = 20_000


def texts(settings: CaptionSettings, captions: tuple[Caption, ...] = SIX) -> Counter[str]:
    choices = choose_captions(0, range(N), [captions] * N, settings)
    return Counter(choice.text for choice in choices)


def close(count: int, share: float) -> bool:
    return abs(count / N - share) < 5 * (share * (1 - share) / N) ** 0.5


def test_alt_takes_originals_only() -> None:
    assert texts(CaptionSettings(policy="alt", drop=0.0)) == {"alt": N}
    two = texts(CaptionSettings(policy="alt", drop=0.0), (Caption("a"), Caption("b"), *SYNTHETIC))
    assert set(two) == {"a", "b"}
    assert close(two["a"], 0.5)


def test_random_synthetic_takes_one_of_the_best_five() -> None:
    found = texts(CaptionSettings(policy="random-synthetic", probability=0.5, drop=0.0))
    assert set(found) == {"alt", "s0", "s1", "s2", "s3", "s4"}
    assert close(found["alt"], 0.5)
    assert all(close(found[f"s{rank}"], 0.1) for rank in range(5))


def test_top_synthetic_takes_the_best() -> None:
    found = texts(CaptionSettings(policy="top-synthetic", probability=0.25, drop=0.0))
    assert set(found) == {"alt", "s0"}
    assert close(found["s0"], 0.25)


def test_drop_leaves_the_empty_caption_and_remembers_the_chosen_one() -> None:
    settings = CaptionSettings(drop=0.1)
    dropped = choose_captions(0, range(N), [SIX] * N, settings)
    kept = choose_captions(0, range(N), [SIX] * N, CaptionSettings(drop=0.0))
    count = sum(choice.dropped for choice in dropped)
    assert close(count, 0.1)
    for with_drop, without in zip(dropped, kept, strict=True):
        assert with_drop.position == without.position
        assert with_drop.text == ("" if with_drop.dropped else without.text)
    # Dropping and choosing are unrelated: dropped samples chose alt text as often as others.
    alt = sum(choice.dropped and choice.position == 0 for choice in dropped)
    assert abs(alt / count - 0.5) < 5 * (0.25 / count) ** 0.5


@pytest.mark.parametrize(("drop", "expected"), [(0.0, 0), (1.0, N)])
def test_drop_at_its_ends(drop: float, expected: int) -> None:
    choices = choose_captions(3, range(N), [SIX] * N, CaptionSettings(drop=drop))
    assert sum(choice.dropped for choice in choices) == expected


@pytest.mark.parametrize("policy", ["random-synthetic", "top-synthetic"])
def test_a_missing_kind_falls_back_to_the_other(policy: str) -> None:
    settings = CaptionSettings(policy=policy, probability=1.0, drop=0.0)
    assert texts(settings, (Caption("alt"),)) == {"alt": N}
    only_synthetic = CaptionSettings(policy="alt", drop=0.0)
    assert set(texts(only_synthetic, SYNTHETIC[:2])) == {"s0", "s1"}


def test_a_sample_without_captions_has_the_empty_one() -> None:
    (choice,) = choose_captions(0, [5], [()], CaptionSettings(drop=0.0))
    assert (choice.text, choice.position, choice.dropped) == ("", -1, False)


def test_choices_do_not_depend_on_the_batch() -> None:
    settings = CaptionSettings()
    whole = choose_captions(9, range(64), [SIX] * 64, settings)
    parts = [
        choice
        for start in range(0, 64, 8)
        for choice in choose_captions(9, range(start, start + 8), [SIX] * 8, settings)
    ]
    assert whole == parts
    assert whole != choose_captions(10, range(64), [SIX] * 64, settings)
