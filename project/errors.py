"""The one error that ends a command on purpose."""


class FatalError(Exception):
    """A command cannot go on; str() is one line for the terminal, which says what to do."""
