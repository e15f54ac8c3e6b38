"""Starting the processes of one machine with torchrun's elastic agent."""

from __future__ import annotations

import logging
import os
import signal
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from zoo_core.errors import TrainingError
from zoo_core.interfaces.reporter import Reporter
from zoo_core.interfaces.trainer import LAUNCHED
from zoo_gpu_trainer.memory import RESTART

_SIGNALS = "SIGTERM,SIGINT,SIGHUP,SIGQUIT,SIGUSR1"
#: Seconds that processes have to save after a signal, before they are killed.
_SHUTDOWN = 3600


def launch(
    arguments: Sequence[str], processes: int, max_restarts: int, threads: int, reporter: Reporter
) -> None:
    """Run ``python -m zoo_core ARGUMENTS`` in `processes` processes on this machine.

    All talk among them stays on the loopback interface. Signals to this process reach every one of
    them. Raises `TrainingError` when they failed more than `max_restarts` times; a restart that a
    process asked for to use less memory does not count.
    """
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    environment = {
        LAUNCHED: "1",
        "OMP_NUM_THREADS": str(threads),
        "GLOO_SOCKET_IFNAME": os.environ.get("GLOO_SOCKET_IFNAME", "lo"),
        "TORCH_ELASTIC_SHUTDOWN_TIMEOUT": str(_SHUTDOWN),
        "TORCH_CPP_LOG_LEVEL": os.environ.get("TORCH_CPP_LOG_LEVEL", "ERROR"),
    }
    # The agent reports at length what the failing process has told in a sentence.
    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)
    while True:
        with tempfile.TemporaryDirectory(prefix="zoo-launch-") as logs, _environment(environment):
            config = LaunchConfig(
                min_nodes=1,
                max_nodes=1,
                nproc_per_node=processes,
                run_id=f"zoo-{os.getpid()}",
                rdzv_backend="c10d",
                rdzv_endpoint="localhost:0",
                local_addr="127.0.0.1",
                max_restarts=max_restarts,
                monitor_interval=0.2,
                signals_to_handle=_SIGNALS,
                logs_specs=DefaultLogsSpecs(log_dir=logs),
            )
            try:
                elastic_launch(config, sys.executable)("-m", "zoo_core", *arguments)
                return
            except SignalException:
                return  # the processes saved and ended; the run's events say where
            except ChildFailedError as error:
                rank, failure = error.get_first_failure()
                if failure.exitcode == RESTART:
                    reporter.say("Starting again with a smaller micro-batch.")
                    continue
                raise TrainingError(_ending(rank, failure.exitcode)) from None


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    """Variables that the started processes inherit, for as long as they run."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _ending(rank: int, code: int) -> str:
    if code < 0:
        how = f"was ended by {signal.Signals(-code).name}"
    else:
        how = f"ended with exit code {code}; it says why above"
    return f"Process {rank} {how}. The same command continues from the last checkpoint."
