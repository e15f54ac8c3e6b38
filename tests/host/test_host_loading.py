"""Every way in which a plugin can fail: told in a sentence, rolled back, and harmless to others."""

from __future__ import annotations

import pytest

from zoo_core.host import API_VERSION, PluginHost, PluginStatus, load_plugins

HEAD = """
from pathlib import Path
from zoo_core.host import hookimpl
from zoo_core.interfaces import Component
ZOO_API_VERSION = "1.0"

def component(name, kind="dataset", target="nowhere.build:build"):
    return Component(kind=kind, name=name, target=target, config="nowhere.config:Config")
"""

#: name -> (body, words of the error that must be there)
FAILURES = {
    "import-error": (
        "from zoo_core.host import no_such_name",
        ("ImportError", "no_such_name"),
    ),
    "syntax-error": ("x = (\n", ("SyntaxError", "__init__.py", "line 1")),
    "missing-dependency": (
        "import a_package_nobody_has",
        ("ModuleNotFoundError", "a_package_nobody_has"),
    ),
    "wrong-signature": (
        HEAD + "@hookimpl\ndef zoo_components(catalog):\n    return []\n",
        ("zoo_components", "catalog"),
    ),
    "misspelled-hook": (
        HEAD + "@hookimpl\ndef zoo_component():\n    return []\n",
        ("zoo_component()", "Did you mean 'zoo_components'"),
    ),
    "misspelled-unmarked-hook": (
        HEAD + "def zoo_componentz():\n    return []\n",
        ("zoo_componentz()", "Did you mean 'zoo_components'"),
    ),
    "unmarked-hook": (HEAD + "def zoo_components():\n    return []\n", ("lacks", "@hookimpl")),
    "raises-in-hook": (
        HEAD + "@hookimpl\ndef zoo_components():\n    raise RuntimeError('the cause')\n",
        ("RuntimeError", "the cause"),
    ),
    "raises-in-second-hook": (
        HEAD
        + "@hookimpl\ndef zoo_components():\n    return [component('half')]\n"
        + "@hookimpl\ndef zoo_registries():\n    raise KeyError('registries')\n",
        ("KeyError", "registries"),
    ),
    "unknown-kind": (
        HEAD + "@hookimpl\ndef zoo_components():\n    return [component('x', kind='bone')]\n",
        ("unknown kind 'bone'",),
    ),
    "bad-target": (
        HEAD + "@hookimpl\ndef zoo_components():\n    return [component('x', target='build')]\n",
        ("module:attribute", "'build'"),
    ),
    "not-a-list": (HEAD + "@hookimpl\ndef zoo_components():\n    return 'abc'\n", ("'abc'",)),
    "not-components": (
        HEAD + "@hookimpl\ndef zoo_components():\n    return [42]\n",
        ("42", "Component"),
    ),
    "api-missing": ("x = 1", ("no API version", f'ZOO_API_VERSION = "{API_VERSION}"')),
    "api-newer": ('ZOO_API_VERSION = "1.99"', ("needs plugin API 1.99", "upgrade the zoo")),
    "api-newer-major": ('ZOO_API_VERSION = "2.0"', ("needs plugin API 2.0", "upgrade the zoo")),
    "api-older-major": ('ZOO_API_VERSION = "0.9"', ("API 0.9", "upgrade the plugin")),
    "api-malformed": ('ZOO_API_VERSION = "one"', ("'one'", "MAJOR.MINOR")),
    "duplicate-within": (
        HEAD
        + "@hookimpl\ndef zoo_components():\n"
        + "    return [component('x', target='a:b'), component('x', target='c:d')]\n",
        ("twice", "a:b", "c:d"),
    ),
    "sys-exit": ("import sys\nsys.exit(3)\n", ("sys.exit(3)",)),
    "no-registry-file": (
        HEAD + "@hookimpl\ndef zoo_registries():\n    return [Path('/nowhere/at/all.toml')]\n",
        ("/nowhere/at/all.toml", "not a file"),
    ),
}


def by_name(host: PluginHost, name: str) -> PluginStatus:
    return next(plugin for plugin in host.plugins if plugin.name == name)


@pytest.mark.parametrize("name", FAILURES)
def test_failure_is_told_rolled_back_and_alone(name, make_plugin, good_plugin):
    body, words = FAILURES[name]
    make_plugin(name, body)
    good_plugin("aaa-before")
    good_plugin("zzz-after")
    host = load_plugins()
    failed = by_name(host, name)
    assert failed.state == "failed"
    for word in words:
        assert word in failed.error
    assert "\n" not in failed.error
    assert "Traceback" in failed.trace
    assert (failed.distribution, failed.version) == (f"zoo-{name}", "1.2.3")
    assert failed.components == ()
    assert failed.registries == ()
    # Nothing of it is left in pluggy, whose hooks still answer for the others.
    assert not host.manager.has_plugin(name)
    registered = [impl.plugin_name for impl in host.manager.hook.zoo_components.get_hookimpls()]
    assert name not in registered
    for neighbour in ("aaa-before", "zzz-after"):
        assert by_name(host, neighbour).state == "loaded"
        assert [c.name for c in by_name(host, neighbour).components] == [neighbour]
        assert neighbour in registered


def test_all_failures_together_leave_the_good_ones(make_plugin, good_plugin):
    for name, (body, _) in FAILURES.items():
        make_plugin(name, body)
    good_plugin("the-good-one")
    host = load_plugins()
    assert {p.name for p in host.failed} >= set(FAILURES)
    assert "the-good-one" in {p.name for p in host.loaded}


def test_older_minor_version_is_welcome(make_plugin, monkeypatch):
    monkeypatch.setattr("zoo_core.host.hookspecs.API_VERSION", "1.5")
    make_plugin("older-minor", 'ZOO_API_VERSION = "1.4"')
    status = by_name(load_plugins(), "older-minor")
    assert (status.state, status.api) == ("loaded", "1.4")


def test_prints_on_import_go_to_stderr(make_plugin, capsys):
    make_plugin("chatty", 'print("hello there")\nZOO_API_VERSION = "1.0"\n')
    assert by_name(load_plugins(), "chatty").state == "loaded"
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "hello there" in captured.err


def test_keyboard_interrupt_is_not_a_plugin_failure(make_plugin):
    make_plugin("interrupting", "raise KeyboardInterrupt\n")
    with pytest.raises(KeyboardInterrupt):
        load_plugins()


def test_disabled_plugins_are_not_imported(good_plugin, make_plugin, monkeypatch):
    make_plugin("loud", "raise RuntimeError('imported')")
    good_plugin("quiet")
    monkeypatch.setenv("ZOO_DISABLE_PLUGINS", "loud, not-there")
    host = load_plugins()
    assert by_name(host, "loud").state == "disabled"
    assert "ZOO_DISABLE_PLUGINS" in by_name(host, "loud").error
    assert by_name(host, "quiet").state == "loaded"
    assert not host.manager.has_plugin("loud")


def test_two_distributions_with_one_plugin_name(make_plugin):
    make_plugin(
        "twin",
        HEAD + "@hookimpl\ndef zoo_components():\n    return [component('one')]\n",
        entry="aa",
    )
    make_plugin(
        "twin",
        HEAD + "@hookimpl\ndef zoo_components():\n    return [component('two')]\n",
        entry="bb",
    )
    host = load_plugins()
    twins = [plugin for plugin in host.plugins if plugin.name == "twin"]
    assert [twin.state for twin in twins] == ["loaded", "failed"]
    assert "fake_aa" in twins[1].error
    assert "zoo-aa 1.2.3" in twins[1].error
    assert [c.name for c in twins[0].components] == ["one"]
    assert host.manager.has_plugin("twin")


def test_plugins_load_in_order_of_their_names(good_plugin):
    for name in ("mmm", "bbb", "xxx"):
        good_plugin(name)
    names = [plugin.name for plugin in load_plugins().plugins]
    assert names == sorted(names)


def test_entry_point_may_name_an_attribute(make_plugin, site):
    make_plugin(
        "object-plugin",
        """
        from zoo_core.host import hookimpl
        from zoo_core.interfaces import Component
        class Plugin:
            ZOO_API_VERSION = "1.0"
            @hookimpl
            def zoo_components(self):
                return [Component(kind="vae", name="v", target="a:b", config="c:d")]
        plugin = Plugin()
        """,
    )
    info = next(site.glob("zoo_object_plugin*.dist-info"))
    (info / "entry_points.txt").write_text(
        "[zoo.plugins]\n# a comment\nobject-plugin = fake_object_plugin:plugin [extra]\n"
    )
    status = by_name(load_plugins(), "object-plugin")
    assert status.error is None
    assert [c.name for c in status.components] == ["v"]
