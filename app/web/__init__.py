"""The page for people, as files that a browser runs as they are: HTML, CSS, JavaScript modules."""
