"""Devices, batches over processes, micro-batches that fit, signals, and where time goes."""

import signal
import time

import pytest
import torch

from zoo_core.errors import TrainingError
from zoo_core.interfaces.reporter import Reporter
from zoo_core.runs.folder import RunFolder
from zoo_gpu_trainer import memory
from zoo_gpu_trainer.interrupt import StopRequest
from zoo_gpu_trainer.phases import Phases
from zoo_gpu_trainer.processes import choose_device
from zoo_gpu_trainer.trainer import check_batch

CPU = torch.device("cpu")


def test_the_first_signal_asks_to_stop_and_a_later_ctrl_c_interrupts(monkeypatch):
    with StopRequest(Reporter()) as stop:
        stop.stepping = True
        assert not stop()
        signal.raise_signal(signal.SIGTERM)
        assert stop()
        signal.raise_signal(signal.SIGINT)  # the same Ctrl-C, passed on by a launcher
        signal.raise_signal(signal.SIGTERM)
        monkeypatch.setattr("zoo_gpu_trainer.interrupt._ECHO", -1.0)
        signal.raise_signal(signal.SIGTERM)  # patience: the scheduler repeats itself
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1])
def test_before_the_first_step_a_signal_interrupts_at_once(number):
    with StopRequest(Reporter()), pytest.raises(KeyboardInterrupt):
        signal.raise_signal(number)


def test_a_device_that_is_not_there_is_told(recipe_for, monkeypatch):
    assert choose_device(recipe_for({"training.device": "cpu"})).type == "cpu"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(TrainingError, match=r"training\.device=cpu"):
        choose_device(recipe_for({"training.device": "cuda"}))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert choose_device(recipe_for()) == torch.device("cuda", 1)
    monkeypatch.setenv("LOCAL_RANK", "2")
    with pytest.raises(TrainingError, match="2 are visible"):
        choose_device(recipe_for())


def test_a_batch_that_does_not_divide_is_told_with_what_would(recipe_for):
    check_batch(recipe_for({"training.batch_size": 12}), 4)
    with pytest.raises(TrainingError, match=r"12 does not divide over 5.*processes=4.*batch of 15"):
        check_batch(recipe_for({"training.batch_size": 12}), 5)


def test_the_first_micro_batch():
    assert memory.first_micro_batch(32, 2048, CPU) == 32
    assert memory.first_micro_batch(32, 8, CPU) == 8
    assert memory.first_micro_batch("auto", 2048, CPU) == 32
    assert memory.first_micro_batch("auto", 256, torch.device("cuda")) == 256


def test_micro_batches_are_halved_down_to_one():
    assert [memory.lowered(size) for size in (32, 7, 2)] == [16, 3, 1]
    with pytest.raises(TrainingError, match="Not even one sample"):
        memory.lowered(1)


def test_what_fitted_is_remembered(tmp_path):
    run = RunFolder.create(tmp_path / "run")
    assert memory.recorded(run) is None
    machine = memory.Machine("cpu", 2, 1, 8)
    memory.record(run, machine)
    assert memory.recorded(run) == machine
    (run.path / "machine.json").write_text("{half")
    assert memory.recorded(run) is None


def test_phases_add_up_and_start_again():
    phases = Phases(CPU)
    for _ in range(2):
        with phases("data"):
            time.sleep(0.02)
    with phases("optimizer"):
        pass
    taken = phases.take()
    assert 0.04 <= taken["data"] < 0.2
    assert taken["optimizer"] < 0.02
    assert phases.take() == {}
