"""The pages as Airflow mounts them: every component imports this file, and only the api-server serves them."""

from typing import Any

import anyio.to_thread


class LazyApp:
    """An ASGI application that is imported when the first request comes."""

    def __init__(self) -> None:
        self._app: Any = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if self._app is None:
            self._app = await anyio.to_thread.run_sync(_load)
        await self._app(scope, receive, send)


def _load() -> Any:
    from tounum_airflow.web.app import create_app

    return create_app()
