"""`manage.py serve DEPLOYMENT`: one deployment in the foreground, its services included."""

import argparse
from typing import Any

from django.core.management.base import BaseCommand

import comparisons.pairs  # noqa: F401  what is declared wrongly is refused before anything starts
from loadtests.arguments import add_shape, bad, known, reshape, within
from loadtests.running import servers
from project import ports, services, signals
from project.deployments import DEPLOYMENTS
from project.services import schema


class Command(BaseCommand):
    help = "Serves one deployment, with its services, until Ctrl-C."
    requires_system_checks: list[str] = []  # the server checks itself

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("deployment", metavar="DEPLOYMENT", help=", ".join(DEPLOYMENTS))
        parser.add_argument(
            "--port",
            type=within(int, 1, 65_535),
            default=8000,
            metavar="N",
            help="where it listens; 8000 if you don't say",
        )
        add_shape(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        name = known(options["deployment"], DEPLOYMENTS, "deployment")
        deployment = reshape([DEPLOYMENTS[name]], options)[DEPLOYMENTS[name]]
        if why := ports.why_not_free(options["port"]):
            raise bad(f"cannot listen on port {options['port']}: {why}")
        with services.running(), servers.temporary_folder() as folder:
            schema.ensure()
            server = servers.start(deployment, {"TMPDIR": folder}, port=options["port"])
            try:
                servers.wait_until_ready(server)
                print(f"{name}: {deployment.about}, at {server.url} (Ctrl-C ends it)", flush=True)
                server.process.wait()
            finally:
                with signals.held():
                    servers.stop([server])
        raise bad(f"{server.death()}")
