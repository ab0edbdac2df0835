"""Routes and calls: what a service sees of HTTP."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response

from mlops_steps.sandbox.node.errors import DssError, bad_request
from mlops_steps.sandbox.node.node import Node, NodeType
from mlops_steps.sandbox.node.store import save_stream

MAX_BODY_BYTES = 256 * 1024 * 1024
JSON_NULL = JSONResponse(None)


@dataclass(frozen=True)
class Upload:
    """One uploaded file, already spooled to disk when it is large."""

    filename: str
    file: BinaryIO
    size: int

    def save(self, path: Path) -> int:
        """Copies the file to ``path`` in constant memory; returns its size in bytes."""
        self.file.seek(0)
        return save_stream(self.file, path)


@dataclass
class Call:
    """One authenticated request."""

    node: Node
    method: str
    path: dict[str, str]
    params: dict[str, str]
    user: str = "admin"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    files: dict[str, Upload] = field(default_factory=dict)
    # The query with every value: a parameter may come several times, and ``params`` holds the last one.
    repeated: dict[str, list[str]] = field(default_factory=dict)

    def json(self) -> Any:
        """The body as JSON; ``None`` when it is empty. Raises 400 when it is not JSON."""
        if not self.body:
            return None
        try:
            return json.loads(self.body)
        except ValueError as error:
            raise bad_request(f"The body of the request is not JSON: {error}") from error

    def json_object(self) -> dict[str, Any]:
        """The body as a JSON object; ``{}`` when it is empty. Raises 400 for anything else."""
        document = self.json()
        if document is None:
            return {}
        if not isinstance(document, dict):
            raise bad_request("The body of the request must be a JSON object")
        return document

    def flag(self, name: str, default: bool = False) -> bool:
        """A boolean query parameter."""
        return self.params.get(name, str(default)).strip().lower() in ("true", "1", "yes")

    def file(self, name: str = "file") -> Upload:
        """The uploaded file of this name. Raises 400 when there is none."""
        if name not in self.files:
            raise bad_request(f"A multipart upload with a file named {name!r} is needed")
        return self.files[name]


Handler = Callable[[Call], Any]


@dataclass(frozen=True)
class RouteDef:
    """A handler with its method, its path (Starlette's form) and the type of node that has it."""

    method: str
    path: str
    handler: Handler
    only: NodeType | None

    @property
    def specificity(self) -> tuple[int, ...]:
        """Sorts literal paths before parameters, and parameters before catch-alls."""
        segments = self.path.strip("/").split("/")
        return tuple(0 if part[:1] != "{" else 2 if part.endswith(":path}") else 1 for part in segments)


class Router:
    """The routes of one service, relative to the base path. Handlers are plain functions, run in a thread."""

    def __init__(self, only: NodeType | None = None) -> None:
        self.only = only
        self.routes: list[RouteDef] = []

    def _add(self, method: str, path: str) -> Callable[[Handler], Handler]:
        def decorate(handler: Handler) -> Handler:
            self.routes.append(RouteDef(method, "/" + path.strip("/"), handler, self.only))
            return handler

        return decorate

    def get(self, path: str) -> Callable[[Handler], Handler]:
        """Registers a handler of GET."""
        return self._add("GET", path)

    def post(self, path: str) -> Callable[[Handler], Handler]:
        """Registers a handler of POST."""
        return self._add("POST", path)

    def put(self, path: str) -> Callable[[Handler], Handler]:
        """Registers a handler of PUT."""
        return self._add("PUT", path)

    def delete(self, path: str) -> Callable[[Handler], Handler]:
        """Registers a handler of DELETE."""
        return self._add("DELETE", path)


def archive_response(path: Path, name: str) -> FileResponse:
    """A zip file, streamed from disk; ``name`` is what a browser calls it."""
    return FileResponse(path, media_type="application/zip", filename=name)


async def serve(route: RouteDef, node: Node, request: Request) -> Response:
    """Reads the request (uploads go to disk), runs the handler in a thread and makes its answer."""
    if route.only is not None and node.type != route.only:
        kind = {"DESIGN": "a Design", "AUTOMATION": "an Automation", "API": "an API"}[route.only]
        raise DssError(
            403,
            "java.lang.IllegalStateException",
            f"{request.method} {request.url.path} exists on {kind} node only; {node.id} is of type {node.type}",
        )
    call = Call(
        node=node,
        method=request.method,
        path={name: str(value) for name, value in request.path_params.items()},
        params=dict(request.query_params),
        user=request.scope["dku.user"],
        headers=request.headers,
        repeated={name: request.query_params.getlist(name) for name in request.query_params},
    )
    if request.headers.get("content-type", "").startswith("multipart/form-data"):
        try:
            async with request.form(max_files=100) as form:
                for name, part in form.multi_items():
                    if isinstance(part, UploadFile):
                        upload = Upload(part.filename or name, part.file, part.size or 0)
                        call.files[name] = upload
                    else:
                        call.params.setdefault(name, part)
                return _response(await run_in_threadpool(route.handler, call))
        except MultiPartException as error:
            raise bad_request(f"The multipart upload is damaged: {error.message}") from error
    call.body = await _read_body(request)
    return _response(await run_in_threadpool(route.handler, call))


async def _read_body(request: Request) -> bytes:
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > MAX_BODY_BYTES:
            raise DssError(413, "java.lang.IllegalArgumentException", f"Bodies over {MAX_BODY_BYTES} bytes are refused")
        chunks.append(chunk)
    return b"".join(chunks)


def _response(answer: Any) -> Response:
    if isinstance(answer, Response):
        return answer
    if answer is None:
        return Response(status_code=200)
    return JSONResponse(answer)
