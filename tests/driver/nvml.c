/*
 * A libnvidia-ml.so.1 that plays a scenario, so that tests drive the real Python binding and its structs.
 * Names, structs and numbers are nvml.h's.
 */
#include "driver.h"

#include <stdio.h>
#include <string.h>

typedef struct {
    unsigned long long total, free, used;
} Memory;

typedef struct {
    unsigned version;
    unsigned long long total, reserved, free, used;
} Memory2;

typedef struct {
    unsigned gpu, memory;
} Utilisation;

typedef struct {
    unsigned version, sensor;
    int temperature;
} Temperature1;

_Static_assert(sizeof(Memory2) == 0x28, "nvmlMemory_v2_t");
_Static_assert(sizeof(Temperature1) == 0x0c, "nvmlTemperature_v1_t");

static int copy(const char *text, char *to, unsigned length)
{
    if (to == NULL)
        return INVALID_ARGUMENT;
    if (strlen(text) >= length)
        return INSUFFICIENT_SIZE;
    strcpy(to, text);
    return SUCCESS;
}

API nvmlInitWithFlags(unsigned flags)
{
    const Scenario *scenario;
    (void)flags;
    int code = begin("init", &scenario);
    if (code == SUCCESS)
        add_reference(scenario);
    return end(code);
}

API nvmlInit_v2(void)
{
    return nvmlInitWithFlags(0);
}

API nvmlShutdown(void)
{
    const Scenario *scenario;
    int code = begin("shutdown", &scenario);
    if (code == SUCCESS)
        drop_reference();
    return end(code);
}

API nvmlSystemGetDriverVersion(char *version, unsigned length)
{
    const Scenario *scenario;
    int code = begin("driver_version", &scenario);
    return end(code ? code : copy(scenario->driver, version, length));
}

/* The version of the driver that the library came with, after that of CUDA. */
API nvmlSystemGetNVMLVersion(char *version, unsigned length)
{
    const Scenario *scenario;
    char text[TEXT + 3] = "12.";
    int code = begin("nvml_version", &scenario);
    if (code == SUCCESS)
        strcat(text, scenario->driver);
    return end(code ? code : copy(text, version, length));
}

static int index_of(const char *uuid)
{
    for (int i = 0; listed_at((size_t)i) != NULL; i++)
        if (strcmp(listed_at((size_t)i), uuid) == 0)
            return i;
    return -1;
}

API nvmlDeviceGetIndex(Handle handle, unsigned *index)
{
    const Gpu *gpu;
    int code = begin_physical("index", "index", handle, &gpu, NULL);
    if (code == SUCCESS)
        *index = (unsigned)index_of(gpu->uuid);
    return end(code);
}

API nvmlDeviceGetCount_v2(unsigned *count)
{
    const Scenario *scenario;
    int code = begin("count", &scenario);
    for (*count = 0; code == SUCCESS && listed_at(*count) != NULL;)
        ++*count;
    return end(code);
}

API nvmlDeviceGetHandleByIndex_v2(unsigned index, Handle *handle)
{
    const Scenario *scenario;
    int code = begin("handle_by_index", &scenario);
    if (code != SUCCESS)
        return end(code);
    if (listed_at(index) == NULL)
        return end(INVALID_ARGUMENT);
    const Gpu *gpu = gpu_of(scenario, listed_at(index));
    code = gpu == NULL || gpu->lost ? GPU_IS_LOST : (int)rule_for(&gpu->errors, "handle_by_index");
    return end(code ? code : handle_for(gpu, handle));
}

API nvmlDeviceGetHandleByPciBusId_v2(const char *id, Handle *handle)
{
    const Scenario *scenario;
    unsigned domain, bus, device;
    int code = begin("handle_by_pci", &scenario);
    if (code != SUCCESS)
        return end(code);
    if (sscanf(id, "%x:%x:%x.0", &domain, &bus, &device) != 3)
        return end(INVALID_ARGUMENT);
    for (size_t i = 0; listed_at(i) != NULL; i++) {
        const Gpu *gpu = gpu_of(scenario, listed_at(i));
        if (gpu == NULL || gpu->domain != domain || gpu->bus != bus || gpu->device != device)
            continue;
        code = gpu->lost ? GPU_IS_LOST : (int)rule_for(&gpu->errors, "handle_by_pci");
        return end(code ? code : handle_for(gpu, handle));
    }
    return end(NOT_FOUND);
}

API nvmlDeviceGetHandleByUUID(const char *uuid, Handle *handle)
{
    const Scenario *scenario;
    int code = begin("handle_by_uuid", &scenario);
    if (code != SUCCESS)
        return end(code);
    const Gpu *gpu = index_of(uuid) < 0 ? NULL : gpu_of(scenario, uuid);
    if (gpu == NULL)
        return end(NOT_FOUND);
    code = gpu->lost ? GPU_IS_LOST : (int)rule_for(&gpu->errors, "handle_by_uuid");
    return end(code ? code : handle_for(gpu, handle));
}

API nvmlDeviceGetUUID(Handle handle, char *uuid, unsigned length)
{
    const Gpu *gpu;
    int code = begin_gpu("uuid", "uuid", handle, &gpu, NULL);
    return end(code ? code : copy(gpu->uuid, uuid, length));
}

API nvmlDeviceGetName(Handle handle, char *name, unsigned length)
{
    const Gpu *gpu;
    int code = begin_gpu("name", "name", handle, &gpu, NULL);
    return end(code ? code : copy(gpu->name, name, length));
}

/* The first version counts the reserved memory as used. */
API nvmlDeviceGetMemoryInfo(Handle handle, Memory *memory)
{
    const Gpu *gpu;
    int code = begin_gpu("memory_v1", "memory", handle, &gpu, NULL);
    if (code == SUCCESS) {
        unsigned long long used = gpu->used + gpu->reserved;
        *memory = (Memory){gpu->total, gpu->total - used, used};
    }
    return end(code);
}

API nvmlDeviceGetMemoryInfo_v2(Handle handle, Memory2 *memory)
{
    const Gpu *gpu;
    int code = begin_gpu("memory_v2", "memory", handle, &gpu, NULL);
    if (code == SUCCESS && memory->version != 0x02000028)
        code = ARGUMENT_VERSION_MISMATCH;
    if (code == SUCCESS)
        *memory = (Memory2){memory->version, gpu->total, gpu->reserved,
                            gpu->total - gpu->used - gpu->reserved, gpu->used};
    return end(code);
}

API nvmlDeviceGetUtilizationRates(Handle handle, Utilisation *utilisation)
{
    const Gpu *gpu;
    int code = begin_physical("utilisation", "utilisation", handle, &gpu, NULL);
    if (code == SUCCESS && gpu->mig == 1)
        code = NOT_SUPPORTED;
    if (code == SUCCESS)
        *utilisation = (Utilisation){gpu->utilisation, gpu->utilisation / 2};
    return end(code);
}

API nvmlDeviceGetTemperature(Handle handle, unsigned sensor, unsigned *temperature)
{
    const Gpu *gpu;
    int code = begin_physical("temperature_v1", "temperature", handle, &gpu, NULL);
    if (code == SUCCESS && sensor != 0)
        code = INVALID_ARGUMENT;
    if (code == SUCCESS)
        *temperature = (unsigned)gpu->temperature;
    return end(code);
}

API nvmlDeviceGetTemperatureV(Handle handle, Temperature1 *temperature)
{
    const Gpu *gpu;
    int code = begin_physical("temperature_v", "temperature", handle, &gpu, NULL);
    if (code == SUCCESS && temperature->version != 0x0100000C)
        code = ARGUMENT_VERSION_MISMATCH;
    if (code == SUCCESS && temperature->sensor != 0)
        code = INVALID_ARGUMENT;
    if (code == SUCCESS)
        temperature->temperature = gpu->temperature;
    return end(code);
}

#define NUMBER(function, call, field)                                                                        \
    API function(Handle handle, unsigned *value)                                                             \
    {                                                                                                        \
        const Gpu *gpu;                                                                                      \
        int code = begin_physical(call, call, handle, &gpu, NULL);                                           \
        if (code == SUCCESS)                                                                                 \
            *value = gpu->field;                                                                             \
        return end(code);                                                                                    \
    }

NUMBER(nvmlDeviceGetPowerUsage, "power", power)
NUMBER(nvmlDeviceGetEnforcedPowerLimit, "power_limit", power_limit)
NUMBER(nvmlDeviceGetFanSpeed, "fan", fan)

__attribute__((visibility("default"))) const char *nvmlErrorString(int code)
{
    return code == SUCCESS ? "Success" : "An error of the test driver";
}
