"""`manage.py migrate`: Django's own, as one transaction, and one at a time."""

from typing import Any

import psycopg
from django.core.management.base import CommandError
from django.core.management.commands import migrate
from django.db import DatabaseError, connections, transaction

# Held to the end of the transaction. Advisory locks are of one database, as its tables are.
LOCK = "SELECT pg_advisory_xact_lock(hashtext('comparisons migrate'))"


class Command(migrate.Command):
    """Leave everything or nothing, however it ends; wait for another that is at work.

    Django takes a transaction for each migration, and records some of them after it.
    """

    def handle(self, *args: Any, **options: Any) -> None:
        database = options["database"]
        try:
            with transaction.atomic(database), connections[database].cursor() as cursor:
                cursor.execute(LOCK)
                super().handle(*args, **options)
        except (DatabaseError, psycopg.Error) as error:  # Django leaves what COPY raises as it is
            raise CommandError(_first_line(error)) from error


def _first_line(error: BaseException) -> str:
    """What PostgreSQL says is wrong, without what Django says of it and where it stands."""
    while cause := error.__cause__ or error.__context__:
        error = cause
    return str(error).splitlines()[0]
