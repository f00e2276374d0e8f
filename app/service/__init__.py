"""The service: who may be read now, and how it is counted. Every door comes to it."""
