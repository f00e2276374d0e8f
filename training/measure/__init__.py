"""Measuring: graphs run as they are served, on images as they are, changed and quantised."""
