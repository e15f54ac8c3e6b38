"""What the documents tell a reader to type works: commands parse or run, TOML blocks are read."""

import re
import shlex
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner

from zoo_core.cli.main import cli

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
PAGES = (
    "README.md",
    "docs/architecture.md",
    "docs/training.md",
    "docs/evaluation.md",
    "CHANGELOG.md",
)


def _console_commands(text: str) -> list[str]:
    """The lines after `$` of every console block, without their comments."""
    blocks = re.findall(r"```console\n(.*?)```", text, flags=re.S)
    lines = [line for block in blocks for line in block.splitlines() if line.startswith("$ ")]
    return [line[2:].split("  #")[0].strip() for line in lines]


COMMANDS = [
    command
    for page in PAGES
    for command in _console_commands((ROOT / page).read_text())
    if command.startswith("zoo ")
]
QUICK = ("list", "show", "plugins")


def test_the_readme_has_commands_to_check():
    assert len(COMMANDS) >= 8
    assert "make demo" in _console_commands(README)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_documents(command, tmp_path, monkeypatch):
    """Listings run as written, training as a dry run; the rest is parsed against its options.

    `my-images` stands for a reader's dataset, and here for the one that everyone has.
    """
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.toml").write_text(_toml_block("mine.toml"))
    words = ["shapes" if word == "my-images" else word for word in shlex.split(command)[1:]]
    verb = next(word for word in words if word in cli.list_commands(None))
    if verb == "train" and "--dry-run" not in words:
        words.append("--dry-run")
    on_a_run = verb == "digest" and "--preset" not in words
    if on_a_run or verb not in (*QUICK, "train", "digest"):
        words.append("--help")
    result = CliRunner().invoke(cli, words)
    assert result.exit_code == 0, result.output
    assert result.output.strip()


def test_every_toml_block_is_valid():
    for page in PAGES:
        text = (ROOT / page).read_text()
        for block in re.findall(r"```toml\n(.*?)```", text, flags=re.S):
            tomllib.loads(block)


@pytest.mark.parametrize("page", PAGES)
def test_every_local_link_leads_somewhere(page):
    path = ROOT / page
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)\)", path.read_text())
    missing = [link for link in links if not (path.parent / link).exists()]
    assert not missing


def _toml_block(name: str) -> str:
    found = re.search(rf"```toml\n# {re.escape(name)}\n(.*?)```", README, flags=re.S)
    assert found, f"README.md has a block that starts with '# {name}'"
    return found[1]
