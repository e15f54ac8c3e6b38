"""Plugins made on the spot: real packages with real dist-info folders, found as installed ones are."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

MakePlugin = Callable[..., str]


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder at the head of `sys.path`; what was imported from it is forgotten afterwards."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    before = set(sys.modules)
    yield folder
    for name in set(sys.modules) - before:
        if str(folder) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


@pytest.fixture
def make_plugin(site: Path) -> MakePlugin:
    """``make_plugin(name, body)`` installs a distribution ``zoo-NAME`` with one plugin called NAME."""

    def make(
        name: str,
        body: str,
        *,
        entry: str | None = None,
        version: str = "1.2.3",
        files: dict[str, str] | None = None,
    ) -> str:
        module = "fake_" + (entry or name).replace("-", "_")
        package = site / module
        package.mkdir()
        (package / "__init__.py").write_text(textwrap.dedent(body), encoding="utf-8")
        for file, text in (files or {}).items():
            (package / file).write_text(textwrap.dedent(text), encoding="utf-8")
        info = site / f"zoo_{(entry or name).replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        distribution = f"zoo-{entry or name}"
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n\nName: wrong\n"
        )
        (info / "entry_points.txt").write_text(
            f"[console_scripts]\nother = other:main\n\n[zoo.plugins]\n{name} = {module}\n"
        )
        return module

    return make


#: A plugin that works: one dataset family, with its settings in a module of its own.
GOOD = """
from zoo_core.host import hookimpl
from zoo_core.interfaces import Component

ZOO_API_VERSION = "1.0"

@hookimpl
def zoo_components():
    return [Component(kind="dataset", name="{name}", target="{module}.build:build",
                      config="{module}.config:Settings", summary="Made for a test")]
"""
CONFIG = """
from __future__ import annotations
from typing import Annotated
from msgspec import Meta
from zoo_core.interfaces import DatasetConfig

class Settings(DatasetConfig, frozen=True):
    samples: Annotated[int, Meta(ge=1, le=100, description="How many")] = 7
"""


@pytest.fixture
def good_plugin(make_plugin: MakePlugin) -> Callable[[str], str]:
    """``good_plugin(name)`` installs a working plugin with the dataset family NAME."""

    def make(name: str, family: str | None = None) -> str:
        module = "fake_" + name.replace("-", "_")
        body = GOOD.format(name=family or name, module=module)
        return make_plugin(name, body, files={"config.py": CONFIG})

    return make
