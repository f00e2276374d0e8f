"""The body of a request: a form is parsed, and the images that it holds are handed out."""
