"""Starts the services before pytest-django reads the settings (`-p tests.plugin`)."""

from contextlib import ExitStack

from project import schema, services

_services = ExitStack()
_services.enter_context(services.running())
schema.ensure()


def pytest_unconfigure() -> None:
    _services.close()
