"""Settings of the logger, and what is said where TensorBoard is missing. Needs no TensorBoard."""

import sys

import pytest

from zoo_core.catalog import open_catalog
from zoo_core.errors import ConfigError, PluginError
from zoo_core.recipe import resolve_recipe
from zoo_core.recipe.components import Components


def _resolved(*assignments):
    catalog = open_catalog()
    chosen = ['logging.loggers=["tensorboard"]', *assignments]
    return Components(resolve_recipe(catalog, "sd2", "laptop", None, chosen), catalog)


def test_it_is_chosen_by_name_and_changes_nothing_that_is_trained():
    with_logger = _resolved().recipe
    without = resolve_recipe(open_catalog(), "sd2", "laptop")
    assert [slot.name for slot in with_logger.loggers] == ["tensorboard"]
    assert with_logger.fingerprint() == without.fingerprint()
    assert with_logger.to_table()["logger"]["tensorboard"]["folder"] == "tensorboard"


@pytest.mark.parametrize("folder", ["/tmp/x", "..", "a/../../b", "", "."])
def test_event_files_stay_in_the_run(folder):
    with pytest.raises(ConfigError, match="folder"):
        _resolved(f'logger.tensorboard.folder="{folder}"')


def test_an_unknown_setting_is_refused():
    with pytest.raises(ConfigError, match=r"'foldr'\. Did you mean 'folder'"):
        _resolved("logger.tensorboard.foldr=x")


def test_without_tensorboard_a_sentence_says_what_to_install(monkeypatch):
    for name in [name for name in sys.modules if name.startswith("torch.utils.tensorboard")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delitem(sys.modules, "zoo_tensorboard.logger", raising=False)
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(PluginError) as caught:
        _resolved().loggers()
    said = str(caught.value)
    assert "The logger family 'tensorboard' (plugin tensorboard" in said
    assert "pip install 't2i-backbone-zoo[tensorboard]'" in said
    assert "--set logging.loggers=[]" in said
