"""Accounts to move money between, and the roles of `comparisons.limited_roles`.

The roles log in with the password of DATABASE_URL. Where its role may not create roles there are
none, and the comparisons that need one answer that they can't log in; the embedded PostgreSQL has
them from the start.
"""

from contextlib import contextmanager

from django.core.management.color import no_style
from django.db import DatabaseError, ProgrammingError, migrations, models, transaction
from psycopg import sql
from psycopg.errors import DuplicateObject, InsufficientPrivilege, InternalError_, UniqueViolation

from comparisons import limited_roles

ACCOUNTS, CENTS = 1_000, 100_000
ATTEMPTS = 20  # more than the databases of one server that are migrated at the same time


def open_accounts(apps, schema_editor):
    account = apps.get_model("comparisons", "Account")
    numbers = range(1, ACCOUNTS + 1)
    account.objects.bulk_create(account(id=n, balance_cents=CENTS) for n in numbers)
    for statement in schema_editor.connection.ops.sequence_reset_sql(no_style(), [account]):
        schema_editor.execute(statement)


def create_roles(apps, schema_editor):
    connection = schema_editor.connection
    with if_allowed(connection) as cursor:
        for role in limited_roles.NAMES:
            create_role(connection, cursor, role)


def create_role(connection, cursor, role):
    """Create it, or set its limit and password if the server has it.

    Roles belong to the whole server, and the migration of another of its databases may be at work
    on this one: PostgreSQL waits for its end, and then refuses what we began before it.
    """
    for attempt in range(ATTEMPTS):
        cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role])
        verb = sql.SQL("ALTER" if cursor.fetchone() else "CREATE")
        statement = sql.SQL("{} ROLE {} LOGIN CONNECTION LIMIT {} PASSWORD {}")
        password = as_stored(connection, role)
        values = (sql.Identifier(role), sql.Literal(limited_roles.LIMIT), sql.Literal(password))
        try:
            with transaction.atomic(using=connection.alias):
                cursor.execute(statement.format(verb, *values))
            return
        except DatabaseError as error:
            concurrent = DuplicateObject, UniqueViolation, InternalError_  # "tuple … updated"
            if not isinstance(error.__cause__, concurrent) or attempt == ATTEMPTS - 1:
                raise


def drop_roles(apps, schema_editor):
    with if_allowed(schema_editor.connection) as cursor:
        for role in limited_roles.NAMES:
            cursor.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(role)))


@contextmanager
def if_allowed(connection):
    """A cursor; what is done with it is undone if the right to do it is missing."""
    try:
        with transaction.atomic(using=connection.alias), connection.cursor() as cursor:
            yield cursor
    except ProgrammingError as error:
        if not isinstance(error.__cause__, InsufficientPrivilege):
            raise


def as_stored(connection, role):
    """The password of DATABASE_URL as the server keeps it, so that no log can show it; or None."""
    password = connection.settings_dict["PASSWORD"]
    if not password:
        return None
    encrypt = connection.connection.pgconn.encrypt_password
    return encrypt(password.encode(), role.encode(), b"scram-sha-256").decode()


class Migration(migrations.Migration):
    dependencies = [("comparisons", "0002_seed")]

    operations = [
        migrations.CreateModel(
            name="Account",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        primary_key=True, serialize=False, verbose_name="ID", auto_created=True
                    ),
                ),
                ("balance_cents", models.BigIntegerField()),
            ],
        ),
        migrations.RunPython(open_accounts, migrations.RunPython.noop),
        migrations.RunPython(create_roles, drop_roles),
    ]
