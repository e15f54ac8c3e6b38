"""TOML files: what cannot be read is told with file, line and column; keys are found again."""

from __future__ import annotations

import pytest

from zoo_core.errors import ConfigError
from zoo_core.schema import key_line, load_toml

TEXT = """\
# a comment with [header] and key = 1
top = 1

[preset.laptop]
steps = 5
data = {resolution = 64}
[preset.laptop.training]   # a comment
batch_size = 3
nested.deeper.key = 1

["quoted name".'and this']
"odd key" = 2
[backbone."sd2.1"]
channels = 3
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "file.toml"
    path.write_text(TEXT)
    return path


@pytest.mark.parametrize(
    ("dotted", "line"),
    [
        ("top", 2),
        ("preset.laptop", 4),
        ("preset.laptop.steps", 5),
        ("preset.laptop.data.resolution", 6),
        ("preset.laptop.training", 7),
        ("preset.laptop.training.batch_size", 8),
        ("preset.laptop.training.missing", 7),
        ("preset.laptop.training.nested.deeper.key", 9),
        ("quoted name.and this.odd key", 12),
        ("backbone.sd2.1", 13),
        ("backbone.sd2.1.channels", 14),
        ("nothing.like.it", None),
        ("header", None),
    ],
)
def test_key_line(file, dotted, line):
    assert key_line(file, dotted) == line


def test_key_line_follows_changes_of_the_file(file):
    assert key_line(file, "top") == 2
    file.write_text("\n\n\n" + TEXT)
    assert key_line(file, "top") == 5


def test_key_line_of_a_missing_file(tmp_path):
    assert key_line(tmp_path / "none.toml", "a") is None


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("a = 1\nb = = 2\n", ":2:5: not valid TOML"),
        ("a = 1\na = 2\n", ":2:6: not valid TOML"),
        ("a = [1,\n", "not valid TOML"),
        ("[a\n", ":1:3: not valid TOML"),
    ],
)
def test_broken_file_names_line_and_column(tmp_path, text, place):
    path = tmp_path / "broken.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_toml(path)
    assert str(caught.value).startswith(f"{path}:")
    assert place in str(caught.value)


def test_unreadable_files(tmp_path):
    with pytest.raises(ConfigError, match=r"none\.toml: cannot be read \(no such file"):
        load_toml(tmp_path / "none.toml")
    with pytest.raises(ConfigError, match=r"cannot be read \(is a directory\)"):
        load_toml(tmp_path)
    latin = tmp_path / "latin.toml"
    latin.write_bytes(b'a = "\xe9"\n')
    with pytest.raises(ConfigError, match=r"not UTF-8 text \(byte 5\)"):
        load_toml(latin)
