"""A request's scope that is watched: routing says what it found there, and nowhere else."""

from typing import Any, Protocol

from .types import Scope


class Watcher(Protocol):
    """Who is told that routing found an endpoint, just before the scope says so."""

    def routed(self, scope: Scope, found: dict[str, Any]) -> None: ...


class WatchedScope(dict[str, Any]):
    """A scope that tells its watcher when routing writes an ``endpoint`` into it.

    Every change is made in the server's own scope too, where those outside the middleware look:
    exception handlers find ``state`` there, access logs the route.
    """

    __slots__ = ("_outer", "_watcher")

    def __init__(self, outer: Scope, watcher: Watcher) -> None:
        super().__init__(outer)
        self._outer = outer
        self._watcher: Watcher | None = watcher

    def release(self) -> None:
        """Tell nobody any more. Each would else keep the other alive until garbage is collected."""
        self._watcher = None

    def __setitem__(self, key: str, value: Any) -> None:
        super().__setitem__(key, value)
        self._outer[key] = value

    def __delitem__(self, key: str) -> None:
        super().__delitem__(key)
        self._outer.pop(key, None)

    def __ior__(self, other: Any) -> "WatchedScope":  # type: ignore[misc, override]
        self.update(other)
        return self

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Routing's way of saying what it found; in Starlette and FastAPI alike."""
        changes: dict[str, Any] = dict(*args, **kwargs)
        if "endpoint" in changes and self._watcher is not None:
            self._watcher.routed(self, changes)
        super().update(changes)
        self._outer.update(changes)

    def setdefault(self, key: str, default: Any = None) -> Any:
        """Return the value of *key*, which is *default* from now on if it had none."""
        if key not in self:
            self[key] = default
        return self[key]

    def pop(self, key: str, *default: Any) -> Any:
        """Remove *key* and return its value."""
        self._outer.pop(key, None)
        return super().pop(key, *default)
