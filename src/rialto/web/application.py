"""What stands where: the routes of the web side.

| path | what |
|---|---|
| `/health` | whether this instance runs; for load balancers and people |
| `/files/TOKEN/NAME` | a file behind a link (`rialto.web.files`) |
"""

from __future__ import annotations

from typing import Any

from litestar import Litestar, Request, Response, get
from litestar.exceptions import HTTPException

from rialto.core.files import Files
from rialto.web import files as file_routes
from rialto.web.problems import MEDIA_TYPE, problem


@get("/health", sync_to_thread=False)
def health() -> dict[str, str]:
    """It runs, or nobody would answer."""
    return {"status": "ok"}


def application(files: Files) -> Litestar:
    """The ASGI application over an instance's parts."""
    return Litestar(
        route_handlers=[health, file_routes.routes(files)],
        exception_handlers={Exception: _wrong},
        openapi_config=None,
        logging_config=None,
        request_max_body_size=64 * 1024,
    )


def _wrong(_request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    status = error.status_code if isinstance(error, HTTPException) else 500
    # The words of a fault of ours are for the log, where the framework's caller puts them.
    detail = error.detail if isinstance(error, HTTPException) and status < 500 else ""
    return Response(problem(status, detail), status_code=status, media_type=MEDIA_TYPE)
