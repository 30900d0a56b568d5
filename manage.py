#!/usr/bin/env python3
"""Django's command line, with the services that a command needs started around it."""

import os
import signal
import sys
from contextlib import nullcontext
from importlib import import_module

import django
from django.core.management import execute_from_command_line
from django.utils.autoreload import DJANGO_AUTORELOAD_ENV
from environs import EnvError

from comparisons.declarations import DeclarationError
from project import schema, services
from project.keeper import ServiceError

# These need no database, or (compare, serve) start the services once their arguments are known to
# be good.
WITHOUT_SERVICES = {"check", "compare", "help", "makemessages", "serve", "startapp", "version"}


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
    command = next((word for word in sys.argv[1:] if not word.startswith("-")), "help")
    needs_services = command not in WITHOUT_SERVICES and not {"-h", "--help"} & set(sys.argv)
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
    try:
        services.check_form()
        if command == "runserver" and reloads():
            django.setup()
            import_module("comparisons.pairs")
        with services.running() if needs_services else nullcontext():
            if needs_services and command != "migrate":
                schema.ensure()
            execute_from_command_line(sys.argv)
    except (ServiceError, EnvError, DeclarationError) as error:
        print(f"{sys.argv[0]}: {error}", file=sys.stderr)
        sys.exit(2)


def reloads() -> bool:
    """Whether this process will only watch another that serves: it may import what it likes."""
    return "--noreload" not in sys.argv and DJANGO_AUTORELOAD_ENV not in os.environ


if __name__ == "__main__":
    main()
