"""Projects that are not ours, as a reader of `advise` has them: copies of tests/support/projects/.

polls: the one of Django's tutorial. events: async views, under ASGI only. planted: a fault in each
view, and two views without. wrong: one that answers wrongly, in every way.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import psutil

from project.processes import BASE_DIR
from tests.conftest import is_missing

PROJECTS = BASE_DIR / "tests" / "support" / "projects"


def copy_of(name, folder):
    shutil.copytree(PROJECTS / name, folder, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def polls(folder):
    """With its database, and three questions in it."""
    copy_of("polls", folder)
    environ = {name: text for name, text in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    for words in (["migrate", "-v0"], ["loaddata", "-v0", "questions"]):
        manage = [sys.executable, "-B", "manage.py", *words]
        subprocess.run(manage, cwd=folder, check=True, env=environ)
    return folder


def planted(folder):
    """With its C extension, for this Python. Skips the test where it cannot be built."""
    copy_of("planted", folder)
    include = sysconfig.get_paths()["include"]
    if not Path(include, "Python.h").exists():
        is_missing("Python.h", "Debian: apt-get install python3-dev")
    extension = "holder" + sysconfig.get_config_var("EXT_SUFFIX")
    command = ["cc", "-shared", "-fPIC", f"-I{include}", "holder.c", "-o", extension]
    subprocess.run(command, cwd=folder, check=True)
    return folder


def listing(folder):
    """Every file below, with what is in it, but for the database's."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.startswith("db.sqlite3")
    }


def left_in(folder):
    """Processes that run in the folder."""
    return [
        process
        for process in psutil.process_iter(["cwd"])
        if (process.info["cwd"] or "").startswith(str(folder))
    ]
