"""Is there an accelerator here? Answered from the operating system, since importing torch takes seconds."""

from __future__ import annotations

import os
import sys
from pathlib import Path

#: CUDA and ROCm hide all devices when one of these is empty or -1.
_VISIBILITY = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES")


def find_accelerator(devices: Path = Path("/dev")) -> str | None:
    """What speaks for an accelerator that torch calls ``cuda``, or None.

    A device file of NVIDIA's or AMD's driver, the GPU of a Windows host seen from Linux, or the
    driver's tool on Windows. It can be wrong where a driver is installed without a working device;
    the trainer looks again with torch.
    """
    if any(os.environ.get(name, "all").strip() in ("", "-1") for name in _VISIBILITY):
        return None
    found = sorted(
        path for path in devices.glob("nvidia[0-9]*") if path.name.removeprefix("nvidia").isdigit()
    )
    for path in (*found, devices / "kfd"):
        if path.exists():
            return str(path)
    if (devices / "dxg").exists() and Path("/usr/lib/wsl/lib/libcuda.so.1").exists():
        return str(devices / "dxg")
    if sys.platform == "win32":
        import shutil

        return shutil.which("nvidia-smi")
    return None
