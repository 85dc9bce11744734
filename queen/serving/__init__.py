"""The parts that the three services share: settings, server, health, logs, metrics, accounts.

A service's `__main__` is one call, `run_service(name, SettingsType, wire)`, where
`wire(settings, shell)` is an async context manager that yields the `Offer`s to serve.
"""

import os

# gRPC's C library reads this when it is loaded. Otherwise it writes a line to stderr for each
# broken header of a stranger, past the bounds of the logs.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
