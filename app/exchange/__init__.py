"""Hospital partners: films that arrive from an archive, results that go back into it."""
