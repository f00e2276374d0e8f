"""``GET /docs``: the OpenAPI page, without requests to any other host."""

from typing import Final

from fastapi import APIRouter, Request
from fastapi.openapi.docs import get_swagger_ui_html
from starlette.responses import HTMLResponse

from app.http.body.upload import service_of

STATIC_PATH: Final = "/static-offline-docs"
"""Where the page's scripts and styles lie."""

router = APIRouter(include_in_schema=False)


@router.head("/docs")
@router.get("/docs")
async def docs(request: Request) -> HTMLResponse:
    """Answer with Swagger UI, every address of it below the service's own root path."""
    root_path = service_of(request).settings.root_path
    return get_swagger_ui_html(
        openapi_url=f"{root_path}{request.app.openapi_url}",
        title=request.app.title,
        swagger_js_url=f"{root_path}{STATIC_PATH}/swagger-ui-bundle.js",
        swagger_css_url=f"{root_path}{STATIC_PATH}/swagger-ui.css",
        swagger_favicon_url=f"{root_path}{STATIC_PATH}/favicon.png",
    )
