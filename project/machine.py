"""What this machine is, for who reads a result."""

import os
import platform
from contextlib import suppress
from pathlib import Path
from typing import Any


def this_machine() -> dict[str, Any]:
    return {"hostname": platform.node(), "cpu_model": cpu_model(), "cpu_count": os.cpu_count()}


def cpu_model() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(": ")[2]
    return platform.processor() or platform.machine()
