from __future__ import annotations

from tests.connectors.conftest import disk

__all__ = ["disk"]
