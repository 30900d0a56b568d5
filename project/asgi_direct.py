"""The ASGI application on our own handler, project/direct.py."""

import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
django.setup()

from project.direct import DirectASGIHandler  # noqa: E402  needs the settings
from project.lifespan import with_lifespan  # noqa: E402

application = with_lifespan(DirectASGIHandler())
