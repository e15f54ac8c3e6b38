"""Prompts a line: plain text and JSON lines."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from zoo_core.errors import ConfigError
from zoo_core.interfaces.prompts import Prompt, PromptSet, Question
from zoo_core.schema import convert
from zoo_prompt_files.config import PromptFileConfig, PromptLine

MAX_BYTES = 1 << 30
"""Larger prompt files are refused before they are read."""


def build(config: PromptFileConfig) -> FilePrompts:
    """The prompts of a file. Raises `ConfigError` naming file and line."""
    path = Path(config.path).expanduser()
    readers = {".txt": _text, ".jsonl": _json_lines}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise ConfigError(
            f"{path}: expected plain text (.txt) or JSON lines (.jsonl), not '{path.suffix}'."
        )
    return FilePrompts(path, reader(path))


class FilePrompts(PromptSet):
    """Prompts in the file's order. They have no real images."""

    def __init__(self, path: Path, prompts: Sequence[Prompt]) -> None:
        if not prompts:
            raise ConfigError(f"{path}: no prompts in it.")
        self._prompts = tuple(prompts)

    def __len__(self) -> int:
        return len(self._prompts)

    def prompts(self, limit: int | None = None) -> Sequence[Prompt]:
        return self._prompts[:limit]

    def fingerprint(self) -> str:
        """Of ids, texts and questions; the file's name and layout do not count."""
        return fingerprint(self._prompts)


def fingerprint(prompts: Sequence[Prompt]) -> str:
    """A digest of prompts with their questions, in order."""
    total = hashlib.blake2b(digest_size=16)
    for prompt in prompts:
        total.update(repr(prompt).encode())
    return total.hexdigest()


def read_bytes(path: Path) -> bytes:
    """A prompt file's content. Raises `ConfigError` when it cannot be read or is far too large."""
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise ConfigError(f"{path}: {size:,} bytes; prompt files have at most {MAX_BYTES:,}.")
        return path.read_bytes()
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file. Point prompts.path at it.") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({(error.strerror or '').lower()}).") from None


def numbered_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Lines that are not blank, without outer blanks, with their numbers from 1."""
    data = read_bytes(path).removeprefix(b"\xef\xbb\xbf")
    for number, line in enumerate(data.split(b"\n"), start=1):
        try:
            text = line.decode().strip()
        except UnicodeDecodeError:
            raise ConfigError(f"{path}:{number}: not UTF-8 text.") from None
        if text:
            yield number, text


def _text(path: Path) -> list[Prompt]:
    """A prompt a line; ids count the prompts from 00000."""
    return [Prompt(f"{place:05d}", text) for place, (_, text) in enumerate(numbered_lines(path))]


def _json_lines(path: Path) -> list[Prompt]:
    prompts: list[Prompt] = []
    first_at: dict[str, int] = {}
    for number, text in numbered_lines(path):
        where = f"{path}:{number}"
        try:
            table = json.loads(text)
        except ValueError as error:
            raise ConfigError(f"{where}: not JSON ({error}).") from None
        if not isinstance(table, dict):
            raise ConfigError(f"{where}: expected an object with 'id' and 'text'.")
        line = convert(table, PromptLine, where)
        name = str(line.id)
        if name in first_at:
            raise ConfigError(f"{where}: the id '{name}' is that of line {first_at[name]} too.")
        first_at[name] = number
        questions = tuple(
            Question(q.question, q.choices, q.answer, q.element_type, q.element, q.parents)
            for q in line.questions
        )
        _check(questions, where)
        prompts.append(Prompt(name, line.text, questions))
    return prompts


def _check(questions: Sequence[Question], where: str) -> None:
    """Raise `ConfigError` for an answer that is no choice, and parents that are no other questions."""
    for place, question in enumerate(questions):
        if question.answer not in question.choices:
            raise ConfigError(
                f"{where}: the answer '{question.answer}' of '{question.question}' is not among its "
                f"choices ({', '.join(question.choices) or 'none'})."
            )
        wrong = [p for p in question.parents if not 0 <= p < len(questions) or p == place]
        if wrong:
            raise ConfigError(
                f"{where}: '{question.question}' names {wrong[0]} as a parent; expected places of other "
                f"questions of the prompt, 0 to {len(questions) - 1}."
            )
