"""The ASGI application of one node: base paths, Host check, authentication, error documents."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import BaseRoute, Mount, Route
from starlette.routing import Router as PathRouter
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mlops_steps.sandbox.faults.operations import BASE_PATHS, CONTROL_PATH
from mlops_steps.sandbox.http.faulty import Faulty
from mlops_steps.sandbox.http.routing import RouteDef, Router, serve
from mlops_steps.sandbox.node.auth import is_authenticated
from mlops_steps.sandbox.node.errors import DssError, not_found, not_supported, unauthorized
from mlops_steps.sandbox.node.node import DSS_VERSION, Node
from mlops_steps.sandbox.services.admin import routes as admin
from mlops_steps.sandbox.services.bundles import routes as bundles
from mlops_steps.sandbox.services.deployer import routes as deployer
from mlops_steps.sandbox.services.faults import routes as faults
from mlops_steps.sandbox.services.flow import routes as flow
from mlops_steps.sandbox.services.instance import routes as instance
from mlops_steps.sandbox.services.projects import routes as projects
from mlops_steps.sandbox.services.scenarios import routes as scenarios

log = logging.getLogger(__name__)


def create_app(node: Node) -> ASGIApp:
    """The application that serves ``node``."""
    routers = services()
    routes = [(route.method, route.path) for route in in_order(routers)]
    node.faults.serve(routes)
    return Faulty(node, Gate(node, routers))


def services() -> list[Router]:
    """The routers of all services."""
    return [
        instance.router,
        admin.router,
        projects.router,
        flow.router,
        scenarios.router,
        bundles.design,
        bundles.automation,
        deployer.router,
    ]


class PathHandlers:
    """All handlers of one path, by method. An ASGI application."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.by_method: dict[str, RouteDef] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        route = self.by_method.get(request.method)
        if route is None:
            raise not_supported(operation_name(scope))
        response = await serve(route, self.node, request)
        await response(scope, receive, send)


def in_order(routers: Iterable[Router]) -> list[RouteDef]:
    """All routes, the more specific first."""
    return sorted((route for router in routers for route in router.routes), key=lambda route: route.specificity)


def path_routes(node: Node, routers: Iterable[Router]) -> list[BaseRoute]:
    """One Starlette route per path, literal paths before those with parameters."""
    by_path: dict[str, PathHandlers] = {}
    for route in in_order(routers):
        handlers = by_path.setdefault(route.path, PathHandlers(node))
        if route.method in handlers.by_method:
            raise ValueError(f"two handlers of {route.method} {route.path}")
        handlers.by_method[route.method] = route
    return [Route(path, endpoint=handlers) for path, handlers in by_path.items()]


def operation_name(scope: Scope) -> str:
    """Method and path relative to the base path, for messages."""
    path: str = scope["path"]
    for base in BASE_PATHS:
        path = path.removeprefix(base)
    return f"{scope['method']} {path or '/'}"


class Gate:
    """Lets a request in when it was meant for this node and carries its key; turns errors into DSS error documents."""

    def __init__(self, node: Node, routers: Iterable[Router]) -> None:
        self.node = node
        api = PathRouter(path_routes(node, routers), redirect_slashes=False, default=_unknown_operation)
        bases = [Mount(base, app=api) for base in BASE_PATHS]
        own = Mount(CONTROL_PATH, app=PathRouter(path_routes(node, [faults.router]), redirect_slashes=False))
        self.paths = PathRouter([*bases, own], redirect_slashes=False, default=_outside_the_api)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        answer = AnswerWatch(send)
        try:
            self._check_host(scope)
            self._check_key(scope)
            # DSS answers with and without a trailing slash alike.
            scope["path"] = scope["path"].rstrip("/") or "/"
            await self.paths(scope, receive, answer)
        except Exception as error:
            if answer.started:
                raise
            if not isinstance(error, DssError):
                log.exception("%s: %s failed", self.node.id, operation_name(scope))
                error = DssError(500, f"java.lang.RuntimeException/{type(error).__name__}", str(error))
            await JSONResponse(error.document(), status_code=error.status)(scope, receive, answer)

    def _check_host(self, scope: Scope) -> None:
        headers = {name.lower(): value.decode("latin-1") for name, value in scope["headers"]}
        port = self.node.url.rpartition(":")[2]
        if headers.get(b"host", "").lower() not in (f"127.0.0.1:{port}", f"localhost:{port}"):
            raise DssError(421, "java.lang.IllegalArgumentException", "The Host header does not name this node")

    def _check_key(self, scope: Scope) -> None:
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        if not is_authenticated(headers, self.node.api_key, self.node.tickets):
            raise unauthorized(f"The API key is missing, or it is not a key of node {self.node.id}")
        scope["dku.user"] = "admin"


async def _unknown_operation(scope: Scope, _receive: Receive, _send: Send) -> None:
    raise not_supported(operation_name(scope))


async def _outside_the_api(scope: Scope, _receive: Receive, _send: Send) -> None:
    raise not_found(f"{scope['path']} is not served; the public API is under {' and '.join(BASE_PATHS)}")


class AnswerWatch:
    """Notes whether an answer has begun, and adds the headers that DSS sends with every one."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.started = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            version = (b"dss-version", DSS_VERSION.encode())
            message["headers"] = [*message.get("headers", []), version, (b"dss-api-version", b"1")]
        await self._send(message)
