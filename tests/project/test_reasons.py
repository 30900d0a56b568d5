"""The line of a program's output that says best why it failed."""

import pytest

from project.reasons import reason

FULL_DISK = """\
2026-11-25 18:27:33.900 UTC [24457] LOG:  database system was not properly shut down
2026-11-25 18:27:33.963 UTC [24457] PANIC:  could not write to file "pg_wal/xlogtemp.24457": \
No space left on device
2026-11-25 18:27:33.963 UTC [24457] CONTEXT:  COPY comparisons_invoice, line 4711
2026-11-25 18:27:34.012 UTC [24440] LOG:  server process (PID 24457) was terminated by signal 6
2026-11-25 18:27:34.012 UTC [24440] DETAIL:  Failed process was running: COPY comparisons_invoice
2026-11-25 18:27:34.100 UTC [24471] FATAL:  the database system is in recovery mode
"""
FULL_DISK_OF_INITDB = """\
running bootstrap ... 2026-11-25 18:28:06.646 UTC [9] FATAL:  could not extend file "base/1": \
No space left on device
2026-11-25 18:28:06.646 UTC [9] HINT:  Check free disk space.
2026-11-25 18:28:06.646 UTC [9] PANIC:  cannot abort transaction 1, it was already committed
child process exited with exit code 134
"""
KILLED_BACKEND = """\
2026-11-25 18:27:34.012 UTC [24440] LOG:  server process (PID 7) was terminated by signal 9: Killed
2026-11-25 18:27:34.100 UTC [24471] FATAL:  the database system is in recovery mode
"""
NO_RIGHT = """\
Traceback (most recent call last):
  File "django/db/backends/utils.py", line 103, in _execute
    return self.cursor.execute(sql)
psycopg.errors.InsufficientPrivilege: permission denied for schema public
LINE 1: CREATE TABLE "django_migrations" ("id" bigint NOT NULL)
                     ^

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
  File "manage.py", line 40, in <module>
    main()
django.db.migrations.exceptions.MigrationSchemaMissing: Unable to create it (permission denied
LINE 1: CREATE TABLE "django_migrations" ("id" bigint NOT NULL)
                     ^)
"""
GUNICORN = """\
[2026-11-25 18:30:00 +0000] [12] [ERROR] Exception in worker process
Traceback (most recent call last):
  File "gunicorn/arbiter.py", line 609, in spawn_worker
    worker.init_process()
ModuleNotFoundError: No module named 'nowhere'
[2026-11-25 18:30:00 +0000] [12] [INFO] Worker exiting (pid: 12)
[2026-11-25 18:30:00 +0000] [11] [ERROR] Shutting down: Master
[2026-11-25 18:30:00 +0000] [11] [ERROR] Reason: Worker failed to boot.
"""
GUNICORN_WITHOUT_A_PORT = """\
[2026-11-25 18:30:00 +0000] [11] [ERROR] Connection in use: ('127.0.0.1', 8000)
[2026-11-25 18:30:00 +0000] [11] [ERROR] connection to ('127.0.0.1', 8000) failed: [Errno 98] \
Address already in use
[2026-11-25 18:30:05 +0000] [11] [ERROR] Can't connect to ('127.0.0.1', 8000)
"""
UVICORN = """\
ERROR:    Traceback (most recent call last):
  File "starlette/routing.py", line 693, in lifespan
    raise RuntimeError("no pool")
RuntimeError: no pool

ERROR:    Application startup failed. Exiting.
"""
PGBOUNCER = """\
2026-11-25 18:31:00.000 UTC [77] LOG kernel file descriptor limit: 1024 (hard: 1024)
2026-11-25 18:31:00.001 UTC [77] ERROR unrecognized connection parameter: hots
2026-11-25 18:31:00.002 UTC [77] FATAL cannot load config file
"""


@pytest.mark.parametrize(
    ("output", "line"),
    [
        (
            FULL_DISK,
            'PANIC:  could not write to file "pg_wal/xlogtemp.24457": No space left on device',
        ),
        (
            FULL_DISK_OF_INITDB,
            'FATAL:  could not extend file "base/1": No space left on device',
        ),
        (KILLED_BACKEND, "LOG:  server process (PID 7) was terminated by signal 9: Killed"),
        (
            NO_RIGHT,
            "django.db.migrations.exceptions.MigrationSchemaMissing: "
            "Unable to create it (permission denied",
        ),
        (GUNICORN, "ModuleNotFoundError: No module named 'nowhere'"),
        (
            GUNICORN_WITHOUT_A_PORT,
            "[2026-11-25 18:30:00 +0000] [11] [ERROR] connection to ('127.0.0.1', 8000) failed: "
            "[Errno 98] Address already in use",
        ),
        (UVICORN, "RuntimeError: no pool"),
        (PGBOUNCER, "FATAL cannot load config file"),
        ("CommandError: permission denied\n", "CommandError: permission denied"),
        ("starting\nusage: postgres -D DIR\n", "usage: postgres -D DIR"),
        ("  indented\n  ^)\n", "^)"),
        ("", "it said nothing"),
    ],
)
def test_reason_is_the_line_that_says_what_is_wrong(output, line):
    assert reason(output) == line
