"""Faults on demand in front of any port: before the work is done, or after it, when only the answer is lost."""

from collections import defaultdict, deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

P = TypeVar("P")
Hook = Callable[[], Awaitable[None]]


@dataclass(frozen=True)
class _Fault:
    error: BaseException | None
    hook: Hook | None
    done: bool


class Faulty(Generic[P]):
    """A port whose next calls of a method go wrong as asked; every call is counted."""

    def __init__(self, target: P) -> None:
        self.target = target
        self.calls: dict[str, int] = defaultdict(int)
        self.fired = 0
        self._faults: dict[str, deque[_Fault]] = defaultdict(deque)

    def fail(self, method: str, error: BaseException, *, times: int = 1, done: bool = False) -> None:
        """The next `times` calls raise; with `done` the work is carried out first, and only its answer is lost."""
        self._faults[method].extend([_Fault(error, None, done)] * times)

    def first(self, method: str, hook: Hook) -> None:
        """Run the hook right before the next call of the method: something else happens in that very moment."""
        self._faults[method].append(_Fault(None, hook, False))

    @property
    def port(self) -> P:
        """The port as the engine sees it."""
        return self  # type: ignore[return-value]

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.target, name)

        async def call(*args: Any, **kwargs: Any) -> Any:
            self.calls[name] += 1
            fault = self._faults[name].popleft() if self._faults[name] else None
            if fault is None:
                return await method(*args, **kwargs)
            self.fired += 1
            if fault.hook is not None:
                await fault.hook()
            if fault.error is None or fault.done:
                result = await method(*args, **kwargs)
            if fault.error is not None:
                raise fault.error
            return result

        return call
