"""Write golden_stream.json anew: ``python -m tests.stream.remake_golden`` from the repository root.

The values are a promise: recorded runs and published digests depend on them. They change only with a
new version of the stream's specification in `zoo_core.stream.bits`.
"""

from __future__ import annotations

import json
from pathlib import Path

from zoo_core.interfaces.dataset import Caption
from zoo_core.recipe.sections import CaptionSettings
from zoo_core.stream import purposes
from zoo_core.stream.bits import bits, normal
from zoo_core.stream.digest import digest
from zoo_core.stream.draws import timesteps
from zoo_core.stream.order import dataset_index


def captions(index: int) -> tuple[Caption, ...]:
    """Six captions of a made-up sample, named by its index."""
    synthetic = [
        Caption(f"synthetic {rank} of {index}", "synthetic", 1 - rank / 10) for rank in range(5)
    ]
    return (Caption(f"alt of {index}"), *synthetic)


def main() -> None:
    """Print the cases to the file beside this one."""
    cases = []
    for purpose in purposes.ALL:
        for seed, index in ((0, 0), (1234567, 2**40 + 1)):
            words = [f"{word:016x}" for word in bits(seed, purpose, [index], 5)[0]]
            cases.append({"seed": seed, "purpose": purpose, "index": index, "words": words})
    golden = {
        "bits": cases,
        "timesteps": timesteps(0, range(8)).tolist(),
        "normals": [float(value) for value in normal(0, "noise", [3], (6,))[0]],
        "order": {str(n): dataset_index(0, range(12), n).tolist() for n in (3, 10, 610_000_000)},
        "digest": digest(0, 90, 130, 100, captions, CaptionSettings()),
    }
    target = Path(__file__).parent / "golden_stream.json"
    target.write_text(json.dumps(golden, indent=1) + "\n")


if __name__ == "__main__":
    main()
