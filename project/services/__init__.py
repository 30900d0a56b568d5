"""PostgreSQL, Valkey, the upstream and the CPU service: started once, shared, stopped by the last.

`declared` says what there is; a command uses it through the names below; each service has a keeper,
a process of its own. Nothing here knows Django.
"""

from project.services.addresses import CHECKED, validate_addresses
from project.services.declared import SERVICES
from project.services.sharing import ensure_alive, running, started_by_others

__all__ = [
    "CHECKED",
    "SERVICES",
    "ensure_alive",
    "running",
    "started_by_others",
    "validate_addresses",
]
