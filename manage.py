#!/usr/bin/env python3
"""Django's command line, with the services that a command needs started around it."""

import os
import sys
from importlib import import_module
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))  # PYTHONSAFEPATH leaves it out

from project import command

if __name__ == "__main__":
    command.begin()

import django
from django.core.management import execute_from_command_line
from django.utils.autoreload import DJANGO_AUTORELOAD_ENV

from project import services, signals
from project.services import schema

# These need no database, or (compare, serve) start the services once their arguments are known to
# be good.
WITHOUT_SERVICES = {
    *("advise", "check", "compare", "help", "makemessages", "newpair", "serve", "startapp"),
    "version",
}


def main() -> None:
    name = next((word for word in sys.argv[1:] if not word.startswith("-")), "help")
    needs_services = name not in WITHOUT_SERVICES and not {"-h", "--help"} & set(sys.argv)
    services.validate_addresses()
    if not needs_services:
        execute_from_command_line(sys.argv)
        return
    if name == "runserver" and reloads():
        django.setup()
        import_module("comparisons.pairs")
    with services.running():
        if name != "migrate":
            schema.ensure()
        with signals.as_usual():
            execute_from_command_line(sys.argv)


def reloads() -> bool:
    """Whether this process will only watch another that serves: it may import what it likes."""
    return "--noreload" not in sys.argv and DJANGO_AUTORELOAD_ENV not in os.environ


if __name__ == "__main__":
    command.run(main)
