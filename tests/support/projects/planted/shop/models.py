from django.db import models

SLOW = """
    WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 150000)
    SELECT max(x) AS id FROM n
"""


class Order(models.Model):
    class Meta:
        managed = False
