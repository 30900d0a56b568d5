"""How sure a verdict is, and of how many rounds: what makes its interval, and reads it again."""

ALPHA = 0.05  # a verdict is wrong so often at most, all its looks together
TRIM = 0.2  # the share of rounds left out at each end, so that a few bad ones move nothing


def confidence_at(look: int, alpha: float = ALPHA) -> float:
    """The confidence at the first, second, ... look so that all are right together.

    The first look spends two thirds of alpha, each later one a third of what the one before has
    spent: all together alpha, however many looks there are (Bonferroni with unequal shares; Lan and
    DeMets, 1983, call it spending). So who wants to look on may.
    """
    return float(1 - 2 * alpha / 3**look)


def left_out(rounds: int) -> int:
    """How many of so many rounds are left out at each end: none below six."""
    return int(TRIM * (rounds - 1))
