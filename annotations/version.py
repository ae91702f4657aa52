"""The version of ppnlab; the one place that says it, and hatchling reads it here when a wheel is built."""

VERSION = "0.1.0"
"""As in the installed package's metadata, which takes 30 ms to ask: more than converting a small folder."""
