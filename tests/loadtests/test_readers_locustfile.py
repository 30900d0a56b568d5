"""A locustfile of the reader's: its users come as it says; what is wrong with it is a line."""

import pytest

from loadtests.advising.advice import comparison_of, row_of
from loadtests.judging.rounds import Sample
from loadtests.running import servers
from loadtests.running.generators import users_of
from loadtests.running.measuring import order_of
from loadtests.running.servers import ServerError
from tests.support.elsewhere import asked, deployments
from tests.support.rounds import PLAN

SHOP = """
import requests
from locust import FastHttpUser, HttpUser, constant, events, task
from paths import ORDERS

print("the shop's own users")

@events.test_start.add_listener
def begin(environment, **_):
    requests.get(environment.host + "/begin/")

class Reader(HttpUser):
    weight = 3
    wait_time = constant(0.01)

    def on_start(self):
        self.client.get("/login/")

    def on_stop(self):
        self.client.get("/logout/")

    @task
    def orders(self):
        self.client.get(ORDERS, name="orders")
        print("asked for orders")

class Buyer(FastHttpUser):
    wait_time = constant(0.01)

    def context(self):
        return {"kind": "buyer"}

    @task
    def pay(self):
        with self.client.post("/missing/", data="1", catch_response=True) as response:
            response.success()  # it knows better
"""
BROKEN = """
from locust import HttpUser, constant, task

class Broken(HttpUser):
    wait_time = constant(0.05)

    @task
    def stranger(self):
        self.client.get("/stranger/")
        raise KeyError("price")
"""


def samples_of(generator, folder, source, users=4):
    file = folder / "locustfile.py"
    file.write_text(source)
    comparison = comparison_of([("loop", "asgi")], base="loop", users=users)
    deployment = deployments(folder)["asgi"]
    row = row_of(comparison, "loop", deployment, (), locustfile=file)
    with servers.serving([deployment]) as (server,):
        result = generator.run(order_of("advice", row, server, PLAN))
    assert result.bystander
    return [Sample(*sample) for sample in result.samples]


def test_its_users_do_what_it_says_spread_by_weight(generator, tmp_path):
    (tmp_path / "paths.py").write_text('ORDERS = "/orders/"')
    samples = samples_of(generator, tmp_path, SHOP)
    said = asked(tmp_path)
    assert said[0] == "GET /begin/"
    assert said.count("GET /login/") == 3  # of four users; the weights are 3 to 1
    assert said.count("GET /logout/") == 3
    paths = {line.split()[1] for line in said[1:]}
    assert paths == {"/login/", "/orders/", "/logout/", "/missing/"}
    assert {(sample.status, sample.error) for sample in samples} == {(200, None), (404, None)}
    assert not (tmp_path / "__pycache__").exists()


def test_answer_of_another_server_and_error_of_a_task_are_failures(generator, tmp_path):
    errors = {sample.error for sample in samples_of(generator, tmp_path, BROKEN, users=1)}
    (stranger,) = (error for error in errors if error.startswith("answered by"))
    assert stranger.startswith("answered by 'another' instead of 'theirs-asgi ")
    assert errors - {stranger} == {"locustfile.py:10: KeyError: 'price'"}


def test_users_are_named_before_anything_is_sent(tmp_path):
    (tmp_path / "paths.py").write_text('ORDERS = "/orders/"')
    file = tmp_path / "locustfile.py"
    file.write_text(SHOP)
    assert users_of(file) == ["Reader 3", "Buyer 1"]


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("def f(:\n  pass", ":1: invalid syntax"),
        ("import locust\nimport no_such_module", ":2: No module named 'no_such_module' (it is"),
        ("def f():\n  1 / 0\nf()", ":2: ZeroDivisionError: division by zero"),
        ("raise SystemExit", ":1: SystemExit"),
        ("from locust import HttpUser", ": it has no user class, an HttpUser or a FastHttpUser"),
        (
            "from locust import User, task\nclass Mqtt(User):\n  @task\n  def f(self): pass",
            ": Mqtt is no HttpUser and no FastHttpUser",
        ),
        ("from locust import HttpUser\nclass Idle(HttpUser): pass", ": Idle has no tasks"),
        (None, ": cannot be read: No such file or directory"),
    ],
)
def test_what_is_wrong_is_one_line(tmp_path, source, problem):
    file = tmp_path / "locustfile.py"
    if source is not None:
        file.write_text(source)
    with pytest.raises(ServerError) as said:
        users_of(file)
    assert str(said.value).startswith(f"{file}{problem}")
    assert "\n" not in str(said.value)
