"""Snapshots from NVIDIA's driver, through its management library NVML."""

from __future__ import annotations

from gpuwatch_tray.sources.nvml.source import NvmlSource

__all__ = ["NvmlSource"]
