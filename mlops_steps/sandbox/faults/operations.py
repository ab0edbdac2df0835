"""Operations by name, and patterns of requests."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

METHODS = ("GET", "POST", "PUT", "DELETE", "HEAD")
#: How the deployers call themselves in their requests to the nodes of their infrastructures.
DEPLOYER_AGENT = "DSS Project Deployer"
API_DEPLOYER_AGENT = "DSS API Deployer"
# Outside of the public API.
CONTROL_PATH = "/sandbox"
BASE_PATHS = ("/dip/publicapi", "/public/api")
#: Of an API node: calls of endpoints, and the administration.
API_NODE_PATHS = ("/public/api", "/admin/api")

_DEPLOYMENT = "/project-deployer/deployments/*"
_SCENARIO = "/projects/*/scenarios/*"
_PACKAGE = "/projects/*/apiservices/*/packages/*"
_API_DEPLOYMENT = "/api-deployer/deployments/*"
_API_SERVICE = "/services/*"

#: Name → method and path, where ``*`` stands for one part of a path.
OPERATIONS = {
    "instance info": "GET /instance-info",
    "list projects": "GET /projects",
    "git log": "GET /projects/*/git/actions/log",
    "list exported bundles": "GET /projects/*/bundles/exported",
    "export bundle": "PUT /projects/*/bundles/exported/*",
    "publish bundle": "POST /projects/*/bundles/*/publish",
    "published bundles": "GET /project-deployer/projects/*",
    "upload bundle": "POST /project-deployer/projects/bundles",
    "download bundle": "GET /project-deployer/projects/*/bundles/*",
    "list deployments": "GET /project-deployer/deployments",
    "create deployment": "POST /project-deployer/deployments",
    "deployment": f"GET {_DEPLOYMENT}",
    "health": f"GET {_DEPLOYMENT}/status",
    "settings": f"GET {_DEPLOYMENT}/settings",
    "save settings": f"PUT {_DEPLOYMENT}/settings",
    "start update": f"POST {_DEPLOYMENT}/actions/update",
    "list updates": f"GET {_DEPLOYMENT}/update",
    "update": f"GET {_DEPLOYMENT}/update/*",
    "run test scenarios": f"POST {_DEPLOYMENT}/run-test-scenarios",
    "testing status": f"GET {_DEPLOYMENT}/testing-status",
    "future": "GET /futures/*",
    "abort future": "DELETE /futures/*",
    "import bundle": "POST /projects/*/bundles/imported/actions/importFromStream",
    "preload bundle": "POST /projects/*/bundles/imported/*/actions/preload",
    "activate bundle": "POST /projects/*/bundles/imported/*/actions/activate",
    "list scenarios": "GET /projects/*/scenarios",
    "scenario": f"GET {_SCENARIO}/light",
    "run scenario": f"POST {_SCENARIO}/run",
    "abort scenario": f"POST {_SCENARIO}/abort",
    "trigger": "GET /projects/*/scenarios/trigger/*/*",
    "run of trigger": f"GET {_SCENARIO}/get-run-for-trigger",
    "last runs": f"GET {_SCENARIO}/get-last-runs",
    "run": f"GET {_SCENARIO}/*",
    "run log": f"GET {_SCENARIO}/*/log",
    "run report": f"GET {_SCENARIO}/*/scenario-run-report",
    "api services": "GET /projects/*/apiservices",
    "list packages": "GET /projects/*/apiservices/*/packages",
    "create package": f"POST {_PACKAGE}",
    "download package": f"GET {_PACKAGE}/archive",
    "publish package": f"POST {_PACKAGE}/publish",
    "published service": "GET /api-deployer/services/*",
    "create published service": "POST /api-deployer/services",
    "import version": "POST /api-deployer/services/*/versions",
    "download version": "GET /api-deployer/services/*/versions/*",
    "api infrastructure": "GET /api-deployer/infras/*/settings",
    "list api deployments": "GET /api-deployer/deployments",
    "create api deployment": "POST /api-deployer/deployments",
    "api deployment": f"GET {_API_DEPLOYMENT}",
    "api health": f"GET {_API_DEPLOYMENT}/status",
    "api settings": f"GET {_API_DEPLOYMENT}/settings",
    "save api settings": f"PUT {_API_DEPLOYMENT}/settings",
    "start api update": f"POST {_API_DEPLOYMENT}/actions/update",
    "list api updates": f"GET {_API_DEPLOYMENT}/update",
    "api update": f"GET {_API_DEPLOYMENT}/update/*",
    "run test queries": f"POST {_API_DEPLOYMENT}/actions/run-test-queries",
    "predict": "POST /v1/*/*/predict",
    "predict multi": "POST /v1/*/*/predict-multi",
    "run function": "POST /v1/*/*/run",
    "list generations": f"GET {_API_SERVICE}/generations",
    "import generation": f"POST {_API_SERVICE}/generations/actions/importFromArchive",
    "preload generation": f"POST {_API_SERVICE}/generations/*/preload",
    "set mapping": f"POST {_API_SERVICE}/actions/setMapping",
}


def relative(path: str) -> str:
    """The path without the base path of the public API, or of an API node, and without a trailing slash."""
    for base in (*BASE_PATHS, API_NODE_PATHS[1]):
        if path.startswith(base + "/"):
            path = path.removeprefix(base)
    return path.rstrip("/") or "/"


def is_operation(text: str) -> bool:
    """Whether ``text`` is a name of :data:`OPERATIONS`, or a method (or ``*``) and a path."""
    if text in OPERATIONS:
        return True
    method, _, path = text.partition(" ")
    return method in (*METHODS, "*") and path.startswith("/") and " " not in path


class Templates:
    """The paths that a node serves, to tell which operation a request is."""

    def __init__(self, routes: Iterable[tuple[str, str]]) -> None:
        """``routes`` are pairs of method and path with ``{parameters}``, the more specific first."""
        self._routes = [(method, re.sub(r"\{[^}]*\}", "*", path)) for method, path in routes]
        self._known = {f"{method} {template}" for method, template in self._routes}

    def matches(self, operation: str | None, request: str, method: str, path: str) -> bool:
        """Whether a request is the operation; ``None`` stands for all.

        ``request`` is what :meth:`of` says of it. An operation is a name of :data:`OPERATIONS`, or a method and a path
        as :meth:`of` gives it, or any other pattern, in which ``*`` stands for one part of the path and ``**`` for
        any number of them.
        """
        if operation is None:
            return True
        operation = OPERATIONS.get(operation, operation)
        if operation in self._known:
            return request == operation
        wanted, _, pattern = operation.partition(" ")
        return wanted in ("*", method) and _glob(pattern).fullmatch(relative(path)) is not None

    def of(self, method: str, path: str) -> str:
        """The request with ``*`` for the parameters of its path, for example ``GET /futures/*``."""
        path = relative(path)
        for known, template in self._routes:
            if known == method and _glob(template).fullmatch(path):
                return f"{method} {template}"
        return f"{method} {path}"


@lru_cache(maxsize=4096)
def _glob(pattern: str) -> re.Pattern[str]:
    parts = re.split(r"(\*\*|\*)", pattern.rstrip("/") or "/")
    return re.compile("".join({"*": "[^/]*", "**": ".*"}.get(part) or re.escape(part) for part in parts))
