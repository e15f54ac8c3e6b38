"""Reading dist-info folders directly finds what `importlib.metadata` finds."""

from __future__ import annotations

import sys
import zipfile
from importlib import metadata

import pytest

from zoo_core.host import ENTRY_POINT_GROUP
from zoo_core.host.discovery import PluginPoint, find_plugin_points


def rows(points):
    return sorted((p.name, p.value, p.distribution, p.version) for p in points)


def reference(group):
    return rows(PluginPoint.of(point) for point in metadata.entry_points(group=group))


@pytest.mark.parametrize("group", ["console_scripts", "pytest11", ENTRY_POINT_GROUP])
def test_agrees_with_importlib_metadata(group, good_plugin):
    good_plugin("one-more")
    found = rows(find_plugin_points(group))
    assert found == reference(group)
    assert found


def test_first_distribution_of_a_name_hides_later_ones(tmp_path, good_plugin, monkeypatch):
    good_plugin("doubled")
    older = tmp_path / "later"
    info = older / "zoo_doubled-0.0.1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Name: zoo-doubled\nVersion: 0.0.1\n")
    (info / "entry_points.txt").write_text("[zoo.plugins]\nold-doubled = nowhere\n")
    monkeypatch.setattr(sys, "path", [*sys.path, str(older)])
    names = {point.name for point in find_plugin_points(ENTRY_POINT_GROUP)}
    assert "doubled" in names
    assert "old-doubled" not in names
    assert rows(find_plugin_points(ENTRY_POINT_GROUP)) == reference(ENTRY_POINT_GROUP)


def test_distribution_in_a_zip_file_is_found(tmp_path, monkeypatch):
    archive = tmp_path / "zipped.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("zoo_zipped-3.1.dist-info/METADATA", "Name: zoo-zipped\nVersion: 3.1\n")
        file.writestr("zoo_zipped-3.1.dist-info/entry_points.txt", "[zoo.plugins]\nzip = inside\n")
    monkeypatch.syspath_prepend(str(archive))
    found = {p.name: p for p in find_plugin_points(ENTRY_POINT_GROUP)}
    assert (found["zip"].distribution, found["zip"].version) == ("zoo-zipped", "3.1")


def test_finder_of_its_own_is_asked(monkeypatch):
    class Dist(metadata.Distribution):
        def read_text(self, filename):
            texts = {
                "METADATA": "Name: zoo-elsewhere\nVersion: 9\n",
                "entry_points.txt": "[zoo.plugins]\nelsewhere = there\n",
            }
            return texts.get(filename)

        def locate_file(self, path):
            return path

    class Finder(metadata.DistributionFinder):
        def find_distributions(self, context=None):
            return [Dist()]

        def find_spec(self, *_):
            return None

    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path, Finder()])
    assert "elsewhere" in {p.name for p in find_plugin_points(ENTRY_POINT_GROUP)}
