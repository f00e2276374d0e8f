"""Report: what people read of a model: plots as PNG, a card written out in Markdown."""
