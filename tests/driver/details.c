/* What seldom or never changes of a GPU, and what limits its clocks. An OLD_DRIVER has only the reasons' old name. */
#include "driver.h"

#include <stdio.h>

typedef struct {
    char legacy_id[16];
    unsigned domain, bus, device, device_id, subsystem_id;
    char id[32];
} PciInfo;

_Static_assert(sizeof(PciInfo) == 68, "nvmlPciInfo_t");

API nvmlDeviceGetPciInfo_v3(Handle handle, PciInfo *pci)
{
    const Gpu *gpu;
    int code = begin_physical("pci", "pci", handle, &gpu, NULL);
    if (code == SUCCESS) {
        *pci = (PciInfo){.domain = gpu->domain, .bus = gpu->bus, .device = gpu->device, .device_id = 0x268410de};
        snprintf(pci->legacy_id, sizeof pci->legacy_id, "%04X:%02X:%02X.0", gpu->domain & 0xffff, gpu->bus & 0xff,
                 gpu->device & 0xff);
        snprintf(pci->id, sizeof pci->id, "%08X:%02X:%02X.0", gpu->domain, gpu->bus, gpu->device);
    }
    return end(code);
}

/* Thresholds: shutdown 0, slowdown 1. */
API nvmlDeviceGetTemperatureThreshold(Handle handle, unsigned threshold, unsigned *degrees)
{
    const Gpu *gpu;
    int code = begin_physical("slowdown", "slowdown", handle, &gpu, NULL);
    if (code == SUCCESS && threshold > 1)
        code = NOT_SUPPORTED;
    if (code == SUCCESS)
        *degrees = threshold == 1 ? gpu->slowdown : gpu->slowdown + 5;
    return end(code);
}

static int clocks(const char *call, Handle handle, unsigned long long *reasons)
{
    const Gpu *gpu;
    int code = begin_physical(call, "clocks", handle, &gpu, NULL);
    if (code == SUCCESS)
        *reasons = gpu->clocks;
    return end(code);
}

API nvmlDeviceGetCurrentClocksThrottleReasons(Handle handle, unsigned long long *reasons)
{
    return clocks("clocks_throttle", handle, reasons);
}

#ifndef OLD_DRIVER
API nvmlDeviceGetCurrentClocksEventReasons(Handle handle, unsigned long long *reasons)
{
    return clocks("clocks_event", handle, reasons);
}
#endif

/* In mJ. */
API nvmlDeviceGetTotalEnergyConsumption(Handle handle, unsigned long long *energy)
{
    const Gpu *gpu;
    int code = begin_physical("energy", "energy", handle, &gpu, NULL);
    if (code == SUCCESS)
        *energy = gpu->energy;
    return end(code);
}

/* Types: corrected 0, uncorrected 1. Counters: since the driver was loaded 0, for ever 1. */
API nvmlDeviceGetTotalEccErrors(Handle handle, unsigned type, unsigned counter, unsigned long long *count)
{
    const Gpu *gpu;
    int code = begin_physical(type == 0 ? "ecc_corrected" : "ecc_uncorrected", "ecc", handle, &gpu, NULL);
    if (code == SUCCESS && (type > 1 || counter > 1))
        code = INVALID_ARGUMENT;
    if (code == SUCCESS)
        *count = (type == 0 ? gpu->corrected : gpu->uncorrected) + 1000 * counter;
    return end(code);
}

API nvmlDeviceGetRemappedRows(Handle handle, unsigned *corrected, unsigned *uncorrected, unsigned *pending,
                              unsigned *failed)
{
    const Gpu *gpu;
    int code = begin_physical("rows", "rows", handle, &gpu, NULL);
    if (code == SUCCESS) {
        *corrected = *uncorrected = 0;
        *pending = gpu->rows_pending;
        *failed = gpu->rows_failed;
    }
    return end(code);
}

typedef struct {
    unsigned field, scope;
    long long timestamp, latency;
    unsigned type;
    int code;
    union {
        double real;
        unsigned number;
        unsigned long long large;
    } value;
} FieldValue;

_Static_assert(sizeof(FieldValue) == 40, "nvmlFieldValue_t");

/* Of the fields only the recovery action, 230. */
API nvmlDeviceGetFieldValues(Handle handle, int count, FieldValue *values)
{
    const Gpu *gpu;
    int code = begin_physical("fields", "fields", handle, &gpu, NULL);
    for (int i = 0; code == SUCCESS && i < count; i++) {
        int one = values[i].field == 230 ? (int)rule_for(&gpu->errors, "recovery") : NOT_SUPPORTED;
        values[i].code = one;
        values[i].type = 1;
        if (one == SUCCESS)
            values[i].value.number = gpu->recovery;
    }
    return end(code);
}

static int width(const char *call, Handle handle, unsigned *lanes, int most)
{
    const Gpu *gpu;
    int code = begin_physical(call, call, handle, &gpu, NULL);
    if (code == SUCCESS)
        *lanes = most ? gpu->width_most : gpu->width;
    return end(code);
}

API nvmlDeviceGetCurrPcieLinkWidth(Handle handle, unsigned *lanes)
{
    return width("width", handle, lanes, 0);
}

/* Of the GPU and its slot together: 8 for a GPU of 16 lanes in a slot of 8. */
API nvmlDeviceGetMaxPcieLinkWidth(Handle handle, unsigned *lanes)
{
    return width("width_most", handle, lanes, 1);
}
