"""The load generator's own figures. It patches the process with gevent, so each test starts one."""

import json

import pytest

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
