"""What holds an event loop, by line: in C, with the GIL and without, in templates, nowhere."""

import asyncio
import importlib.util
import subprocess
import sysconfig
import threading
import time
from functools import partial
from pathlib import Path

import pytest
import uvloop
from django.template import Context, Engine

from project.inside.advised import loop as module
from project.inside.advised.loop import LoopWatch, ThreadClock
from tests.conftest import is_missing

TIMES = 4
CALL_MS = 60  # of a function in C
EXTENSION = r"""
#include <Python.h>
#include <unistd.h>

static PyObject *keeping(PyObject *self, PyObject *arg) {
    usleep(60000);
    Py_RETURN_NONE;
}

static PyObject *giving(PyObject *self, PyObject *arg) {
    Py_BEGIN_ALLOW_THREADS
    usleep(60000);
    Py_END_ALLOW_THREADS
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"keeping", keeping, METH_NOARGS, ""}, {"giving", giving, METH_NOARGS, ""}, {0}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "in_c", 0, -1, methods};
PyMODINIT_FUNC PyInit_in_c(void) { return PyModule_Create(&module); }
"""
VIEWS = """
import asyncio, queue, time

async def calls(function):
    before = 1
    function()  # here
    return [before for _ in range(3)]

async def calls_twice(function):
    function()  # first
    function()  # second

async def computes():
    end = time.thread_time() + 0.06
    while time.thread_time() < end: pass  # here

async def waits_deep():
    one()

def one():
    two()

def two():
    try:
        queue.Queue().get(timeout=0.06)  # here
    except queue.Empty:
        pass

async def renders(template, context):
    return template.render(context)

async def is_clean():
    await asyncio.sleep(0.06)
    return sum(range(100))
"""
LOOPS = pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])


def imported(name, file):
    spec = importlib.util.spec_from_file_location(name, file)
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The reader's: what is in there is their own code."""
    return tmp_path_factory.mktemp("theirs")


@pytest.fixture(scope="module")
def views(folder):
    (folder / "views.py").write_text(VIEWS)
    return imported("views", folder / "views.py")


@pytest.fixture(scope="module")
def in_c(tmp_path_factory):
    place = tmp_path_factory.mktemp("in_c")
    include = sysconfig.get_paths()["include"]
    if not Path(include, "Python.h").exists():
        is_missing("Python.h", "Debian: apt-get install python3-dev")
    (place / "in_c.c").write_text(EXTENSION)
    command = ["cc", "-shared", "-fPIC", f"-I{include}", "in_c.c", "-o", "in_c.so"]
    subprocess.run(command, cwd=place, check=True)
    return imported("in_c", place / "in_c.so")


@pytest.fixture
def held(folder):
    """What held the loop while a view was called TIMES times; each line by its comment."""

    def held(view, *arguments, run=asyncio.run, pause_s=0.01):
        async def main():
            rank = lambda file: 2 if file.startswith(f"{folder}/") else 0  # noqa: E731
            watch = LoopWatch(asyncio.get_running_loop(), rank)
            watch.start()
            for _ in range(TIMES):
                await asyncio.sleep(pause_s)
                await view(*arguments)
            return watch.stop()

        return {hold.place.code.rpartition("# ")[2]: hold for hold in run(main())}

    return held


@LOOPS
@pytest.mark.needs("cc")
@pytest.mark.parametrize("name", ["keeping", "giving"])
def test_a_function_in_c_is_found_at_its_line_whether_it_keeps_the_gil_or_not(
    views, in_c, held, name, run
):
    found = held(views.calls, getattr(in_c, name), run=run)
    assert list(found) == ["here"]
    assert found["here"].times <= TIMES
    assert found["here"].cpu_ms < found["here"].ms / 2


@LOOPS
@pytest.mark.needs("cc")
def test_calls_that_keep_the_gil_one_after_another_have_a_line_each(views, in_c, held, run):
    found = held(views.calls_twice, in_c.keeping, run=run)
    assert set(found) == {"first", "second"}
    assert max(hold.longest_ms for hold in found.values()) < 1.5 * CALL_MS  # and not both of them


@LOOPS
def test_time_in_which_the_loop_was_free_is_no_hold(views, held, run):
    (hold,) = held(views.waits_deep, run=run, pause_s=0.4).values()
    assert hold.longest_ms < 400


@LOOPS
def test_what_computes_has_cpu_time(views, held, run):
    found = held(views.computes, run=run)
    assert list(found) == ["here"]
    assert found["here"].cpu_ms > found["here"].ms / 2


@LOOPS
def test_a_call_deep_below_the_view_is_found_with_what_it_calls(views, held, run):
    found = held(views.waits_deep, run=run)
    assert list(found) == ["here"]
    assert found["here"].calls.startswith("threading.")


def test_without_ctypes_it_sees_no_less(views, held, monkeypatch):
    monkeypatch.setattr(module, "LIBC", None)
    assert list(held(views.waits_deep)) == ["here"]


def test_a_template_is_found_by_its_line(folder, views, held):
    text = "<ul>\n{% for x in 'ab' %}\n<li>{{ slow }}</li>{# here #}\n{% endfor %}</ul>"
    (folder / "list.html").write_text(text)
    template = Engine(dirs=[folder]).get_template("list.html")
    (hold,) = held(views.renders, template, Context({"slow": partial(time.sleep, 0.03)})).values()
    assert (Path(hold.place.file).name, hold.place.line) == ("list.html", 3)


@LOOPS
def test_nothing_holds_the_loop_in_a_clean_view(views, held, run):
    assert held(views.is_clean, run=run) == {}


@LOOPS
def test_a_thread_that_computes_is_no_hold_of_the_loop(views, held, run):
    ended = threading.Event()

    def compute():
        while not ended.is_set():
            sum(range(1000))

    thread = threading.Thread(target=compute)
    thread.start()
    try:
        assert held(views.is_clean, run=run) == {}
    finally:
        ended.set()
        thread.join()


def test_no_thread_outlives_the_watch(views, held):
    held(views.is_clean)
    assert "advised-loop" not in {thread.name for thread in threading.enumerate()}


def test_the_clock_of_a_thread_that_has_ended_stands_still():
    clocks = []
    thread = threading.Thread(target=lambda: clocks.append(ThreadClock()))
    thread.start()
    thread.join()
    clocks[0].lap()
    assert clocks[0].lap()[1] == 0


def test_a_watch_that_has_used_time_pauses_until_it_is_a_small_part(monkeypatch):
    monkeypatch.setattr(time, "thread_time", iter([0.001, 0.003]).__next__)
    watch = LoopWatch(None, None, budget=0.01)
    assert watch._paced(0.5) == 0.5
    assert watch._paced(0.005) == pytest.approx(0.2)
