"""Report: what people read of a model.

`plots` and `audit_plots` draw figures in one style (`plot_style`), the same bytes for the same
figures; `readme` writes a card out in Markdown.
"""
