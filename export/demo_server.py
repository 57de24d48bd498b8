"""The page's server: who may ask, what is taken, and how long it is kept."""

import base64
import contextlib
import ipaddress
import json
import secrets
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from r3d_keras.errors import UserError
from r3d_keras.video.folders import same_name

from .demo_answers import Answers
from .demo_videos import check_video, first_picture, write_copy

PAGE = Path(__file__).parent / "demo_page"
LARGEST_LIVE_REQUEST = 16 << 20
COPY_SECONDS = 600  # a copy that no page has fetched by then is removed
HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; media-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
}


def make_app(answers: Answers, examples: Sequence[Path], threshold: float, host: str) -> Starlette:
    """Returns the application that serves the page.

    Args:
        examples: video files that the page offers.
        threshold: score below which the camera shows nothing sure.
        host: the name that it listens on, under which it may be asked.
    """
    page = _Page(answers, examples, threshold)
    routes = [
        Route("/model", page.describe),
        Route("/videos", page.answer_upload, methods=["POST"]),
        Route("/camera", page.answer_camera, methods=["POST"]),
        Route("/examples/{number:int}", page.answer_example, methods=["POST"]),
        Route("/examples/{number:int}/picture", page.example_picture),
        Route("/examples/{number:int}/video", page.example_video),
        Route("/copies/{token}", page.copy),
        Mount("/", StaticFiles(directory=PAGE, html=True)),
    ]
    return Starlette(routes=routes, middleware=[Middleware(Guard, host=host)], lifespan=page.lifespan)


class Guard:
    """Answers this page's own requests alone, and adds HEADERS.

    A page from elsewhere is known by its Origin. One whose name was made to lead to this machine (DNS rebinding) has
    that name as its Host: here it is an address, localhost, or `host`.
    """

    def __init__(self, app: ASGIApp, host: str):
        self._app, self._host = app, host

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        headers = Headers(scope=scope)

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                more = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
                message = {**message, "headers": [*message["headers"], *more]}
            await send(message)

        own = headers.get("host", "")
        is_foreign = headers.get("origin", f"http://{own}") != f"http://{own}"
        is_part = headers.get("sec-fetch-mode", "navigate") != "navigate"  # of a page, not what a link leads to
        is_elsewhere = is_part and headers.get("sec-fetch-site") in ("cross-site", "same-site")
        if is_foreign or is_elsewhere or not self._is_known(own):
            refusal = PlainTextResponse("this address is for its own page only", 403)
            return await refusal(scope, receive, send_with_headers)
        await self._app(scope, receive, send_with_headers)

    def _is_known(self, own: str) -> bool:
        name = own.rpartition(":")[0] if own.rpartition(":")[2].isdecimal() else own
        if name in ("localhost", self._host):
            return True
        try:
            ipaddress.ip_address(name.strip("[]"))
        except ValueError:
            return False
        return True


class _Page:
    """What the page asks for. A mistake with a video is an answer too: {"error": sentence}."""

    def __init__(self, answers: Answers, examples: Sequence[Path], threshold: float):
        self._answers, self._examples, self._threshold = answers, examples, threshold
        self._folder: Path | None = None
        self._copies: dict[str, float] = {}  # when each was made, by its token

    @contextlib.asynccontextmanager
    async def lifespan(self, _: Starlette) -> AsyncIterator[None]:
        """Keeps a folder for files, which is removed with all that is in it when the server ends."""
        with tempfile.TemporaryDirectory(prefix="r3d_demo_") as folder:
            self._folder = Path(folder)
            yield

    async def describe(self, _: Request) -> Response:
        model, limits = self._answers.model, self._answers.limits
        return JSONResponse(
            {
                "name": model.name,
                "labels": list(model.label_names),
                "examples": [f"{path.parent.name}/{path.name}" for path in self._examples],
                "live": self._answers.live,
                "threshold": self._threshold,
                "max_megabytes": limits.megabytes,
                "max_seconds": limits.seconds,
            }
        )

    async def answer_upload(self, request: Request) -> Response:
        """Takes a file as the body of a request, answers, and removes it."""
        path = self._folder / secrets.token_hex(16)
        limit = self._answers.limits.megabytes << 20
        try:
            with open(path, "wb") as file:
                async for part in _parts(request, limit):
                    await run_in_threadpool(file.write, part)
            return await self._answer(path, None)
        except ClientDisconnect:
            return Response(status_code=499)
        finally:
            path.unlink(missing_ok=True)

    async def answer_example(self, request: Request) -> Response:
        path, number = self._example(request), request.path_params["number"]
        folder = next((name for name in self._answers.model.label_names if same_name(name, path.parent.name)), None)
        return await self._answer(path, f"examples/{number}/video", folder=folder)

    async def _answer(self, path: Path, address: str | None, **more: Any) -> Response:
        """Answers about a file; `address` is where the page finds it, None when the page has it."""

        def answer() -> dict[str, Any]:
            is_played = check_video(path)
            return {**self._answers.of_video(path), "video": address if is_played else self._copy(path), **more}

        try:
            return JSONResponse(await run_in_threadpool(answer))
        except UserError as error:
            return JSONResponse({"error": str(error)})

    async def answer_camera(self, request: Request) -> Response:
        """Takes {"frames": JPEG files in base64, "times": seconds}; gives the scores of all classes."""
        body = b"".join([part async for part in _parts(request, LARGEST_LIVE_REQUEST)])
        try:
            values = json.loads(body)
            frames = [base64.b64decode(frame) for frame in values["frames"]]
            times = [float(each) for each in values["times"]]
        except (ValueError, KeyError, TypeError) as error:
            raise HTTPException(400, "frames and times are expected") from error
        try:
            return JSONResponse({"scores": await run_in_threadpool(self._answers.of_camera, frames, times)})
        except UserError as error:
            return JSONResponse({"error": str(error)})

    async def example_picture(self, request: Request) -> Response:
        try:
            return Response(await run_in_threadpool(first_picture, self._example(request)), media_type="image/jpeg")
        except UserError as error:
            raise HTTPException(404) from error

    async def example_video(self, request: Request) -> Response:
        return FileResponse(self._example(request))

    async def copy(self, request: Request) -> Response:
        """Gives a copy to the page that knows its token, once."""
        token = request.path_params["token"]
        if self._copies.pop(token, None) is None:
            raise HTTPException(404)
        path = self._folder / f"{token}.mp4"
        return FileResponse(path, background=BackgroundTask(path.unlink, missing_ok=True))

    def _copy(self, path: Path) -> str:
        """Writes a copy that browsers play; returns its address. Removes those that nobody fetched."""
        for token, made in list(self._copies.items()):
            if time.monotonic() - made > COPY_SECONDS and self._copies.pop(token, None):
                (self._folder / f"{token}.mp4").unlink(missing_ok=True)
        if shutil.disk_usage(self._folder).free < self._answers.limits.megabytes << 20:
            raise UserError("there is no room on the disk for a copy that the browser plays")
        token = secrets.token_hex(16)
        write_copy(path, self._folder / f"{token}.mp4")
        self._copies[token] = time.monotonic()
        return f"copies/{token}"

    def _example(self, request: Request) -> Path:
        number = request.path_params["number"]
        if number >= len(self._examples):
            raise HTTPException(404)
        return self._examples[number]


async def _parts(request: Request, limit: int) -> AsyncIterator[bytes]:
    """Yields the body of a request as it comes; ends with status 413 when it is larger than `limit` bytes."""
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > limit:
            raise HTTPException(413, f"more than {limit >> 20} MB", {"connection": "close"})  # the rest is not read
        yield part
