"""HTTP: from an ASGI scope to `app.service` and back. It knows no uvicorn.

`envelope` surrounds every request, `cors` turns other origins' pages away, `gate` lets in, `form`
and `upload` read what it holds, `routes` hold a module a call, `openapi` is what `/docs` tells.
"""
