"""Keeps a server on loopback busy for minutes, with wrong requests and a new version on the way.

Example:
    python -m tests.benchmarks.serving_load --model=r3d18.keras --minutes=10

The server is that of the tests (tests/export/loopback_server.py), not TF Serving. Half of the clients speak REST and
send JPEG frames, half gRPC and pixels; one more sends requests that must be refused. Printed ten times: requests
answered, problems, latencies, and the memory of the server. Exit code 1 when a good request failed, or a wrong one did
not.
"""

from dataclasses import dataclass

from r3d_keras import quiet
from r3d_keras.command_line import Command
from r3d_keras.options import Options, option, required


@dataclass(frozen=True, kw_only=True)
class ServingLoadOptions(Options):
    model: str = required("r3d18.keras", "A .keras file.")
    minutes: float = option(10.0, "How long the server is kept busy.", minimum=0.01)
    clients: int = option(8, "Requests under way at a time.", minimum=2)


def main(options: ServingLoadOptions) -> None:
    quiet.import_tensorflow()

    from r3d_keras.models import load_model
    from tests.benchmarks.busy_server import keep_busy

    keep_busy(load_model(options.model), options.minutes, options.clients)


COMMAND = Command(main, ServingLoadOptions, arguments=("model",))

if __name__ == "__main__":
    COMMAND.run()
