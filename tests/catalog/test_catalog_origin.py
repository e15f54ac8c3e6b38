"""The place of a target is found without importing its module."""

from __future__ import annotations

import sys

from zoo_core.catalog.origin import locate


def test_function_class_and_assignment(site):
    package = site / "placed"
    package.mkdir()
    (package / "__init__.py").write_text("")
    code = package / "code.py"
    code.write_text("import nothing_of_that_name\n\ndef f(): ...\n\nclass C: ...\n\nv = f\n")
    assert locate("placed.code:f") == f"{code}:3"
    assert locate("placed.code:C") == f"{code}:5"
    assert locate("placed.code:v") == f"{code}:7"
    assert locate("placed.code:other") == str(code)
    assert "placed.code" not in sys.modules


def test_nowhere():
    assert locate("no_such_package_at_all.code:f") is None
    assert locate("no_such_module_at_all:f") is None
