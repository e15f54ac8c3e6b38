"""What a person is told when something is wrong: one sentence, and the exit code it leads to.

Every error a user can cause derives from `ZooError`, a `ValueError`. Its text says what is wrong,
where (file, key, line), what was expected, and the command or value that fixes it. Mistakes of our
own are `assert`s and keep their traceback.
"""

from __future__ import annotations

from collections.abc import Iterable


class ZooError(ValueError):
    """Something the user can act on. `exit_code` is 1 (failure) unless a subclass says otherwise."""

    exit_code = 1


class ConfigError(ZooError):
    """A name, key, value or file given by the user is not usable. Exit code 2.

    key: the dotted key the complaint is about, where there is one.
    """

    exit_code = 2

    def __init__(self, message: str, key: str | None = None) -> None:
        super().__init__(message)
        self.key = key


class UnknownNameError(ConfigError):
    """No component, variant or preset has this name."""


class NameCollisionError(ConfigError):
    """Two providers claim one name; the message names both targets and the qualified names."""


class PluginError(ZooError):
    """A plugin is missing, failed to load, or provides something that does not work."""


class RunError(ZooError):
    """A run folder cannot be read, written or continued."""


class CheckpointError(RunError):
    """A checkpoint is missing, truncated, or belongs to another model."""


class TrainingError(ZooError):
    """Training cannot go on, for example after a non-finite loss."""


def closest(name: str, known: Iterable[str], limit: int = 3) -> list[str]:
    """The known names nearest to a misspelled one, best first (empty when none is near)."""
    import difflib  # most calls of a program misspell nothing

    pool = sorted(set(known))
    folded = {candidate.lower(): candidate for candidate in pool}
    found = difflib.get_close_matches(name.lower(), folded, n=limit, cutoff=0.6)
    return [folded[item] for item in found]


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A clause such as `Did you mean 'sdxl-td4'?`, or an empty string."""
    near = closest(name, known)
    if not near:
        return ""
    return "Did you mean " + " or ".join(f"'{item}'" for item in near) + "?"
