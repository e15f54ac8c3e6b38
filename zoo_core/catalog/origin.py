"""Where the code behind a target stands, found without running it."""

from __future__ import annotations

import ast
from importlib.util import find_spec
from pathlib import Path


def locate(target: str) -> str | None:
    """``file:line`` of the function, class or assignment that ``module:attribute`` names.

    Only the packages around the module are imported, which a plugin keeps light; its own file is read
    as text. None when there is no such file.
    """
    module, _, attribute = target.partition(":")
    try:
        spec = find_spec(module)
    except ImportError:
        return None
    if spec is None or spec.origin is None or not Path(spec.origin).is_file():
        return None
    line = _line_of(Path(spec.origin), attribute)
    return f"{spec.origin}:{line}" if line else spec.origin


def _line_of(path: Path, name: str) -> int | None:
    try:
        tree = ast.parse(path.read_bytes())
    except SyntaxError:
        return None
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and node.name == name:
            return node.lineno
        if isinstance(node, ast.Assign):
            names = [item.id for item in node.targets if isinstance(item, ast.Name)]
            if name in names:
                return node.lineno
    return None
