"""For root: programs that refuse root run as the user nobody."""

import os
import pwd
import re
import shutil
import signal
from pathlib import Path

from project.processes import dying_with_parent


def as_nobody(on_parents_death: signal.Signals) -> list[str]:
    """Return the words before a command that run it as nobody, and end it with its parent.

    The parent is the process that calls this. Raises LookupError without setpriv.

    The one capability lets it pass through a home such as /root, to the programs and to the data.
    Without no_setuid_fixup access(2), by which PostgreSQL looks for its own programs, ignores it.
    """
    # Where PATH does not say, too: cron and `su` may have left it empty.
    setpriv = shutil.which("setpriv") or shutil.which("setpriv", path=os.defpath)
    if not setpriv:
        raise LookupError("no setpriv (util-linux) to run it as nobody; be an ordinary user")
    permitted = re.findall(r"CapPrm:\s*(\w+)", Path("/proc/self/status").read_text())
    # A container's root often lacks CAP_DAC_READ_SEARCH (bit 2) and has CAP_DAC_OVERRIDE, wider.
    capability = "dac_read_search" if int(permitted[0], 16) & 1 << 2 else "dac_override"
    nobody = pwd.getpwnam("nobody")
    options = (
        f"--reuid={nobody.pw_uid} --regid={nobody.pw_gid} --clear-groups --inh-caps=+{capability} "
        f"--ambient-caps=+{capability} --securebits=+no_setuid_fixup --"
    )
    # After the change of user, which clears the signal that was asked for before it.
    return [setpriv, *options.split(), *dying_with_parent([], on_parents_death)]


def give_to_nobody(*paths: Path) -> None:
    nobody = pwd.getpwnam("nobody")
    for path in paths:
        os.chown(path, nobody.pw_uid, nobody.pw_gid)
