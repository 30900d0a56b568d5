"""Fills the tables with COPY: 1,000 customers, 100,000 invoices, the same on every machine.

Their ids stand in the rows: a sequence keeps what an attempt that failed has taken from it.
"""

import random
from datetime import UTC, datetime, timedelta

from django.core.management.color import no_style
from django.db import migrations

CUSTOMERS, INVOICES = 1_000, 100_000
WORDS = [
    "consulting",
    "delivery",
    "hosting",
    "licence",
    "maintenance",
    "materials",
    "rent",
    "support",
    "training",
    "travel",
]


def seed(apps, schema_editor):
    rng = random.Random(0)
    start = datetime(2025, 1, 1, tzinfo=UTC)
    notes = [" ".join(rng.choices(WORDS, k=40)) for _ in range(1_000)]
    connection = schema_editor.connection
    models = [apps.get_model("comparisons", name) for name in ("Customer", "Invoice")]
    with connection.cursor() as cursor:
        with cursor.copy("COPY comparisons_customer (id, name) FROM STDIN") as copy:
            for number in range(1, CUSTOMERS + 1):
                copy.write_row([number, f"Customer {number}"])
        columns = "id, customer_id, created, amount_cents, note"
        with cursor.copy(f"COPY comparisons_invoice ({columns}) FROM STDIN") as copy:
            for number in range(INVOICES):
                copy.write_row(
                    [
                        number + 1,
                        rng.randint(1, CUSTOMERS),
                        start + timedelta(minutes=5 * number),
                        rng.randint(100, 1_000_000),
                        rng.choice(notes),
                    ]
                )
        for statement in connection.ops.sequence_reset_sql(no_style(), models):
            cursor.execute(statement)
        # All migrations are one transaction, and none may alter a table whose checks are due.
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("ANALYZE comparisons_customer, comparisons_invoice")


def empty(apps, schema_editor):
    schema_editor.execute("TRUNCATE comparisons_customer, comparisons_invoice")


class Migration(migrations.Migration):
    dependencies = [("comparisons", "0001_initial")]

    operations = [migrations.RunPython(seed, empty)]
