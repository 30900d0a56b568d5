"""The user whom `sessions-and-users` logs in, and with it the tables of users and sessions.

Nobody can log in as this one with a password. `project.services.schema` looks at our migrations
alone: that this one needs Django's brings their tables into a database of an earlier version too.
"""

from django.contrib.auth.hashers import make_password
from django.db import migrations

USERNAME = "comparisons-reader"


def create(apps, schema_editor):
    user = apps.get_model("auth", "User")
    user.objects.get_or_create(username=USERNAME, defaults={"password": make_password(None)})


def delete(apps, schema_editor):
    apps.get_model("auth", "User").objects.filter(username=USERNAME).delete()


class Migration(migrations.Migration):
    dependencies = [
        ("comparisons", "0003_accounts_and_limited_roles"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("sessions", "0001_initial"),
    ]

    operations = [migrations.RunPython(create, delete)]
