"""The type variables of the public face. Left open, they are Any: `Job` is `Job[Any, Any]`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ParamSpec

if TYPE_CHECKING:
    # Type checkers know typing_extensions without its being installed; the standard library has defaults from 3.13 on.
    from typing_extensions import TypeVar

    K = TypeVar("K", default=Any)
    V = TypeVar("V", default=Any)
    K2 = TypeVar("K2", default=Any)
    V2 = TypeVar("V2", default=Any)
    K_co = TypeVar("K_co", covariant=True, default=Any)
    V_co = TypeVar("V_co", covariant=True, default=Any)
    R_co = TypeVar("R_co", covariant=True, default=Any)
    V_contra = TypeVar("V_contra", contravariant=True, default=Any)
else:
    from typing import TypeVar

    K, V, K2, V2 = TypeVar("K"), TypeVar("V"), TypeVar("K2"), TypeVar("V2")
    K_co, V_co = TypeVar("K_co", covariant=True), TypeVar("V_co", covariant=True)
    R_co = TypeVar("R_co", covariant=True)
    V_contra = TypeVar("V_contra", contravariant=True)

P = ParamSpec("P")
