"""How long `zoo` takes to answer, against the least that a click program with plugins can take.

    python benchmarks/startup.py [--repeats 21] [--check]

Every command is timed in fresh processes, one after another in rounds, so that whatever else the machine
does falls on all of them. A ratio is the median over rounds of the command's time divided by the same
round's time of ``python -c "import click, pluggy"``; its spread is the quartiles. Bytecode is cached in a
folder of its own that the first, unrecorded round fills, as an installation has it.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

BASELINE = [sys.executable, "-c", "import click, pluggy"]
ZOO = [sys.executable, "-c", "from zoo_core.cli.main import main; main()"]
#: Without what would keep bytecode from being cached.
ENVIRONMENT = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
COMPLETION = {"_ZOO_COMPLETE": "bash_complete", "COMP_WORDS": "zoo train sdxl", "COMP_CWORD": "2"}

#: What is timed, and how many times the baseline it may take.
CASES: dict[str, tuple[Callable[[], None], float]] = {
    "zoo --help": (lambda: _piped([*ZOO, "--help"]), 3),
    "zoo list, in a pipe": (lambda: _piped([*ZOO, "list"]), 3),
    "zoo list, on a terminal": (lambda: _on_terminal([*ZOO, "list"]), 4),
    "completing zoo train sdxl": (lambda: _piped(ZOO, COMPLETION), 3),
}


def _piped(command: list[str], extra: dict[str, str] | None = None) -> None:
    result = subprocess.run(command, env={**ENVIRONMENT, **(extra or {})}, capture_output=True)
    if result.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{result.stderr.decode()}")


def _on_terminal(command: list[str]) -> None:
    """Run with stdout on a pseudo-terminal, read to its end."""
    import pty

    reader, writer = pty.openpty()
    process = subprocess.Popen(
        command,
        stdout=writer,
        stderr=subprocess.DEVNULL,
        env={**ENVIRONMENT, "TERM": "xterm-256color"},
    )
    os.close(writer)
    try:
        while os.read(reader, 65536):
            pass
    except OSError:  # how Linux reports that the other side has closed
        pass
    finally:
        os.close(reader)
    if process.wait():
        sys.exit(f"{' '.join(command)} failed on a terminal")


def _timed(run: Callable[[], None]) -> tuple[float, float]:
    """Wall time and the child's processor time, in seconds."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    run()
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def measure(repeats: int) -> dict[str, list[tuple[float, float]]]:
    """Times of every case and of the baseline, one a round; the first round is not recorded."""
    runs = {"baseline": lambda: _piped(BASELINE), **{name: run for name, (run, _) in CASES.items()}}
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in runs}
    for turn in range(repeats + 1):
        for name, run in runs.items():
            timed = _timed(run)
            if turn:
                times[name].append(timed)
    return times


def ratios(
    times: list[tuple[float, float]], base: list[tuple[float, float]], of: int
) -> list[float]:
    """Quartiles of the ratio to the baseline, round by round. of: 0 for wall time, 1 for processor."""
    pairs = zip(times, base, strict=True)
    return statistics.quantiles([mine[of] / theirs[of] for mine, theirs in pairs], n=4)


def hardware() -> str:
    """Processor and versions, as one line."""
    info = Path("/proc/cpuinfo")
    models = [
        line.partition(":")[2].strip()
        for line in (info.read_text().splitlines() if info.exists() else [])
        if line.startswith("model name")
    ]
    packages = ", ".join(
        f"{name} {version(name)}" for name in ("click", "pluggy", "msgspec", "rich")
    )
    return (
        f"{os.cpu_count()} x {models[0] if models else platform.processor() or '?'}, "
        f"{platform.system()} {platform.machine()}, Python {platform.python_version()}, {packages}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=21, help="rounds (default 21)")
    parser.add_argument("--check", action="store_true", help="exit with 1 when a limit is exceeded")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as bytecode:
        ENVIRONMENT["PYTHONPYCACHEPREFIX"] = bytecode
        times = measure(options.repeats)
    base = times.pop("baseline")
    print(hardware())
    print(
        f'python -c "import click, pluggy": {1000 * statistics.median(w for w, _ in base):.0f} ms'
    )
    print(f"{'':28}{'wall ms':>8}{'ratio':>7}{'  quartiles':14}{'CPU ratio':>10}{'limit':>7}")
    over = []
    for name, rows in times.items():
        low, middle, high = ratios(rows, base, 0)
        processor = ratios(rows, base, 1)[1]
        limit = CASES[name][1]
        wall = 1000 * statistics.median(w for w, _ in rows)
        spread = f"  {low:.2f} - {high:.2f}"
        print(f"{name:28}{wall:8.0f}{middle:7.2f}{spread:14}{processor:10.2f}{limit:7.0f}")
        if middle > limit:
            over.append(name)
    if over and options.check:
        sys.exit(f"over the limit: {', '.join(over)}")


if __name__ == "__main__":
    main()
