"""The nightly pipeline, one module a step."""
