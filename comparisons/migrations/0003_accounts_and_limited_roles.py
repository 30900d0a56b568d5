"""Accounts to move money between, and roles that may hold no more than ten connections each.

A connection limit does not bind superusers, and it counts by the role that logs in: hence roles to
log in as, with the password of DATABASE_URL. Several, so that each of the servers that run at the
same time has one of its own. Where DATABASE_URL's role may not create roles there are none, and the
comparisons that need one answer that they can't log in.
"""

from contextlib import contextmanager

from django.db import ProgrammingError, migrations, models, transaction
from psycopg import sql
from psycopg.errors import InsufficientPrivilege

ACCOUNTS, CENTS = 1_000, 100_000
ROLES = [f"comparisons_limited_{number}" for number in range(32)]
LIMIT = 10


def open_accounts(apps, schema_editor):
    account = apps.get_model("comparisons", "Account")
    account.objects.bulk_create(account(balance_cents=CENTS) for _ in range(ACCOUNTS))


def create_roles(apps, schema_editor):
    connection = schema_editor.connection
    with if_allowed(connection) as cursor:
        for role in ROLES:
            # Roles belong to the whole server: another of its databases may have made this one.
            cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role])
            verb = sql.SQL("ALTER" if cursor.fetchone() else "CREATE")
            statement = sql.SQL("{} ROLE {} LOGIN CONNECTION LIMIT {} PASSWORD {}")
            password = as_stored(connection, role)
            values = (sql.Identifier(role), sql.Literal(LIMIT), sql.Literal(password))
            cursor.execute(statement.format(verb, *values))


def drop_roles(apps, schema_editor):
    with if_allowed(schema_editor.connection) as cursor:
        for role in ROLES:
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
