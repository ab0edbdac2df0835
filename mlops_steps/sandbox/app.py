"""The ASGI application of one node: base paths, Host check, authentication, error documents."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import BaseRoute, Mount, Route
from starlette.routing import Router as PathRouter
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mlops_steps.sandbox.faults.operations import API_NODE_PATHS, BASE_PATHS, CONTROL_PATH
from mlops_steps.sandbox.http.faulty import Faulty
from mlops_steps.sandbox.http.routing import RouteDef, Router, serve
from mlops_steps.sandbox.http.shaped import Shaped
from mlops_steps.sandbox.node.auth import is_authenticated, matches_any, presented_keys
from mlops_steps.sandbox.node.errors import DssError, not_found, not_supported, unauthorized
from mlops_steps.sandbox.node.node import Node
from mlops_steps.sandbox.services.admin import routes as admin
from mlops_steps.sandbox.services.api_deployer import routes as api_deployer
from mlops_steps.sandbox.services.api_node import routes as api_node
from mlops_steps.sandbox.services.api_services import routes as api_services
from mlops_steps.sandbox.services.bundles import routes as bundles
from mlops_steps.sandbox.services.deployer import routes as deployer
from mlops_steps.sandbox.services.documents import routes as documents
from mlops_steps.sandbox.services.faults import routes as faults
from mlops_steps.sandbox.services.flow import routes as flow
from mlops_steps.sandbox.services.govern import routes as govern
from mlops_steps.sandbox.services.instance import routes as instance
from mlops_steps.sandbox.services.project_standards import routes as project_standards
from mlops_steps.sandbox.services.projects import routes as projects
from mlops_steps.sandbox.services.scenarios import routes as scenarios

log = logging.getLogger(__name__)


def create_app(node: Node) -> ASGIApp:
    """The application that serves ``node``."""
    areas = api_node_areas() if node.type == "API" else dss_areas()
    routers = [router for area in areas for router in area.routers]
    node.faults.serve([(route.method, route.path) for route in in_order(routers)])
    gate = Gate(node, [*areas, Area((CONTROL_PATH,), (faults.router,), _has_key_of_node)])
    return Faulty(node, Shaped(node, gate))


def services() -> list[Router]:
    """The routers of all services of Design and Automation nodes."""
    return [
        instance.router,
        admin.router,
        projects.router,
        flow.router,
        documents.router,
        scenarios.router,
        project_standards.router,
        bundles.design,
        bundles.automation,
        deployer.router,
        govern.router,
        api_services.router,
        api_deployer.router,
    ]


ROOT = ("",)
# Request headers, names in lower case.
Headers = Mapping[str, str]


@dataclass(frozen=True)
class Area:
    """Routes below some base paths, and who may use them. The paths of routers are relative to each of the bases."""

    bases: tuple[str, ...]
    routers: Sequence[Router]
    admits: Callable[[Node, Headers], bool]

    def holds(self, path: str) -> bool:
        """Whether a path is below one of the bases; below the root, whether it is a path of these routes."""
        if self.bases == ROOT:
            return path.rstrip("/") in [route.path for router in self.routers for route in router.routes]
        return any(path.startswith(f"{base}/") for base in self.bases)


def dss_areas() -> list[Area]:
    """What a Design node or an Automation node serves."""
    return [Area(BASE_PATHS, services(), _has_key_of_node)]


def api_node_areas() -> list[Area]:
    """What an API node serves: calls of endpoints, the administration, and whether it is there at all."""
    users, administration = API_NODE_PATHS
    return [
        Area((users,), (api_node.user,), _anybody),
        Area((administration,), (api_node.admin,), _has_admin_key),
        Area(ROOT, (api_node.open_to_all,), _anybody),
    ]


def _has_key_of_node(node: Node, headers: Headers) -> bool:
    return is_authenticated(headers, node.api_key, node.tickets)


def _has_admin_key(node: Node, headers: Headers) -> bool:
    return any(matches_any(key, api_node.admin_keys(node)) for key in presented_keys(headers))


def _anybody(_node: Node, _headers: Headers) -> bool:
    return True


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


def path_routes(node: Node, routers: Iterable[Router]) -> list[Route]:
    """One Starlette route per path, literal paths before those with parameters."""
    by_path: dict[str, PathHandlers] = {}
    for route in in_order(routers):
        handlers = by_path.setdefault(route.path, PathHandlers(node))
        if route.method in handlers.by_method:
            raise ValueError(f"two handlers of {route.method} {route.path}")
        handlers.by_method[route.method] = route
    return [Route(path, endpoint=handlers) for path, handlers in by_path.items()]


class PathIndex:
    """Finds the route of a path among the few that have its first segment and its number of segments.

    There are some hundreds of routes, and Starlette tries one after the other. An ASGI application.
    """

    def __init__(self, routes: Sequence[Route]) -> None:
        self.routes = routes
        self.segments = [route.path.strip("/").split("/") for route in routes]
        self.first = {segments[0] for segments in self.segments}
        self.longest = max(map(len, self.segments))
        self.found: dict[tuple[str, int], PathRouter] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path: str = scope["path"]
        asked = path.removeprefix(scope.get("root_path", "")).strip("/").split("/")
        key = (asked[0] if asked[0] in self.first else "", min(len(asked), self.longest + 1))
        if key not in self.found:
            few = [route for route, path in zip(self.routes, self.segments, strict=True) if _may_match(path, *key)]
            self.found[key] = PathRouter(few, redirect_slashes=False, default=_unknown_operation)
        await self.found[key](scope, receive, send)


def _may_match(path: list[str], first: str, count: int) -> bool:
    right_length = count >= len(path) if path[-1].endswith(":path}") else count == len(path)
    return right_length and (path[0].startswith("{") or path[0] == first)


def operation_name(scope: Scope) -> str:
    """Method and path relative to the base path, for messages."""
    path: str = scope["path"]
    for base in (*BASE_PATHS, *API_NODE_PATHS):
        path = path.removeprefix(base)
    return f"{scope['method']} {path or '/'}"


class Gate:
    """Lets a request in when it was meant for this node and carries its key; turns errors into DSS error documents."""

    def __init__(self, node: Node, areas: Sequence[Area]) -> None:
        self.node = node
        # The area whose base is the root comes last: its routes are few, and named in full.
        self.areas = sorted(areas, key=lambda area: area.bases == ROOT)
        mounts: list[BaseRoute] = []
        for area in self.areas:
            routes = path_routes(node, area.routers)
            if area.bases == ROOT:
                mounts += routes
                continue
            api = PathIndex(routes)
            mounts += [Mount(base, app=api) for base in area.bases]
        self.paths = PathRouter(mounts, redirect_slashes=False, default=self._outside_the_api)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        answer = AnswerWatch(send, self.node.dss_version)
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
        area = next((area for area in self.areas if area.holds(scope["path"])), None)
        if not (area.admits if area else _has_key_of_node)(self.node, headers):
            raise unauthorized(f"The API key is missing, or it is not a key of node {self.node.id}")
        scope["dku.user"] = "admin"

    async def _outside_the_api(self, scope: Scope, _receive: Receive, _send: Send) -> None:
        bases = " and ".join(base for area in self.areas for base in area.bases if base not in (*ROOT, CONTROL_PATH))
        raise not_found(f"{scope['path']} is not served; the public API is under {bases}")


async def _unknown_operation(scope: Scope, _receive: Receive, _send: Send) -> None:
    raise not_supported(operation_name(scope))


class AnswerWatch:
    """Notes whether an answer has begun, and adds the headers that DSS sends with every one."""

    def __init__(self, send: Send, dss_version: str) -> None:
        self._send = send
        self._version = dss_version.encode()
        self.started = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            version = (b"dss-version", self._version)
            message["headers"] = [*message.get("headers", []), version, (b"dss-api-version", b"1")]
        await self._send(message)
