"""Listing and planning need no heavy library: neither manifests, settings nor closed forms import one."""

from __future__ import annotations

import os
import subprocess
import sys

PLUGINS = ("zoo_sd2", "zoo_sdxl", "zoo_if_xl", "zoo_pixart", "zoo_kl_vae", "zoo_openclip", "zoo_t5")
HEAVY = {"torch", "diffusers", "timm", "transformers", "open_clip", "numpy", "safetensors"}
SCRIPT = """
import importlib, os, sys
sys.path[:0] = os.environ["ZOO_TEST_PATH"].split(os.pathsep)
for plugin in sys.argv[1:]:
    for component in importlib.import_module(plugin).zoo_components():
        for reference in (component.config, component.account):
            if reference:
                module, _, attribute = reference.partition(":")
                getattr(importlib.import_module(module), attribute)
import zoo_core.account.isolated, zoo_core.account.training
print(*{name.partition(".")[0] for name in sys.modules})
"""


def test_manifests_settings_and_accounts_are_light():
    environment = {**os.environ, "ZOO_TEST_PATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *PLUGINS],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    imported = set(done.stdout.split())
    assert set(PLUGINS) <= imported
    assert not imported & HEAVY
