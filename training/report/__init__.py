"""Report: what people read of a model.

`plots` draws figures as PNG, the same bytes for the same figures; `readme` writes a card out in
Markdown.
"""
