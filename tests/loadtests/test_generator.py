"""The load generator's own figures. It patches the process with gevent, so each test starts one."""

import json

import pytest

from tests.support.commands import python

# Gaps, and the longest stall of a round that opened at 10 and closed at 11; the bystander's last
# call that counts is answered at 11.2.
STALLS = [
    ([], 0),
    ([(10.2, 10.5), (10.6, 10.7)], 0.3),
    ([(9.5, 10.1)], 0.1),  # what came before the window counts for nobody
    ([(11.15, 11.9)], 0.05),  # to end the users takes time, when all that counts is answered
    ([(11.3, 11.9)], 0),
]
LONGEST_STALLS = """
from loadtests.generator import Bystander, Recording, longest_stall
recording = Recording()
recording.bystander = [[10.9, 300, 200, 0, None], [11.1, 900, 200, 0, None]]
print([longest_stall(gaps, recording, 10, 11, waiting=True) for gaps in {gaps}])
"""


def test_stall_counts_only_while_something_that_counts_is_under_way():
    done = python("-c", LONGEST_STALLS.format(gaps=[gaps for gaps, _ in STALLS]))
    assert json.loads(done.stdout) == pytest.approx([stall for _, stall in STALLS])


COLLECTED = """
import gc, io, sys
from loadtests import generator
imported = len(gc.get_objects())
sys.stdin = io.StringIO("")
generator.main()
print(gc.get_freeze_count() >= imported)
"""


def test_collection_leaves_out_what_was_imported():
    assert python("-c", COLLECTED).stdout == "True\n"


# One call of the variant and one of the bystander are never answered; they were due 3 s ago.
UNANSWERED = """
import json
from loadtests.generator import UNDER_WAY, Bystander, CheckingUser, Recording

def user(cls):
    return cls.__new__(cls)  # without an environment, which no call needs that is not sent

class Asking(CheckingUser):
    abstract = True

recording = Recording()
UNDER_WAY.update({(user(Asking), 7.0), (user(Bystander), 7.0)})
recording.add_unanswered(10.0)
print(json.dumps([recording.samples, recording.bystander, len(UNDER_WAY)]))
"""


def test_call_without_an_answer_is_a_failed_sample_of_who_made_it():
    done = python("-c", UNANSWERED)
    samples, bystander, left = json.loads(done.stdout)
    assert samples == bystander == [[7.0, 3000, 0, 0, "not answered in 3 s"]]
    assert left == 0  # of the next round


# Two users are killed while they wait for an answer: one has just sent its request, the other has
# waited for longer than that.
KILLED = """
import json
import gevent
from loadtests import locustfile
from loadtests.locustfile import UNDER_WAY, Ask, CheckingUser

class Waiting(CheckingUser):
    abstract = True
    def _ask(self, *_):
        gevent.sleep(60)

def left(just_sent_s):
    locustfile.JUST_SENT_S = just_sent_s
    UNDER_WAY.clear()
    user = Waiting.__new__(Waiting)
    call = gevent.spawn(user.call, Ask("/"), "x")
    gevent.sleep(0.01)
    call.kill()
    return len(UNDER_WAY)

print(json.dumps([left(just_sent_s=30), left(just_sent_s=0)]))
"""


def test_request_that_locust_has_cut_short_at_once_is_no_failure_of_the_server():
    assert json.loads(python("-c", KILLED).stdout) == [0, 1]
