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


def _console_commands(text: str) -> list[str]:
    """The lines after `$` of every console block, without their comments."""
    blocks = re.findall(r"```console\n(.*?)```", text, flags=re.S)
    lines = [line for block in blocks for line in block.splitlines() if line.startswith("$ ")]
    return [line[2:].split("  #")[0].strip() for line in lines]


COMMANDS = [command for command in _console_commands(README) if command.startswith("zoo ")]
QUICK = ("list", "show", "plugins")


def test_the_readme_has_commands_to_check():
    assert len(COMMANDS) >= 8
    assert "make demo" in _console_commands(README)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_readme(command, tmp_path, monkeypatch):
    """Listings run as written, training as a dry run; the rest is parsed against its options."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.toml").write_text(_toml_block("mine.toml"))
    words = shlex.split(command)[1:]
    verb = next(word for word in words if word in cli.list_commands(None))
    if verb == "train" and "--dry-run" not in words:
        words.append("--dry-run")
    if verb not in (*QUICK, "train"):
        words.append("--help")
    result = CliRunner().invoke(cli, words)
    assert result.exit_code == 0, result.output
    assert result.output.strip()


def test_every_toml_block_is_valid():
    for text in (README, (ROOT / "docs" / "architecture.md").read_text()):
        for block in re.findall(r"```toml\n(.*?)```", text, flags=re.S):
            tomllib.loads(block)


@pytest.mark.parametrize("page", ["README.md", "docs/architecture.md", "CHANGELOG.md"])
def test_every_local_link_leads_somewhere(page):
    path = ROOT / page
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)\)", path.read_text())
    missing = [link for link in links if not (path.parent / link).exists()]
    assert not missing


def _toml_block(name: str) -> str:
    found = re.search(rf"```toml\n# {re.escape(name)}\n(.*?)```", README, flags=re.S)
    assert found, f"README.md has a block that starts with '# {name}'"
    return found[1]
