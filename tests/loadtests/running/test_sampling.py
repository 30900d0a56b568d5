"""What looks at a server's processes say."""

import pytest

from loadtests.running.sampling import Usage, busiest_worker


def looks(*cpu_of):
    return [Usage(len(cpu), 1, sum(cpu.values()), 50.0, cpu) for cpu in cpu_of]


@pytest.mark.parametrize(
    ("before", "after", "workers", "found"),
    [
        ({1: 9.0, 2: 1.0, 3: 1.0}, {1: 9.0, 2: 2.0, 3: 2.0}, 2, 1),  # even, and 1 the main process
        ({1: 9.0, 2: 1.0, 3: 1.0}, {1: 9.1, 2: 4.0, 3: 2.0}, 2, 1.5),
        ({1: 9.0, 2: 1.0, 3: 1.0}, {1: 9.0, 2: 2.0, 3: 1.0}, 2, 2),  # all of it on one
        ({1: 1.0}, {1: 1.5}, 1, 1),  # a server that is its own worker
        ({1: 0.0, 2: 8.0}, {1: 0.0, 3: 0.5}, 1, 1),  # a worker that died, and its successor
        ({1: 1.0, 2: 1.0}, {1: 1.0, 2: 1.0}, 2, None),
        ({1: 1.0}, {}, 1, None),  # a dead server
    ],
)
def test_busiest_worker_is_what_one_takes_over_what_all_take_on_average(
    before, after, workers, found
):
    assert busiest_worker(looks(before, after), workers) == found


def test_first_and_last_look_count():
    assert busiest_worker(looks({1: 0.0, 2: 0.0}, {1: 9.0, 2: 0.0}, {1: 9.0, 2: 9.0}), 2) == 1
