"""A page on this machine that shows what a model says of videos and of the webcam.

Examples:
    r3d demo run1
    python -m export.demo --model=run1/model.keras --videos=videos/validation
    r3d demo --server=localhost:8501 --model_name=actions

The page takes a video, an example or the camera, and shows the best classes, the scores over time, and the clip of
which the model is most sure with the places that speak for it (of a served or exported model: the clip alone). It needs
requirements/demo.txt (pip install 'r3d_keras[demo]'), and of a server over REST no TensorFlow. It listens on this
machine alone unless --host says otherwise, loads nothing from elsewhere, and keeps nothing: a video is removed when it
is answered. A video that browsers cannot play is shown as a copy without sound. Ctrl-C ends it.
"""

import socket
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from r3d_keras.command_line import Command
from r3d_keras.errors import UserError
from r3d_keras.options import Options, option
from r3d_keras.terminal import say

if TYPE_CHECKING:
    from .demo_models import AskedModel

# Where examples lie beside a model, from its folder.
EXAMPLE_FOLDERS = ("videos/validation", "../videos/validation", "videos", "../videos")


@dataclass(frozen=True, kw_only=True)
class DemoOptions(Options):
    """Which model answers, what the page offers, and where it is."""

    title = "Flags"
    model: str | None = option(None, "A .keras file, the folder of a training run, or that of an exported bundle.")
    server: str | None = option(None, "HOST:PORT or https://HOST/PATH of a model server, in place of a model.")
    model_name: str | None = option(None, "Name of the model on the server.")
    protocol: str = option("rest", "How the server is asked.", choices=("rest", "grpc"))
    timeout: float = option(120.0, "Seconds in which each request to the server must be answered.", minimum=0.001)
    videos: str | None = option(
        None, "Folder of examples; by default videos/validation or videos beside the model or its folder."
    )
    threshold: float = option(0.5, "Score below which the camera shows nothing sure.", minimum=0, maximum=1)
    max_megabytes: int = option(200, "Size of the largest video that the page takes.", minimum=1)
    max_seconds: float = option(180.0, "Length of the longest video that the page takes.", above=0)
    host: str = option("127.0.0.1", "Address to listen on; 0.0.0.0 lets other machines in.")
    port: int = option(7860, "Port to listen on; 0 takes one that is free.", minimum=0, maximum=65535)


def main(options: DemoOptions) -> None:
    """Serves the page until Ctrl-C."""
    if bool(options.model) == bool(options.server):
        raise UserError("name a model, or a server with --server and --model_name (for example: r3d demo run1)")
    if options.server and not options.model_name:
        raise UserError("model_name is missing (for example model_name=actions)")
    try:
        import uvicorn

        from .demo_server import make_app
    except ModuleNotFoundError as error:
        if error.name not in ("starlette", "uvicorn"):
            raise
        raise UserError(f"the page needs {error.name}: pip install 'r3d_keras[demo]'") from error
    from .demo_answers import Answers, Limits
    from .demo_videos import find_examples

    folder = options.videos or (_folder_beside(Path(options.model)) if options.model else None)
    examples = find_examples(Path(folder)) if folder else []
    listening = _listen(options.host, options.port)
    model = _load(options)
    app = make_app(
        Answers(model, Limits(options.max_megabytes, options.max_seconds)),
        examples,
        options.threshold,
        options.host,
    )
    host = f"[{options.host}]" if ":" in options.host else options.host
    say(f"http://{host}:{listening.getsockname()[1]} shows what {model.name} says (Ctrl-C ends it)")
    uvicorn.Server(uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=3)).run([listening])


def _load(options: DemoOptions) -> "AskedModel":
    from .demo_models import LoadedModel, ServedModel

    if options.server:
        from .server_access import connect

        server = connect(options.server, options.model_name, options.protocol, options.timeout)
        return ServedModel(server, options.model_name)
    from r3d_keras import quiet
    from r3d_keras.prediction.scorer import needs_tensorflow

    if needs_tensorflow(options.model):
        quiet.import_tensorflow()
    return LoadedModel(options.model)


def _folder_beside(model: Path) -> str | None:
    folder = model if model.is_dir() else model.parent
    places = [folder / name for name in EXAMPLE_FOLDERS]
    return next((str(place) for place in places if place.is_dir()), None)


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise UserError(f"cannot listen on host={host}, port={port}: {error.strerror}; take another port") from error


COMMAND = Command(main, DemoOptions, arguments=("model",))

if __name__ == "__main__":
    COMMAND.run()
