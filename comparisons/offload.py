"""CPU work and the ways to keep it away from the event loop: processes, a service, native code.

The pool's processes import this module too, so its top imports only what they need.
"""

import atexit
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from typing import TYPE_CHECKING

from comparisons.cores import CORES

if TYPE_CHECKING:
    import httpx2
    import wasmtime

N = 26


def fib(n: int) -> int:
    return n if n <= 1 else fib(n - 1) + fib(n - 2)


# --- Processes ------------------------------------------------------------------------------------


@cache
def process_pool() -> ProcessPoolExecutor:
    """Return the server process's own pool: a process per core, each started when first needed."""
    return new_process_pool(CORES)


def close_process_pool() -> None:
    """End the pool and its processes, if there is one; wait for what they compute."""
    if process_pool.cache_info().currsize:
        process_pool().shutdown(cancel_futures=True)
        process_pool.cache_clear()


def new_process_pool(size: int) -> ProcessPoolExecutor:
    """Return a pool whose processes end with the one that made it, be it by exit or by SIGKILL.

    They are forked from a server that has loaded this module and nothing else (forkserver), never
    from the caller: its threads and its event loop would be copied in the middle of their work.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    return ProcessPoolExecutor(size, mp_context=context, initializer=_end_with_parent)


def _end_with_parent() -> None:
    """Watch the parent, as the first thing in each process of a pool.

    An exit ends the pool, which ends its processes; what dies by a signal ends nothing, and the
    kernel's own signal for that (PR_SET_PDEATHSIG) speaks of the forkserver, not of the pool.
    """
    parent = multiprocessing.parent_process()
    assert parent

    def watch() -> None:
        parent.join()
        os._exit(1)

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent
    threading.Thread(target=watch, daemon=True).start()


# --- A service ------------------------------------------------------------------------------------


def async_cpu_service() -> "httpx2.AsyncClient":
    """Return the CPU service's async client: one an event loop (see comparisons/recipe.py)."""
    import httpx2

    from comparisons.recipe import of_running_loop

    return of_running_loop(_open_cpu_client, httpx2.AsyncClient.aclose)


def _open_cpu_client() -> "httpx2.AsyncClient":
    import httpx2
    from django.conf import settings

    from comparisons.resources import LIMITS, TIMEOUT

    return httpx2.AsyncClient(
        base_url=settings.CPU_SERVICE_URL, limits=LIMITS, timeout=TIMEOUT, trust_env=False
    )


# --- Native code ----------------------------------------------------------------------------------

# The same function in the text form of WebAssembly, which wasmtime compiles to machine code: what
# a C or Rust extension does, with no compiler on the reader's machine.
WEB_ASSEMBLY = """
(module
  (func $fib (export "fib") (param $n i32) (result i32)
    (if (result i32) (i32.le_s (local.get $n) (i32.const 1))
      (then (local.get $n))
      (else (i32.add
        (call $fib (i32.sub (local.get $n) (i32.const 1)))
        (call $fib (i32.sub (local.get $n) (i32.const 2))))))))
"""

_of_thread = threading.local()


def native_fib(n: int) -> int:
    """Return `fib(n)`, compiled: it gives up the GIL while it computes, as calls by ctypes do."""
    if not hasattr(_of_thread, "fib"):
        _of_thread.fib = _new_native_fib()
    result: int = _of_thread.fib(n)
    return result


def _new_native_fib() -> Callable[[int], int]:
    """Return an instance of its own for each thread: a module is shared, a store must not be."""
    import wasmtime

    engine, module = _native_module()
    store = wasmtime.Store(engine)
    function = wasmtime.Instance(store, module, []).exports(store)["fib"]
    assert isinstance(function, wasmtime.Func)
    return lambda n: function(store, n)


@cache
def _native_module() -> "tuple[wasmtime.Engine, wasmtime.Module]":
    import wasmtime

    atexit.register(_forget_native)
    engine = wasmtime.Engine()
    return engine, wasmtime.Module(engine, WEB_ASSEMBLY)


def _forget_native() -> None:
    """Forget at exit: wasmtime's finalizers fail once their modules are cleared."""
    _of_thread.__dict__.clear()  # the main thread's; the others have ended
    _native_module.cache_clear()
