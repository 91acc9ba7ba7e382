/* The MIG devices of a GPU. */
#include "driver.h"

API nvmlDeviceGetMigMode(Handle handle, unsigned *now, unsigned *pending)
{
    const Gpu *gpu;
    int code = begin_physical("mig_mode", "mig_mode", handle, &gpu, NULL);
    if (code == SUCCESS && gpu->mig < 0)
        code = NOT_SUPPORTED;
    if (code == SUCCESS)
        *now = *pending = (unsigned)gpu->mig;
    return end(code);
}

API nvmlDeviceGetMaxMigDeviceCount(Handle handle, unsigned *count)
{
    const Gpu *gpu;
    int code = begin_physical("mig_count", "mig_count", handle, &gpu, NULL);
    if (code == SUCCESS)
        *count = gpu->mig == 1 ? MAX_SLOTS : 0;
    return end(code);
}

API nvmlDeviceGetMigDeviceHandleByIndex(Handle handle, unsigned index, Handle *mig)
{
    const Gpu *gpu;
    const Scenario *scenario;
    int code = begin_physical("mig_handle", "mig_handle", handle, &gpu, &scenario);
    if (code != SUCCESS)
        return end(code);
    if (gpu->mig != 1)
        return end(NOT_SUPPORTED);
    if (index >= MAX_SLOTS)
        return end(INVALID_ARGUMENT);
    const Gpu *found = mig_of(scenario, gpu, index);
    if (found == NULL)
        return end(NOT_FOUND);
    code = (int)rule_for(&found->errors, "mig_handle");
    return end(code ? code : handle_for(found, mig));
}
