"""The data of the database comparisons. Two migrations make the tables and fill them, once."""

from django.db import models


class Customer(models.Model):
    name = models.CharField(max_length=100)

    def __str__(self) -> str:
        return self.name


class Invoice(models.Model):
    customer = models.ForeignKey(Customer, on_delete=models.CASCADE)
    created = models.DateTimeField(db_index=True)
    amount_cents = models.PositiveIntegerField()
    note = models.TextField()

    def __str__(self) -> str:
        return f"invoice {self.pk}"


class Account(models.Model):
    balance_cents = models.BigIntegerField()

    def __str__(self) -> str:
        return f"account {self.pk}"
