"""The commands as processes: what they import, pipes, terminals, completion."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = {
    "torch",
    "diffusers",
    "timm",
    "transformers",
    "open_clip",
    "numpy",
    "PIL",
    "scipy",
    "matplotlib",
}
#: Runs `zoo` with the arguments given, then writes the names of all modules to a file.
DRIVER = """
import sys
modules, *sys.argv[1:] = sys.argv[1:]
from zoo_core.cli.main import main
try:
    main()
finally:
    with open(modules, "w") as file:
        file.write("\\n".join(sys.modules))
"""
ZOO = [sys.executable, "-m", "zoo_core"]


def environment(**extra: str) -> dict[str, str]:
    """This process's environment; the folders it imports from are found by children as well."""
    path = os.pathsep.join(filter(None, sys.path))
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("ZOO_", "_ZOO_"))}
    return {**kept, "PYTHONPATH": path, "PYTHONSAFEPATH": "1", **extra}


def completing(words: str) -> dict[str, str]:
    return {
        "_ZOO_COMPLETE": "bash_complete",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split(" ")) - 1),
    }


CASES = {
    "help": (["--help"], {}),
    "command help": (["train", "--help"], {}),
    "list": (["list"], {}),
    "list json": (["list", "--json"], {}),
    "show": (["show", "sdxl-td4_4"], {}),
    "show preset": (["show", "pixart-xl2", "--preset", "laptop"], {}),
    "plugins": (["plugins"], {}),
    "dry run": (["train", "if-xl", "--dry-run"], {}),
    "completing names": ([], completing("zoo train sd")),
    "completing keys": ([], completing("zoo train sdxl --set training.")),
    "completion script": (["completion", "zsh"], {}),
}


@pytest.mark.parametrize("case", CASES)
def test_naming_and_describing_imports_nothing_heavy(case, tmp_path):
    args, extra = CASES[case]
    listing = tmp_path / "modules"
    result = subprocess.run(
        [sys.executable, "-c", DRIVER, str(listing), *args],
        env=environment(**extra),
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout
    modules = {name.partition(".")[0] for name in listing.read_text().splitlines()}
    assert "zoo_core" in modules
    assert modules & HEAVY == set()
    assert "rich" not in modules, "a pipe gets plain text"


def test_heavy_modules_would_be_seen(tmp_path):
    """The check above is alive: a plugin that imports numpy at its top is noticed."""
    package = tmp_path / "site" / "heavy_top"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text('import numpy\nZOO_API_VERSION = "1.0"\n')
    info = tmp_path / "site" / "heavy-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Name: heavy\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[zoo.plugins]\nheavy = heavy_top\n")
    listing = tmp_path / "modules"
    env = environment()
    env["PYTHONPATH"] = f"{tmp_path / 'site'}{os.pathsep}{env['PYTHONPATH']}"
    command = [sys.executable, "-c", DRIVER, str(listing), "plugins"]
    subprocess.run(command, env=env, capture_output=True, check=True)
    assert "numpy" in listing.read_text().split()


def lines(extra: dict[str, str], cwd: Path | None = None) -> list[str]:
    result = subprocess.run(
        ZOO, env=environment(**extra), capture_output=True, text=True, check=True, cwd=cwd
    )
    assert result.stderr == ""
    return [line.partition(",")[2] for line in result.stdout.splitlines() if line]


def test_completion_of_names():
    found = lines(completing("zoo train sdxl-td4"))
    assert found == ["sdxl-td4", "sdxl-td4_4", "sdxl-td4_8", "sdxl-td4_12"]


def test_completion_in_a_folder_with_a_broken_registry(tmp_path):
    broken = tmp_path / "broken.toml"
    broken.write_text("= =")
    assert lines(completing(f"zoo --registry {broken} train sd")) == []


def test_table_on_a_terminal_is_richs_and_a_pipe_gets_plain_text(tmp_path):
    pty = pytest.importorskip("pty", reason="this system has no pseudo-terminals")
    reader, writer = pty.openpty()
    listing = tmp_path / "modules"
    process = subprocess.Popen(
        [sys.executable, "-c", DRIVER, str(listing), "list", "vae"],
        stdout=writer,
        stderr=subprocess.PIPE,
        env=environment(TERM="xterm-256color", COLUMNS="100"),
    )
    os.close(writer)
    shown = b""
    try:
        while chunk := os.read(reader, 65536):
            shown += chunk
    except OSError:  # how Linux reports that the other side has closed
        pass
    os.close(reader)
    assert process.wait() == 0
    assert process.stderr is not None
    process.stderr.close()
    text = shown.decode()
    assert "sd2-vae" in text
    assert "─" in text
    assert "rich" in listing.read_text().split()


def test_a_reader_that_has_gone_is_no_error(tmp_path):
    reader, writer = os.pipe()
    os.close(reader)
    result = subprocess.run(
        [*ZOO, "list", "--json"],
        stdout=writer,
        stderr=subprocess.PIPE,
        env=environment(),
        text=True,
        cwd=tmp_path,
    )
    os.close(writer)
    assert result.stderr == ""
    assert result.returncode == 1


def test_json_stays_clean_when_a_plugin_prints(tmp_path):
    package = tmp_path / "site" / "chatty_top"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text('print("hello")\nZOO_API_VERSION = "1.0"\n')
    info = tmp_path / "site" / "chatty-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Name: chatty\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[zoo.plugins]\nchatty = chatty_top\n")
    env = environment()
    env["PYTHONPATH"] = f"{tmp_path / 'site'}{os.pathsep}{env['PYTHONPATH']}"
    result = subprocess.run([*ZOO, "plugins", "--json"], env=env, capture_output=True, text=True)
    assert "chatty" in {row["name"] for row in json.loads(result.stdout)["plugins"]}
    assert "hello" in result.stderr


def test_errors_of_a_process():
    result = subprocess.run(
        [*ZOO, "show", "sdxl-td44"], env=environment(), capture_output=True, text=True
    )
    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr.startswith("zoo: Nothing is called 'sdxl-td44'. Did you mean")
