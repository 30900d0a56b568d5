"""`manage.py serve NAME`: a deployment, or one variant, in the foreground, services included."""

import argparse
from dataclasses import replace
from typing import Any

from django.core.management.base import BaseCommand

from comparisons.pairs import COMPARISONS
from comparisons.registry import MAX_ROUND_TRIP_MS
from loadtests.arguments import add_shape, bad, known, reshape, within
from loadtests.running import servers
from loadtests.running.rows import Row, addresses, rows_of, why_unmeasurable
from loadtests.running.selection import known_slug
from project import ports, services, signals
from project.deployments import DEPLOYMENTS, Deployment
from project.services import distance, schema


class Command(BaseCommand):
    help = "Serves the project in the foreground, services included, until Ctrl-C."
    requires_system_checks: list[str] = []  # the server checks itself

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument(
            "name",
            metavar="NAME",
            help=f"{', '.join(DEPLOYMENTS)}; or SLUG/VARIANT: that one, as compare measures it",
        )
        parser.add_argument(
            "--port",
            type=within(int, 1, 65_535),
            default=8000,
            metavar="N",
            help="where it listens; 8000 if you don't say",
        )
        parser.add_argument(
            "--round-trip",
            type=within(float, 0, MAX_ROUND_TRIP_MS),
            metavar="MS",
            help="the services so far away; a variant has its own distance if you don't say",
        )
        add_shape(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        name = options["name"].strip("/")
        slug, _, variant = name.partition("/")
        row = row_of(slug, variant) if variant else None
        declared = row.deployment if row else deployment_of(name)
        deployment = reshape([declared], options)[declared]
        away_ms = options["round_trip"]
        if away_ms is None:
            away_ms = row.round_trip if row else 0
        if why := ports.why_not_free(options["port"]):
            raise bad(f"cannot listen on port {options['port']}: {why}")
        with services.running(), servers.temporary_folder() as folder:
            schema.ensure()
            if row:  # however many come, it is served
                row = replace(row, deployment=deployment, users=1, round_trip=away_ms)
                if why := why_unmeasurable(row):
                    raise bad(f"cannot serve {name} here: {why}")
            with distance.at_distance(away_ms, addresses()) as away:
                environ = row.server_environ(slug, away, server=0) if row else away
                server = servers.start(
                    deployment, environ | {"TMPDIR": folder}, port=options["port"]
                )
                try:
                    servers.wait_until_ready(server)
                    workers = deployment.workers
                    processes = "one process" if workers == 1 else f"{workers} processes"
                    what = f"{name}: {deployment.about}, {processes}"
                    what += f", services {away_ms:g} ms away" if away_ms else ""
                    where = f"{server.url}/{name}/" if row else server.url
                    print(f"{what}, at {where} (Ctrl-C ends it)", flush=True)
                    server.process.wait()
                finally:
                    with signals.held():
                        servers.stop([server])
        raise bad(f"{server.death()}")


def deployment_of(name: str) -> Deployment:
    """Return the deployment of this name. CommandError if there is none."""
    if name in COMPARISONS:
        one = f"{name}/{COMPARISONS[name].variants[0].name}"
        raise bad(f"{name} is a comparison; one of its variants is {one}")
    return DEPLOYMENTS[known(name, [*DEPLOYMENTS, *COMPARISONS], "deployment or comparison")]


def row_of(slug: str, variant: str) -> Row:
    """Return the variant as it is measured, with the services furthest away. CommandError if none.

    The furthest of its cases: it is the one in which all variants of a comparison are measured.
    """
    rows = rows_of(COMPARISONS[known_slug(slug)], [], None)
    known(variant, [row.variant.name for row in rows], f"variant of {slug} called")
    return max((row for row in rows if row.variant.name == variant), key=lambda row: row.round_trip)
