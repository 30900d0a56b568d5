"""How many cores this process may use: what comparisons and deployments of CPU work depend on."""

import os

CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
