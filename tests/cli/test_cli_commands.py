"""The commands through click: data on stdout, talk on stderr, exit codes, suggestions, JSON."""

from __future__ import annotations

import errno
import json
import re
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from zoo_core.cli.main import COMMANDS, cli
from zoo_core.recipe import resolve_recipe


def zoo(*args: str, code: int = 0):
    """The result of ``zoo ARGS``, which must end with `code` and never show a traceback unasked."""
    result = CliRunner().invoke(cli, list(args), prog_name="zoo")
    assert result.exit_code == code, (result.exit_code, result.stdout, result.stderr)
    if "--debug" not in args:
        assert "Traceback" not in result.output
    return result


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Commands run in an empty folder."""
    monkeypatch.chdir(tmp_path)


def test_list_shows_the_21_backbones_in_natural_order():
    result = zoo("list")
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["name", "family", "params", "(B)", "GMACs", "provider"]
    names = [line.split()[0] for line in lines[1:]]
    assert len(names) == 21
    assert names.index("sdxl-td4") < names.index("sdxl-td4_4") < names.index("sdxl-td12")
    row = next(line for line in lines if line.startswith("sdxl-td4_4 "))
    assert row.split() == ["sdxl-td4_4", "sdxl", "1.32", "143", "zoo"]
    assert "zoo list KIND" in result.stderr
    assert "21 backbones" in result.stderr


@pytest.mark.parametrize(
    ("args", "names"),
    [
        (("backbones", "sd2*"), ["sd2", "sd2-c512"]),
        (("sd2*",), ["sd2", "sd2-c512"]),
        (("Backbone", "IF"), ["if-xl", "if-xl-c512"]),
        (("text_encoders", "*-h"), ["openclip-h"]),
        (("vaes", "sd*"), ["sd2-vae", "sdxl-vae"]),
        (("presets", "lap*"), ["laptop"]),
    ],
)
def test_kinds_and_patterns(args, names):
    rows = json.loads(zoo("list", *args, "--json").stdout)
    assert [row["name"] for row in rows] == names
    text = zoo("list", *args).stdout.splitlines()
    assert [line.split()[0] for line in text[1:]] == names


def test_list_json_has_numbers():
    rows = {row["name"]: row for row in json.loads(zoo("list", "--json").stdout)}
    assert round(rows["sdxl"]["parameters"] / 1e9, 2) == 2.39
    assert round(rows["sdxl"]["macs"] / 1e9) == 198
    assert zoo("list", "--json").stderr == ""


def test_no_match_is_an_empty_list_with_a_word():
    result = zoo("list", "backbone", "sdxl-dt4", "--json")
    assert json.loads(result.stdout) == []
    assert "No backbone matches 'sdxl-dt4'. Did you mean" in result.stderr
    assert zoo("list", "backbone", "nothing-like-it").stdout == ""


def test_broken_variant_does_not_hide_the_others(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text('[backbone.my-broken]\nfamily = "sdxl"\nchanels = 3\n')
    result = zoo("--registry", str(file), "list")
    assert re.search(r"^my-broken +sdxl +- +- +mine$", result.stdout, re.M)
    assert re.search(r"^sdxl +sdxl +2.39", result.stdout, re.M)
    assert f"{file}:1, backbone 'my-broken': unknown key 'chanels'" in result.stderr


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("lst",), "No command is called 'lst'. Did you mean 'list'?"),
        (("zzz",), "Commands: list, show, train"),
        (("list", "backbnoes"), "Did you mean 'backbone'?"),
        (("show", "sdxl-td44"), "Nothing is called 'sdxl-td44'. Did you mean 'sdxl-td4_4'"),
        (("show", "sdxl", "--kind", "vae"), "There is a backbone of that name"),
        (("show", "sd2-vae", "--preset", "laptop"), "--preset is about backbones"),
        (("show", "sdxl", "--preset", "lptop"), "Did you mean 'laptop'?"),
        (("show",), "Missing argument 'NAME'"),
        (("list", "--jsno"), "--jsno"),
        (("train", "sdxl-td44"), "Did you mean 'sdxl-td4_4'"),
        (("train", "sdxl", "--dry-run", "--set", "training.stpes=3"), "Did you mean 'steps'?"),
        (("train", "sdxl", "--dry-run", "--set", "training.steps=x"), "an integer"),
        (("train", "sdxl", "--dry-run", "--set", "training.steps"), "KEY=VALUE"),
        (("train", "sdxl", "--dry-run", "--recipe", "none.toml"), "none.toml: cannot be read"),
        (("train", "sdxl", "--dry-run", "--data", "shpaes"), "Did you mean 'shapes'?"),
        (("--registry", "none.toml", "list"), "none.toml: cannot be read"),
        (("sample", "runs/x", "--steps", "0", "a prompt"), "0 is not in the range"),
        (("sample", "runs/x"), "Missing argument"),
        (("completion", "tcsh"), "tcsh"),
    ],
)
def test_wrong_words_are_exit_code_2(args, words):
    result = zoo(*args, code=2)
    assert words in " ".join(result.stderr.split())
    assert result.stdout == ""


def test_broken_user_file_names_line_and_column(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text("[backbone.x]\nfamily = = 3\n")
    result = zoo("--registry", str(file), "list", code=2)
    assert result.stderr == f"zoo: {file}:2:10: not valid TOML: Invalid value.\n"


def test_failed_plugin_is_told_and_strict_makes_it_an_error(make_plugin, good_plugin):
    make_plugin("brittle", "import a_package_nobody_has")
    good_plugin("sound")
    for command in (("list", "datasets"), ("show", "sound")):
        result = zoo(*command)
        assert "sound" in result.stdout
        assert "plugin 'brittle' failed to load: ModuleNotFoundError" in result.stderr
        result = zoo("--strict", *command, code=1)
        assert result.stdout == ""
        assert "a_package_nobody_has" in result.stderr


def test_plugins_table_and_json(make_plugin, good_plugin, monkeypatch):
    make_plugin("brittle", "import a_package_nobody_has")
    good_plugin("sound")
    good_plugin("sleeping")
    monkeypatch.setenv("ZOO_DISABLE_PLUGINS", "sleeping")
    result = zoo("plugins")
    assert re.search(
        r"^sound +loaded +zoo-sound 1.2.3 +1.0 +dataset sound +\d", result.stdout, re.M
    )
    assert re.search(r"^brittle +failed +zoo-brittle 1.2.3 +- +- ", result.stdout, re.M)
    assert re.search(r"^sleeping +disabled ", result.stdout, re.M)
    assert "'brittle' of zoo-brittle 1.2.3 failed to load: ModuleNotFoundError" in result.stderr
    assert "Traceback" in zoo("--debug", "plugins").stderr
    page = json.loads(zoo("plugins", "--json").stdout)
    rows = {row["name"]: row for row in page["plugins"]}
    assert rows["sound"]["components"] == [{"kind": "dataset", "name": "sound"}]
    assert "a_package_nobody_has" in rows["brittle"]["error"]
    assert "traceback" not in rows["brittle"]
    page = json.loads(zoo("--debug", "plugins", "--json").stdout)
    traces = {row["name"]: row["traceback"] for row in page["plugins"]}
    assert "Traceback" in traces["brittle"]
    strict = zoo("--strict", "plugins", code=1)
    assert "sound" in strict.stdout
    assert "zoo: failed to load: brittle." in strict.stderr
    monkeypatch.setenv("ZOO_DISABLE_PLUGINS", "brittle")
    assert "failed" not in zoo("plugins").stdout


def test_show_backbone_has_published_figures_beside_computed_ones():
    text = zoo("show", "sdxl").stdout
    assert re.search(r"^sdxl \(backbone\)$", text, re.M)
    assert re.search(r"defined +\S+registry\.toml:\d+$", text, re.M)
    assert re.search(r"code +\S+model\.py:\d+$", text, re.M)
    assert re.search(r"parameters \(B\) +2\.39 +2\.39 +[+-]0\.\d %", text)
    page = json.loads(zoo("show", "sdxl", "--json").stdout)
    figures = {row["figure"]: row for row in page["comparison"]}
    assert figures["gmacs"]["published"] == 198
    assert abs(figures["gmacs"]["relative_difference"]) < 0.01
    assert figures["attention_gmacs"]["reading"] == "without the middle block"
    assert round(figures["attention_gmacs"]["computed"], 1) == 126.4
    account = page["account"]
    assert account["true_macs"] == account["macs"] + account["attention_products"]
    assert account["training_bytes"] == 16 * account["parameters"]
    assert page["plugin"]["name"] == "sdxl"
    settings = {row["name"]: row for row in page["settings"]}
    assert settings["channels"]["value"] == 320
    assert settings["channels"]["from"] == "variant sdxl"
    assert settings["res_blocks"]["from"] == "default"
    assert all(row["description"] for row in page["settings"])


def test_show_definition_is_the_line_in_the_file():
    page = json.loads(zoo("show", "pixart-xl2", "--json").stdout)
    file, _, line = page["defined"].rpartition(":")
    assert Path(file).read_text().splitlines()[int(line) - 1] == "[backbone.pixart-xl2]"
    file, _, line = page["code"].rpartition(":")
    assert "build" in Path(file).read_text().splitlines()[int(line) - 1]


def test_show_under_a_preset_is_the_reduced_backbone():
    full = json.loads(zoo("show", "sdxl", "--json").stdout)
    small = json.loads(zoo("show", "sdxl", "--preset", "laptop", "--json").stdout)
    value = {row["name"]: row["value"] for row in small["settings"]}
    assert value["channels"] == 40
    assert value["latent_size"] == 8
    assert small["account"]["parameters"] < full["account"]["parameters"] / 50
    assert "comparison" not in small


def test_show_preset_and_other_kinds():
    text = zoo("show", "bench").stdout
    assert re.search(r"extends +laptop", text)
    assert re.search(r"data.resolution +128 +preset bench \(registry.toml:\d+\)", text)
    assert re.search(r"scale.width_divisor +\d+ +preset laptop", text)
    assert "0.18215" in zoo("show", "sd2-vae").stdout


def test_name_of_several_kinds_asks_which(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text('[vae.twice]\nfamily = "kl-vae"\n[dataset.twice]\nfamily = "shapes"\n')
    result = zoo("--registry", str(file), "show", "twice", code=2)
    assert "'twice' names a vae and a dataset; say which with --kind" in result.stderr
    zoo("--registry", str(file), "show", "twice", "--kind", "datasets")


def test_dry_run_is_a_recipe_that_resolves_to_itself(tmp_path):
    args = ("--preset", "laptop", "--set", "training.steps=7", "--set", "backbone.channels=640")
    result = zoo("train", "sdxl-td4_4", *args, "--dry-run")
    assert re.search(r"^steps = 7 +# --set$", result.stdout, re.M)
    assert re.search(
        r"^transformer_depth = \[0, 4, 4\] +# variant sdxl-td4_4 \(reg", result.stdout, re.M
    )
    assert re.search(r"^beta_end = 0.012 +# default$", result.stdout, re.M)
    assert re.search(r"training compute .* GFLOPs", result.stdout)
    assert "runs/sdxl-td4_4-laptop" in result.stdout
    file = tmp_path / "kept.toml"
    file.write_text(result.stdout)
    again = zoo("train", "sdxl-td4_4", "--recipe", str(file), "--dry-run", "--json")
    page = json.loads(again.stdout)
    assert page["preset"] == "laptop"
    first = json.loads(zoo("train", "sdxl-td4_4", *args, "--dry-run", "--json").stdout)
    assert page["recipe"] == first["recipe"]
    assert page["built"] == first["built"]
    assert not (tmp_path / "runs").exists()


def test_dry_run_keeps_lengths_in_images_as_written():
    args = ("--preset", "laptop", "--set", "training.steps=8Mi", "--set", "training.batch_size=64")
    text = zoo("train", "sdxl-td4_4", *args, "--dry-run").stdout
    assert re.search(r'^steps = 131072 +# --set, "8Mi" at batch 64$', text, re.M)
    assert "images seen" in text
    page = json.loads(zoo("train", "sdxl-td4_4", *args, "--dry-run", "--json").stdout)
    assert page["cost"]["images_seen"] == 8 * 2**20
    assert page["origins"]["training.steps"] == '--set, "8Mi" at batch 64'


def test_init_from_is_short_for_a_setting(tmp_path):
    args = ("train", "sdxl", "--preset", "laptop", "--dry-run", "--json")
    result = zoo(*args, "--init-from", "a run/of mine")
    assert json.loads(result.stdout)["recipe"]["training"]["init_from"] == "a run/of mine"
    assert result.stderr == "training.init_from: a run/of mine is not there yet.\n"
    by_setting = zoo(*args, "--set", "training.init_from=a run/of mine")
    assert by_setting.stdout == result.stdout
    (tmp_path / "a run" / "of mine").mkdir(parents=True)
    assert zoo(*args, "--init-from", "a run/of mine").stderr == ""
    numeric = zoo(*args, "--init-from", "123").stdout
    assert json.loads(numeric)["recipe"]["training"]["init_from"] == "123"


def test_dry_run_costs():
    page = json.loads(zoo("train", "sdxl", "--preset", "laptop", "--dry-run", "--json").stdout)
    training, cost, account = page["recipe"]["training"], page["cost"], page["account"]
    images = training["steps"] * training["batch_size"]
    assert cost["images_seen"] == images
    assert cost["training_gflops"] == pytest.approx(6 * account["macs"] * images / 1e9)
    assert cost["true_training_gflops"] == pytest.approx(6 * account["true_macs"] * images / 1e9)
    assert cost["training_bytes"] == 16 * account["parameters"]
    assert cost["checkpoint_bytes"] == 12 * account["parameters"]


def test_bare_train_says_which_preset_and_what_to_pass(monkeypatch):
    monkeypatch.setattr("zoo_core.recipe.choice.find_accelerator", lambda: None)
    first = zoo("train", "sdxl", "--dry-run").stderr.splitlines()[0]
    assert first.startswith("Preset 'laptop', since there is no accelerator here")
    assert "--preset paper" in first
    assert zoo("train", "sdxl", "--preset", "laptop", "--dry-run").stderr == ""


@pytest.mark.parametrize("name", [row for row in COMMANDS if row != "completion"])
def test_every_command_leaves_the_folder_alone_when_asked_for_help(name, tmp_path):
    assert zoo(name, "--help").stdout.startswith(f"Usage: zoo {name}")
    assert list(tmp_path.iterdir()) == []


# --- What commands make of the work they start: tests put other work in its place -------------------


class Work:
    """Stands for a function of `zoo_core.workflow`: notes how it was called, then does as it is told."""

    def __init__(self, result):
        self.result = result
        self.called_with: tuple = ()

    def __call__(self, *args, **options):
        self.called_with = args
        if isinstance(self.result, BaseException):
            raise self.result
        return self.result


@pytest.fixture
def work(monkeypatch):
    """``work("train", result)`` replaces the work behind a command."""

    def put(name: str, result) -> Work:
        place = {
            "train": "launch.train_on_machine",
            "sample": "sample.sample",
            "eval": "evaluate.evaluate",
        }[name]
        stand_in = Work(result)
        monkeypatch.setattr(f"zoo_core.workflow.{place}", stand_in)
        # There is no run folder behind a stand-in; the real summary is tested on real runs.
        monkeypatch.setattr(
            "zoo_core.workflow.summary.summary", lambda path: [f"Reached in {path}"]
        )
        return stand_in

    return put


def outcome(step: int, finished: bool):
    from zoo_core.interfaces.trainer import Outcome

    return Outcome(step=step, finished=finished)


def test_train_passes_the_recipe_and_ends_with_the_next_command(work):
    stand_in = work("train", outcome(7, True))
    result = zoo(
        "train", "sdxl", "--preset", "laptop", "--data", "shapes", "--set", "training.steps=7"
    )
    recipe, catalog, path, _, _ = stand_in.called_with
    expected = resolve_recipe(catalog, "sdxl", "laptop", None, ["training.steps=7"])
    assert recipe == expected
    assert path == Path("runs/sdxl-laptop")
    assert result.stdout == "runs/sdxl-laptop\n"
    assert "Reached in runs/sdxl-laptop" in result.stderr
    assert "zoo sample runs/sdxl-laptop" in result.stderr


def test_train_that_was_stopped_exits_130_and_says_how_to_go_on(work):
    work("train", outcome(5, False))
    result = zoo("train", "sdxl", "--preset", "laptop", "--run", "here", "--json", code=130)
    assert json.loads(result.stdout) == {"run": "here", "step": 5, "finished": False}
    assert "Stopped at step 5; the same command continues" in result.stderr


def test_sample_passes_only_what_was_given(work):
    stand_in = work("sample", [Path("a.png"), Path("b.png")])
    result = zoo("sample", "runs/x", "a red circle", "two blue squares", "--steps", "9", "-n", "2")
    _, path, prompts, output, count, overrides, _ = stand_in.called_with
    assert (path, output) == (Path("runs/x"), Path("runs/x/drawn"))
    assert (prompts, count) == (["a red circle", "two blue squares"], 2)
    assert overrides == {"sampling": {"steps": 9}}
    assert result.stdout == "a.png\nb.png\n"


def test_eval_prints_scores(work):
    row = {"step": 8, "metric": "tifa", "value": 0.71234, "stderr": None, "count": 12}
    rows = [{**row, "interval": (0.5, 0.75), "details": {"a": 1.0}, "ingredients": {}}]
    stand_in = work("eval", rows)
    options = ("--checkpoint", "8", "--limit", "12", "--metric", "tifa")
    result = zoo("eval", "runs/x", *options)
    assert stand_in.called_with[1:5] == (Path("runs/x"), 8, 12, ("tifa",))
    assert [" ".join(line.split()) for line in result.stdout.splitlines()] == [
        "step metric value stderr 95 % interval prompts",
        "8 tifa 0.7123 - 0.5000 .. 0.7500 12",
    ]
    shown = json.loads(zoo("eval", "runs/x", "--checkpoint", "all", "--json").stdout)
    assert stand_in.called_with[2] == "all"
    assert shown == json.loads(json.dumps(rows))


def test_eval_warns_of_scores_that_do_not_compare(work):
    row = {"metric": "tifa", "value": 0.5, "stderr": None, "count": 12}
    other = {"drawing": {"sampling": {"guidance": 7.5}}}
    usual = {"drawing": {"sampling": {"guidance": 4.0}}}
    work(
        "eval", [{**row, "step": 4, "ingredients": usual}, {**row, "step": 8, "ingredients": other}]
    )
    told = zoo("eval", "runs/x").stderr
    assert "tifa at steps 4 and 8 do not compare: guidance 4.0 against 7.5" in told


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (TypeError("boom"), 1, "zoo: unexpected TypeError: boom. "),
        (OSError(errno.ENOSPC, "No space left on device", "x/y"), 1, "zoo: x/y: no space left"),
        (PermissionError(errno.EACCES, "Permission denied", "x"), 1, "zoo: x: permission denied."),
        (KeyboardInterrupt(), 130, "zoo: interrupted."),
        (MemoryError(), 1, "MemoryError"),
    ],
)
def test_errors_end_in_one_sentence(work, error, code, words):
    work("eval", error)
    result = zoo("eval", "runs/x", code=code)
    assert words in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert result.stdout == ""
    if isinstance(error, TypeError):
        assert "--debug" in result.stderr
        assert "Traceback" in zoo("--debug", "eval", "runs/x", code=code).stderr


# --- The commands themselves ------------------------------------------------------------------------


def commands() -> dict[str, click.Command]:
    root = click.Context(cli, info_name="zoo")
    found = {name: cli.get_command(root, name) for name in COMMANDS}
    return {"zoo": cli, **found}


@pytest.mark.parametrize("name", ["zoo", *COMMANDS])
def test_every_command_and_option_has_help(name):
    command = commands()[name]
    assert command.help
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, f"{name} {parameter.opts}"
            assert parameter.help.rstrip().endswith((".", ")")), f"{name} {parameter.opts}"
        else:
            word = (parameter.metavar or parameter.name).strip("[].").upper()
            assert any(part in command.help.upper() for part in word.split("|")), f"{name} {word}"
    if name != "zoo":
        assert command.name == name
        assert command.short_help == COMMANDS[name][1]


def test_reference_page_is_up_to_date():
    import runpy

    script = Path(__file__).parents[2] / "docs" / "make_cli_reference.py"
    made = runpy.run_path(str(script))
    assert made["PAGE"].read_text(encoding="utf-8") == made["page"](), f"run python {script}"
