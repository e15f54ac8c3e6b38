"""Prompts and questions from files in the format of TIFA v1.0.

The format is that of the benchmark's repository (Yushi-Hu/tifa): a JSON list of one object a question,
with `id` and `caption` of the prompt, `question`, `choices`, `answer`, `element_type` and `element`;
and a JSON list of one object a prompt, with `id` and `caption`. Further keys are left alone, except
two of Davidsonian scene graphs (Cho et al. 2024), which a question may have: `dependency`, the
numbers of the prompt's questions that it presupposes (0 for none), and `question_id`, its own number
(counted from 1 within the prompt where it is left out).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

from zoo_core.errors import ConfigError
from zoo_core.interfaces.prompts import Prompt, PromptSet, Question
from zoo_tifa.config import TIFAFileConfig

_Entries = list[tuple[str, dict[str, Any]]]  # each entry with the words that name it in complaints
#: A file in which no entry has one of these is one of prompts.
_OF_QUESTIONS = ("question", "choices", "answer")


@final
class TIFAPrompts(PromptSet):
    """The prompts of the text file in its order, or of the question file in order of appearance.

    A prompt that no question is asked of keeps none; a text file alone gives prompts without questions,
    for other metrics. The same question asked twice of a prompt counts twice, as in TIFA's own code.
    """

    def __init__(self, config: TIFAFileConfig) -> None:
        """Raises `ConfigError` naming file, entry and key of what is missing or contradicts."""
        self.config = config
        entries = _entries(Path(config.path).expanduser())
        if not any(key in entry for _, entry in entries for key in _OF_QUESTIONS):
            drafts = _in_order_of_texts(entries, {}, config.path, config.path)
        else:
            drafts = _questions(entries)
        if config.texts:
            texts = _entries(Path(config.texts).expanduser())
            drafts = _in_order_of_texts(texts, drafts, config.texts, config.path)
        self._prompts = tuple(draft.prompt() for draft in drafts.values())

    def __len__(self) -> int:
        return len(self._prompts)

    def prompts(self, limit: int | None = None) -> Sequence[Prompt]:
        return self._prompts if limit is None else self._prompts[:limit]

    def fingerprint(self) -> str:
        total = hashlib.blake2b(digest_size=16)
        for prompt in self._prompts:
            asked = [
                [q.question, q.choices, q.answer, q.element_type, q.element, q.parents]
                for q in prompt.questions
            ]
            total.update(json.dumps([prompt.id, prompt.text, asked]).encode())
        return total.hexdigest()


@dataclass
class _Asked:
    """A question before its parents' numbers are looked up. `number` is its own."""

    where: str
    number: int
    question: Question
    dependency: list[int]


@dataclass
class _Draft:
    id: str
    caption: str
    asked: list[_Asked] = field(default_factory=list)

    def prompt(self) -> Prompt:
        places: dict[int, int] = {}
        for place, item in enumerate(self.asked):
            if item.number in places:
                raise ConfigError(
                    f"{item.where}: prompt '{self.id}' has question_id {item.number} twice."
                )
            places[item.number] = place
        questions = []
        for item in self.asked:
            unknown = [number for number in item.dependency if number not in places]
            if unknown or item.number in item.dependency:
                wrong = unknown[0] if unknown else item.number
                raise ConfigError(
                    f"{item.where}: 'dependency' names question {wrong}; expected another question of "
                    f"prompt '{self.id}' ({', '.join(map(str, places))}), or 0 for none."
                )
            parents = tuple(sorted({places[number] for number in item.dependency}))
            questions.append(_with_parents(item.question, parents))
        return Prompt(self.id, self.caption, tuple(questions))


def _with_parents(question: Question, parents: tuple[int, ...]) -> Question:
    return Question(
        question.question,
        question.choices,
        question.answer,
        question.element_type,
        question.element,
        parents,
    )


def _questions(entries: _Entries) -> dict[str, _Draft]:
    drafts: dict[str, _Draft] = {}
    for where, entry in entries:
        name, caption = _id(where, entry), _text(where, entry, "caption")
        draft = drafts.setdefault(name, _Draft(name, caption))
        if draft.caption != caption:
            raise ConfigError(
                f"{where}: the caption of '{name}' is {caption!r}, but before it was {draft.caption!r}; "
                f"each id must stand for one caption."
            )
        asked = _question(where, entry, name, number=len(draft.asked) + 1)
        for before in draft.asked:
            if before.question.question == asked.question.question and (
                (before.question.answer, before.question.choices)
                != (asked.question.answer, asked.question.choices)
            ):
                raise ConfigError(
                    f"{where}: '{asked.question.question}' was asked of '{name}' before "
                    f"({before.where}) with another answer or other choices."
                )
        draft.asked.append(asked)
    return drafts


def _question(where: str, entry: dict[str, Any], name: str, number: int) -> _Asked:
    text = _text(where, entry, "question")
    choices = entry.get("choices")
    if (
        not isinstance(choices, list)
        or not choices
        or not all(isinstance(choice, str) for choice in choices)
    ):
        raise ConfigError(
            f"{where} ('{name}'): 'choices' is {choices!r}; expected a list of one or more texts."
        )
    if len(set(choices)) != len(choices):
        raise ConfigError(f"{where} ('{name}'): 'choices' has the same text twice: {choices}.")
    answer = _text(where, entry, "answer")
    if answer not in choices:
        raise ConfigError(
            f"{where} ('{name}'): the answer '{answer}' of '{text}' is not among the choices {choices}."
        )
    element = entry.get("element", "")
    if not isinstance(element, str):
        raise ConfigError(f"{where} ('{name}'): 'element' is {element!r}; expected a text.")
    number = _number(where, entry.get("question_id", number), "question_id")
    dependency = entry.get("dependency", [])
    if not isinstance(dependency, list):
        dependency = [dependency]
    numbers = [_number(where, item, "dependency") for item in dependency]
    question = Question(text, tuple(choices), answer, _text(where, entry, "element_type"), element)
    # 0 is the root of a scene graph: it presupposes nothing.
    return _Asked(where, number, question, [item for item in numbers if item != 0])


def _in_order_of_texts(
    entries: _Entries, drafts: dict[str, _Draft], texts: str, questions: str
) -> dict[str, _Draft]:
    ordered: dict[str, _Draft] = {}
    for where, entry in entries:
        name, caption = _id(where, entry), _text(where, entry, "caption")
        if name in ordered:
            raise ConfigError(
                f"{where}: the id '{name}' is there twice; each prompt needs its own."
            )
        draft = drafts.get(name, _Draft(name, caption))
        if draft.caption != caption:
            raise ConfigError(
                f"{where}: the caption of '{name}' is {caption!r}, but {questions} has {draft.caption!r}."
            )
        ordered[name] = draft
    if lost := [draft for draft in drafts.values() if draft.id not in ordered]:
        raise ConfigError(
            f"{lost[0].asked[0].where}: the id '{lost[0].id}' is not in {texts} ({len(lost)} are not); the "
            f"two files must belong together."
        )
    return ordered


def _entries(path: Path) -> _Entries:
    """Each object of a JSON list with the words that name it in complaints, counted from 1."""
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror or error}.") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is no JSON file: it is not UTF-8 text.") from None
    except json.JSONDecodeError as error:
        raise ConfigError(
            f"{path}:{error.lineno}:{error.colno}: not valid JSON: {error.msg}."
        ) from None
    if not isinstance(content, list) or not content:
        raise ConfigError(f"{path} holds no list of entries; expected a file of TIFA's format.")
    for number, entry in enumerate(content, start=1):
        if not isinstance(entry, dict):
            raise ConfigError(f"{path}, entry {number} is {entry!r:.60}; expected an object.")
    return [(f"{path}, entry {number}", entry) for number, entry in enumerate(content, start=1)]


def _id(where: str, entry: dict[str, Any]) -> str:
    """The prompt's id as text; TIFA's own code turns numbers into text too."""
    if isinstance(entry.get("id"), int) and not isinstance(entry["id"], bool):
        return str(entry["id"])
    return _text(where, entry, "id")


def _text(where: str, entry: dict[str, Any], key: str) -> str:
    if key not in entry:
        raise ConfigError(f"{where}: the key '{key}' is missing.")
    value = entry[key]
    if not isinstance(value, str) or not value.strip():
        raise ConfigError(f"{where}: '{key}' is {value!r}; expected a text.")
    return value


def _number(where: str, value: Any, key: str) -> int:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 10:
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise ConfigError(f"{where}: '{key}' is {value!r}; expected a whole number.")
