"""Neumo's serving half: a chest X-ray comes in over HTTP, a Reading goes out.

The way of an image, module by module:
``imaging`` (decode, resize) -> ``inference`` (one ONNX session) -> ``reading`` (judge)
-> ``schemas`` (the Reading as JSON). ``bundle`` is the contract with ``training``.
"""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("neumo")
except PackageNotFoundError:  # a checkout that was never installed
    __version__ = "0+unknown"
