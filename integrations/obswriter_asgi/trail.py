"""Follows a request through mounts and routers to its route, without matching it again."""

from typing import Any

from .types import Scope


class Trail:
    """The steps routing took: any number of mounts, then the route that answers.

    A step is known in full when the next one is taken, or at the end: FastAPI says only then
    below which prefix a router was included.
    """

    __slots__ = ("_endpoint", "_lost", "_prefix", "_route", "_routes")

    def __init__(self, scope: Scope) -> None:
        self._endpoint: Any = None
        self._route: Any = None
        self._routes: Any = getattr(scope.get("router"), "routes", ())
        self._prefix = ""
        self._lost = False

    def follow(self, scope: Scope, found: dict[str, Any]) -> bool:
        """Take a step to what routing *found*; return whether its endpoint is called now."""
        if self._endpoint is not None:
            self._enter_mount(scope)
        self._endpoint = endpoint = found["endpoint"]
        self._route = route = self._find_route(scope, found)
        methods = getattr(route, "methods", None)
        if methods and scope["method"] not in methods:
            return False  # the path is right and the method is not: a 405
        return not self._leads_on(route, endpoint)

    def find_template(self, scope: Scope) -> str | None:
        """Return the whole template of the route, or ``None`` if none matched or it is unknown."""
        route = _find_included(scope, self._endpoint) or self._route
        if self._lost or route is None or self._leads_on(route, self._endpoint):
            return None
        own = getattr(route, "path_format", None)
        return f"{self._prefix}{own}" if isinstance(own, str) else None

    def _enter_mount(self, scope: Scope) -> None:
        route = _find_included(scope, self._endpoint) or self._route
        self._lost = self._lost or route is None
        self._prefix += getattr(route, "path", "")
        self._routes = getattr(route, "routes", ())

    def _find_route(self, scope: Scope, found: dict[str, Any]) -> Any:
        """FastAPI says it with the endpoint, late Starlettes just before; else it is looked up."""
        endpoint = found["endpoint"]
        route = found.get("route") or scope.get("route")
        if _leads_to(route, endpoint):
            return route
        candidates = [route for route in self._routes if _leads_to(route, endpoint)]
        if len(candidates) > 1:  # one function under several paths
            candidates = [route for route in candidates if route.matches(scope)[1]]
        return candidates[0] if candidates else None

    @staticmethod
    def _leads_on(route: Any, endpoint: Any) -> bool:
        """A mount of routes is no end: whether one of them matches is yet to be seen."""
        return bool(getattr(route, "routes", None) or getattr(endpoint, "routes", None))


def _leads_to(route: Any, endpoint: Any) -> bool:
    return getattr(route, "endpoint", None) is endpoint or getattr(route, "app", None) is endpoint


def _find_included(scope: Scope, endpoint: Any) -> Any:
    """A FastAPI that includes routers by reference keeps the prefixed route apart in the scope."""
    own = scope.get("fastapi")
    context = own.get("effective_route_context") if isinstance(own, dict) else None
    route = getattr(context, "starlette_route", None) or context
    return route if route is not None and _leads_to(route, endpoint) else None
