"""Roles to log in as that may hold few connections each, where a connection limit is the point.

A limit does not bind superusers, and it counts by the role that logs in. There are several, so that
each of the servers that run at the same time has one of its own.
"""

ROLE = "comparisons_limited_{row}"  # in a variant's environ: the server's own
NAMES = [ROLE.format(row=number) for number in range(32)]
LIMIT = 10  # connections
