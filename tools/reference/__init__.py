"""The pages of docs/reference, written from the code: one module a page, each with `render_page`.

``python -m tools.reference`` writes them all; a test holds them to the code.
"""
