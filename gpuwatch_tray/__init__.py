"""A tray watchdog for workstations with NVIDIA GPUs."""

__version__ = "0.1.0"
