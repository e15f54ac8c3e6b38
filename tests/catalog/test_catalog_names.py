"""Names: natural order, wildcards, suggestions, collisions, origins, and what a failed plugin hides."""

from __future__ import annotations

from pathlib import Path

import pytest

from zoo_core.catalog import Catalog, open_catalog
from zoo_core.catalog.natural import matching, natural_key
from zoo_core.errors import ConfigError, NameCollisionError, PluginError, UnknownNameError


@pytest.fixture
def user_file(tmp_path: Path):
    """``user_file(text, stem)`` is a registry file of the user's."""

    def make(text: str, stem: str = "mine") -> Path:
        path = tmp_path / f"{stem}.toml"
        path.write_text(text)
        return path

    return make


def test_natural_order():
    names = ["td12", "td4_12", "td2", "td4", "TD4_8", "a"]
    assert sorted(names, key=natural_key) == ["a", "td2", "td4", "TD4_8", "td4_12", "td12"]


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("sdxl-td*", ["sdxl-td2", "sdxl-td12"]),
        ("TD", ["sdxl-td2", "sdxl-td12"]),
        ("sd?", ["sd2"]),
        ("[s]d2", ["sd2"]),
        ("x*z", []),
        (None, ["sd2", "sdxl-td2", "sdxl-td12"]),
    ],
)
def test_matching(pattern, found):
    assert matching(["sdxl-td12", "sd2", "sdxl-td2"], pattern) == found


def test_user_file_adds_a_variant_without_code(good_plugin, user_file):
    good_plugin("grains")
    path = user_file('\n[dataset.few-grains]\nfamily = "grains"\nsamples = 3\nsummary = "Few"\n')
    catalog = open_catalog([path])
    variant = catalog.find("dataset", "few-grains")
    assert (variant.provider, variant.summary, variant.line) == ("mine", "Few", 2)
    assert catalog.describe_origin(variant) == f"{path}:2"
    assert catalog.configure(variant).samples == 3
    assert catalog.configure(variant, {"samples": 9}).samples == 9
    assert catalog.find("dataset", "mine:few-grains") == variant


def test_family_without_variants_is_found_and_listed(good_plugin):
    good_plugin("grains")
    catalog = open_catalog()
    assert "grains" in catalog.names("dataset")
    variant = catalog.find("dataset", "grains")
    assert catalog.configure(variant).samples == 7
    assert catalog.describe_origin(variant) == "fake_grains.build:build"


def test_family_is_listed_by_its_own_variants_but_found_by_name(make_plugin, site):
    shipped = site / "shipped.toml"
    shipped.write_text('[dataset.sand-fine]\nfamily = "sand"\n')
    make_plugin(
        "sand",
        f"""
        from pathlib import Path
        from zoo_core.host import hookimpl
        from zoo_core.interfaces import Component
        ZOO_API_VERSION = "1.0"
        @hookimpl
        def zoo_components():
            return [Component(kind="dataset", name="sand", target="a:b",
                              config="zoo_core.interfaces:DatasetConfig")]
        @hookimpl
        def zoo_registries():
            return [Path({str(shipped)!r})]
        """,
    )
    catalog = open_catalog()
    assert catalog.names("dataset", "sand") == ["sand-fine"]
    assert catalog.find("dataset", "sand").family == "sand:sand"


def test_environment_names_registry_files(good_plugin, user_file, monkeypatch):
    good_plugin("grains")
    path = user_file('[dataset.from-env]\nfamily = "grains"\n')
    monkeypatch.setenv("ZOO_REGISTRY", str(path))
    assert "from-env" in open_catalog().names("dataset")


def test_unknown_names_are_answered_with_suggestions(good_plugin):
    good_plugin("grains")
    catalog = open_catalog()
    with pytest.raises(UnknownNameError, match=r"No dataset is called 'grians'\. Did you mean"):
        catalog.find("dataset", "grians")
    with pytest.raises(UnknownNameError, match="There is a dataset of that name"):
        catalog.find("vae", "grains")
    with pytest.raises(UnknownNameError, match="Did you mean 'dataset'"):
        catalog.names("datasett")
    with pytest.raises(UnknownNameError, match="No preset is called 'lptop'"):
        catalog.preset("lptop")


def test_kind_of_a_name(good_plugin, user_file):
    good_plugin("grains")
    path = user_file(
        '[vae.shared]\nfamily = "v"\n[dataset.shared]\nfamily = "grains"\n[preset.px]\n'
    )
    catalog = open_catalog([path])
    assert catalog.kind_of("grains") == "dataset"
    assert catalog.kind_of("px") == "preset"
    assert catalog.kind_of("mine:px") == "preset"
    with pytest.raises(ConfigError, match="'shared' names a vae and a dataset; say which"):
        catalog.kind_of("shared")
    with pytest.raises(
        UnknownNameError, match=r"Nothing is called 'grainz'\. Did you mean 'grains'"
    ):
        catalog.kind_of("grainz")


def test_families_claimed_twice_name_both_targets_and_resolve_qualified(make_plugin):
    for plugin in ("left", "right"):
        make_plugin(
            plugin,
            f"""
            from zoo_core.host import hookimpl
            from zoo_core.interfaces import Component
            ZOO_API_VERSION = "1.0"
            @hookimpl
            def zoo_components():
                return [Component(kind="dataset", name="contested", target="{plugin}.m:build",
                                  config="zoo_core.interfaces:DatasetConfig")]
            """,
        )
    catalog = open_catalog()
    with pytest.raises(NameCollisionError) as caught:
        catalog.family("dataset", "contested")
    for words in ("left.m:build", "right.m:build", "'left:contested'", "zoo-left 1.2.3"):
        assert words in str(caught.value)
    with pytest.raises(NameCollisionError):
        catalog.find("dataset", "contested")
    assert catalog.family("dataset", "right:contested").component.target == "right.m:build"
    found = catalog.find("dataset", "right:contested")
    assert catalog.family("dataset", found.family).plugin.name == "right"
    assert catalog.names("dataset", "contested") == ["left:contested", "right:contested"]


def test_variants_claimed_twice_name_both_places(good_plugin, user_file):
    good_plugin("grains")
    one = user_file('[dataset.d]\nfamily = "grains"\nsamples = 1\n', "one")
    two = user_file('\n\n[dataset.d]\nfamily = "grains"\nsamples = 2\n', "two")
    catalog = open_catalog([one, two])
    with pytest.raises(NameCollisionError) as caught:
        catalog.find("dataset", "d")
    assert f"{one}:1" in str(caught.value)
    assert f"{two}:3" in str(caught.value)
    assert catalog.configure(catalog.find("dataset", "two:d")).samples == 2
    assert catalog.names("dataset", "*:d") == ["one:d", "two:d"]


def test_presets_claimed_twice(user_file):
    files = [user_file("[preset.p]\n", stem) for stem in ("one", "two")]
    catalog = open_catalog(files)
    with pytest.raises(NameCollisionError, match="one:p"):
        catalog.preset("p")
    assert catalog.preset("two:p").provider == "two"
    assert catalog.preset_names("*:p") == ["one:p", "two:p"]


def test_name_of_a_failed_plugin_says_why(make_plugin, user_file):
    make_plugin("brittle", "import a_package_nobody_has")
    path = user_file('[dataset.d]\nfamily = "brittle"\n')
    catalog = open_catalog([path])
    with pytest.raises(PluginError) as caught:
        catalog.configure(catalog.find("dataset", "d"))
    for words in ("exists, but its plugin 'brittle'", "zoo-brittle 1.2.3", "a_package_nobody_has"):
        assert words in str(caught.value)
    assert caught.value.exit_code == 1
    with pytest.raises(UnknownNameError, match="a_package_nobody_has"):
        catalog.find("dataset", "brittle")


def test_name_of_a_disabled_plugin_says_so(good_plugin, user_file, monkeypatch):
    good_plugin("grains")
    monkeypatch.setenv("ZOO_DISABLE_PLUGINS", "grains")
    catalog = open_catalog([user_file('[dataset.d]\nfamily = "grains"\n')])
    with pytest.raises(PluginError, match="switched off by ZOO_DISABLE_PLUGINS"):
        catalog.configure(catalog.find("dataset", "d"))


def test_missing_settings_module_names_plugin_and_cause(make_plugin):
    make_plugin(
        "hollow",
        """
        from zoo_core.host import hookimpl
        from zoo_core.interfaces import Component
        ZOO_API_VERSION = "1.0"
        @hookimpl
        def zoo_components():
            return [Component(kind="vae", name="no-module", target="a:b", config="fake_hollow.c:C"),
                    Component(kind="vae", name="no-name", target="a:b", config="fake_hollow:C"),
                    Component(kind="vae", name="no-type", target="a:b", config="fake_hollow:hookimpl")]
        """,
    )
    catalog = open_catalog()
    for name, words in (
        ("no-module", "cannot import fake_hollow.c"),
        ("no-name", "has no 'C'"),
        ("no-type", "must be a Config type"),
    ):
        with pytest.raises(PluginError, match=words) as caught:
            catalog.family("vae", name).config_type()
        assert "plugin hollow, zoo-hollow 1.2.3" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[backbnoe.x]\nfamily = 'a'\n", ":1: unknown table '[backbnoe]'. Did you mean 'backbone'"),
        ("\n[backbone.x]\nchannels = 3\n", ":2: 'backbone.x' needs family"),
        ("backbone = 3\n", "must hold tables"),
        ("[backbone]\nx = 3\n", ":2: 'backbone.x' must be a table, not 3"),
        ("[backbone.'a:b']\nfamily = 'a'\n", "must not be empty or contain ':'"),
        (
            "[backbone.x]\nfamily = 'a'\nreference = 3\n",
            ":3: 'backbone.x.reference' must be a table",
        ),
        ("[backbone.x]\nfamily = 'a'\nsummary = 3\n", ":3: 'backbone.x.summary' must be text"),
        ("[preset.x]\nextends = 3\n", "must be text"),
        ("[backbone.x]\nfamily = \n", ":2:10: not valid TOML"),
    ],
)
def test_malformed_user_file(user_file, text, words):
    path = user_file(text)
    with pytest.raises(ConfigError) as caught:
        open_catalog([path])
    assert str(caught.value).startswith(str(path))
    assert words in str(caught.value)


def test_malformed_fragment_fails_its_plugin_alone(make_plugin, good_plugin, site):
    (site / "good.toml").write_text('[dataset.goes-too]\nfamily = "torn"\n[preset.goes-too]\n')
    (site / "torn.toml").write_text("[dataset.x]\nfamily = 3\n")
    make_plugin(
        "torn",
        f"""
        from pathlib import Path
        from zoo_core.host import hookimpl
        from zoo_core.interfaces import Component
        ZOO_API_VERSION = "1.0"
        @hookimpl
        def zoo_components():
            return [Component(kind="dataset", name="torn", target="a:b", config="c:d")]
        @hookimpl
        def zoo_registries():
            return [Path({str(site)!r}) / "good.toml", Path({str(site)!r}) / "torn.toml"]
        """,
    )
    good_plugin("whole")
    catalog = open_catalog()
    failed = next(p for p in catalog.host.plugins if p.name == "torn")
    assert failed.state == "failed"
    assert "torn.toml:1" in failed.error
    assert not catalog.host.manager.has_plugin("torn")
    assert catalog.names("dataset", "torn") == []
    assert catalog.names("dataset", "goes-too") == []
    assert catalog.preset_names("goes-too") == []
    assert not [file for file in catalog.files if file.parent == site]
    assert "whole" in catalog.names("dataset")


def test_the_zoo_itself_names_21_backbones():
    catalog: Catalog = open_catalog()
    assert len([v for v in catalog.variants if (v.kind, v.provider) == ("backbone", "zoo")]) == 21
    for name in catalog.names("backbone"):
        variant = catalog.find("backbone", name)
        text = variant.file.read_text().splitlines()
        assert text[variant.line - 1].startswith(f"[backbone.{name}]")
