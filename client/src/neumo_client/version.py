"""The version: the service's, with which it is released."""

VERSION = "0.2.0"
