"""The driver's values of one GPU or MIG device, in the units of the model."""

from __future__ import annotations

from gpuwatch_tray.model import ClockLimit
from gpuwatch_tray.sources.nvml.api import Calls, Handle
from gpuwatch_tray.sources.nvml.codes import Code, DriverError

_ALL_LIMITS = sum(ClockLimit)
_MAX_THRESHOLD = 150  # degrees C that a threshold can be


class DeviceValues(Calls):
    """The values of a GPU or MIG device, a call each. Every method raises DriverError where there is none."""

    def uuid(self, handle: Handle) -> str:
        """Read the UUID, which lasts."""
        return self._text("nvmlDeviceGetUUID", handle.raw)

    def name(self, handle: Handle) -> str:
        """Read the product's name, of a MIG device with its profile."""
        return self._text("nvmlDeviceGetName", handle.raw)

    def index(self, handle: Handle) -> int:
        """Read the index among the GPUs."""
        return int(self._call("nvmlDeviceGetIndex", handle.raw))

    def pci(self, handle: Handle) -> str:
        """Read the address on the PCI bus as the kernel writes it: 0000:01:00.0."""
        pci = self._call("nvmlDeviceGetPciInfo", handle.raw)
        return f"{pci.domain:04x}:{pci.bus:02x}:{pci.device:02x}.0"

    def memory(self, handle: Handle) -> tuple[int, int]:
        """Read memory used and in all, in bytes. The older call counts what is reserved as used."""
        memory = self._newest(
            "memory",
            handle,
            lambda: self._call("nvmlDeviceGetMemoryInfo", handle.raw, "nvmlMemory_v2"),
            lambda: self._call("nvmlDeviceGetMemoryInfo", handle.raw),
        )
        if not memory.total:  # GPUs that share the machine's memory
            raise DriverError(Code.NOT_SUPPORTED, "Not Supported")
        return int(memory.used), int(memory.total)

    def utilisation(self, handle: Handle) -> int:
        """Read the share of the last sample period in which a kernel ran, in %."""
        return int(self._call("nvmlDeviceGetUtilizationRates", handle.raw).gpu)

    def temperature(self, handle: Handle) -> int:
        """Read the temperature of the chip, in degrees C. The older call goes away with CUDA 14."""
        sensor = "NVML_TEMPERATURE_GPU"
        degrees: int = self._newest(
            "temperature",
            handle,
            lambda: self._call("nvmlDeviceGetTemperatureV", handle.raw, sensor),
            lambda: self._call("nvmlDeviceGetTemperature", handle.raw, sensor),
        )
        return degrees if degrees < 2**31 else degrees - 2**32  # the older one has no sign

    def slowdown_at(self, handle: Handle) -> int:
        """Read the temperature, in degrees C, from which the hardware slows itself down."""
        threshold = "NVML_TEMPERATURE_THRESHOLD_SLOWDOWN"
        degrees = int(self._call("nvmlDeviceGetTemperatureThreshold", handle.raw, threshold))
        if not 0 < degrees <= _MAX_THRESHOLD:  # no temperature: every GPU, or none, would be too hot
            raise DriverError(Code.NOT_SUPPORTED, "Not Supported")
        return degrees

    def power(self, handle: Handle) -> float:
        """Read the power drawn now, in W (NVML: mW)."""
        return float(self._call("nvmlDeviceGetPowerUsage", handle.raw)) / 1000

    def energy(self, handle: Handle) -> float:
        """Read the energy drawn since the driver was loaded, in J (NVML: mJ)."""
        return float(self._call("nvmlDeviceGetTotalEnergyConsumption", handle.raw)) / 1000

    def power_limit(self, handle: Handle) -> float:
        """Read the power limit in force, in W (NVML: mW)."""
        return float(self._call("nvmlDeviceGetEnforcedPowerLimit", handle.raw)) / 1000

    def fan(self, handle: Handle) -> int:
        """Read the intended fan speed, in % of the full one."""
        return int(self._call("nvmlDeviceGetFanSpeed", handle.raw))

    def limited_by(self, handle: Handle) -> ClockLimit:
        """Read what keeps the clocks down. Until driver 535 the call had another name."""
        bits = self._newest(
            "clocks",
            handle,
            lambda: self._call("nvmlDeviceGetCurrentClocksEventReasons", handle.raw),
            lambda: self._call("nvmlDeviceGetCurrentClocksThrottleReasons", handle.raw),
        )
        return ClockLimit(bits & _ALL_LIMITS)

    def ecc_corrected(self, handle: Handle) -> int:
        """Read how many memory errors were corrected since the driver was loaded."""
        return self._ecc_errors(handle, "NVML_MEMORY_ERROR_TYPE_CORRECTED")

    def ecc_uncorrected(self, handle: Handle) -> int:
        """Read how many memory errors could not be corrected since the driver was loaded."""
        return self._ecc_errors(handle, "NVML_MEMORY_ERROR_TYPE_UNCORRECTED")

    def _ecc_errors(self, handle: Handle, kind: str) -> int:
        return int(self._call("nvmlDeviceGetTotalEccErrors", handle.raw, kind, "NVML_VOLATILE_ECC"))

    def rows(self, handle: Handle) -> tuple[bool, bool]:
        """Read whether memory rows wait to be remapped at the next reset, and whether that failed."""
        _, _, pending, failed = self._call("nvmlDeviceGetRemappedRows", handle.raw)
        return bool(pending), bool(failed)

    def pcie_width(self, handle: Handle) -> int:
        """Read the PCIe lanes in use now."""
        return int(self._call("nvmlDeviceGetCurrPcieLinkWidth", handle.raw))

    def pcie_width_most(self, handle: Handle) -> int:
        """Read the PCIe lanes that the GPU and its slot can use: 8 for a GPU of 16 in a slot of 8."""
        return int(self._call("nvmlDeviceGetMaxPcieLinkWidth", handle.raw))

    def mig_mode(self, handle: Handle) -> bool:
        """Read whether the GPU is divided into MIG devices, or will be: whole, it then computes nothing."""
        return bool(self._call("nvmlDeviceGetMigMode", handle.raw)[0])

    def mig_slots(self, handle: Handle) -> int:
        """Read how many MIG devices a GPU in MIG mode can have."""
        return int(self._call("nvmlDeviceGetMaxMigDeviceCount", handle.raw))
