"""The load generator's own figures. It patches the process with gevent, so each test starts one."""

import json

import pytest

from comparisons.pairs import COMPARISONS
from tests.support.commands import python

# Opened at 10, closed at 11; the bystander's last call that counts is answered at 11.2.
LONGEST_STALL = """
from loadtests.generator import Bystander, Recording, longest_stall
recording = Recording(object)
recording.bystander = [[10.9, 300, 200, 0, None], [11.1, 900, 200, 0, None]]
print(longest_stall({gaps}, recording, 10, 11, waiting=True))
"""


@pytest.mark.parametrize(
    ("gaps", "stall"),
    [
        ([], 0),
        ([(10.2, 10.5), (10.6, 10.7)], 0.3),
        ([(9.5, 10.1)], 0.1),  # what came before the window counts for nobody
        ([(11.15, 11.9)], 0.05),  # to end the users takes time, when all that counts is answered
        ([(11.3, 11.9)], 0),
    ],
)
def test_stall_counts_only_while_something_that_counts_is_under_way(gaps, stall):
    done = python("-c", LONGEST_STALL.format(gaps=gaps))
    assert json.loads(done.stdout) == pytest.approx(stall)


CLASSES = """
import json
from loadtests import locustfile
names = {cls.__name__: slug + "/" + name for (slug, name), cls in locustfile.USERS.items()}
print(json.dumps([names[name] for name in names if not hasattr(locustfile, name)]))
"""


def test_users_by_hand_are_those_of_djangos_views():
    """Of variants with an application of their own, what is loaded by hand serves nothing."""
    with_app = {
        f"{slug}/{variant.name}"
        for slug, comparison in COMPARISONS.items()
        for variant in comparison.variants
        if variant.app
    }
    assert with_app
    assert set(json.loads(python("-c", CLASSES).stdout)) == with_app


# One call of the variant and one of the bystander are never answered; they were due 3 s ago.
UNANSWERED = """
import json
from loadtests.generator import UNDER_WAY, Bystander, CheckingUser, Recording

def user(cls):
    return cls.__new__(cls)  # without an environment, which no call needs that is not sent

class Asking(CheckingUser):
    abstract = True

recording = Recording(Asking)
UNDER_WAY.update({(user(Asking), 7.0), (user(Bystander), 7.0)})
recording.add_unanswered(10.0)
print(json.dumps([recording.samples, recording.bystander, len(UNDER_WAY)]))
"""


def test_call_without_an_answer_is_a_failed_sample_of_who_made_it():
    done = python("-c", UNANSWERED)
    samples, bystander, left = json.loads(done.stdout)
    assert samples == bystander == [[7.0, 3000, 0, 0, "not answered in 3 s"]]
    assert left == 0  # of the next round
