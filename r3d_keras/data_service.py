"""Makes training batches for trainers on other machines, whose own processors are too few for their GPUs.

Examples:
    r3d data_service --port=5050
    r3d train --data_dir=/mnt/shards --data_service=host1:5050,host2:5050 --model_dir=run1

Run it on every input host, where the data must be the same folder under the same name as on the trainer. It serves any
number of trainers until it is stopped, on its port and on the one after it. Trainers decide what it reads and
computes: let nobody else reach these ports.
"""

from dataclasses import dataclass

from r3d_keras import quiet
from r3d_keras.command_line import Command
from r3d_keras.options import Options, option


@dataclass(frozen=True, kw_only=True)
class DataServiceOptions(Options):
    """All options of the command."""

    title = "Flags"

    host: str | None = option(None, "Name or address by which trainers reach this machine; its own by default.")
    port: int = option(5050, "Port for trainers; the one after it is taken too.", minimum=1024, maximum=65534)


def main(options: DataServiceOptions) -> None:
    """Serves until the process is stopped."""
    quiet.hide_gpus()
    quiet.import_tensorflow()

    from r3d_keras.input.host import serve

    serve(options.port, options.host)


COMMAND = Command(main, DataServiceOptions)

if __name__ == "__main__":
    COMMAND.run()
