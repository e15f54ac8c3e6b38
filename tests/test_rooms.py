"""The rooms of the core: each imports only from rooms before it, and none imports a plugin."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import zoo_core

CORE = Path(zoo_core.__file__).parent
#: From the ground floor up. `errors` and `__main__` are single files; `adapters` is what plugins of one
#: kind share.
ROOMS = (
    "errors",
    "schema",
    "interfaces",
    "host",
    "catalog",
    "recipe",
    "account",
    "adapters",
    "stream",
    "diffusion",
    "runs",
    "evaluation",
    "analysis",
    "testing",
    "workflow",
    "cli",
    "__main__",
)
#: What only names types needs no room above it: such imports never run.
GUARD = "TYPE_CHECKING"


def room_of(path: Path) -> str:
    return path.relative_to(CORE).parts[0].removesuffix(".py")


def imported(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Every module that running the code may import, inside functions too, with its line."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == GUARD:
            yield from imported(ast.Module(node.orelse, type_ignores=[]))
        elif isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: the core writes its imports in full"
            if node.module == "zoo_core":
                yield from ((f"zoo_core.{alias.name}", node.lineno) for alias in node.names)
            else:
                yield node.module or "", node.lineno
        else:
            yield from imported(node)


def targets(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """``module:attribute`` strings of the core, which lead to imports as well."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            module, colon, attribute = node.value.partition(":")
            if colon and attribute.isidentifier() and module.startswith("zoo_"):
                yield module, node.lineno


def complaints(path: Path, tree: ast.AST) -> list[str]:
    own = room_of(path)
    found = []
    for module, line in (*imported(tree), *targets(tree)):
        parts = module.split(".")
        if parts[0] == "zoo_core" and len(parts) > 1 and parts[1] != "__version__":
            if ROOMS.index(parts[1]) > ROOMS.index(own):
                found.append(f"{path}:{line}: {own} imports {module}, a room above it")
        elif parts[0].startswith("zoo_") and parts[0] != "zoo_core":
            found.append(f"{path}:{line}: the core imports the plugin {parts[0]}")
    return found


FILES = [path for path in sorted(CORE.rglob("*.py")) if path != CORE / "__init__.py"]


def test_every_room_is_in_the_list():
    assert {room_of(path) for path in FILES} <= set(ROOMS)
    assert len(FILES) > 40


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(CORE)))
def test_imports_go_downwards(path):
    assert complaints(path, ast.parse(path.read_bytes())) == []


@pytest.mark.parametrize(
    "code",
    [
        "import zoo_core.cli.main",
        "from zoo_core.recipe import Recipe",
        "from zoo_core import recipe",
        "def f():\n    from zoo_core.recipe import Recipe",
        "import zoo_sdxl",
        "from zoo_sdxl.model import build",
        "x = 'zoo_core.cli.list:command'",
        "if TYPE_CHECKING:\n    pass\nelse:\n    import zoo_core.cli",
    ],
)
def test_a_wrong_import_is_noticed(code):
    assert complaints(CORE / "catalog" / "made_up.py", ast.parse(code))


def test_types_alone_may_come_from_above():
    code = "if TYPE_CHECKING:\n    from zoo_core.recipe import Recipe"
    assert complaints(CORE / "catalog" / "made_up.py", ast.parse(code)) == []
