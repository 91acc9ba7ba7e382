/*
 * The process lists. Built with OLD_DRIVER, as before driver 510, it has none of their third versions. The third
 * versions write records of the width that the scenario says: 24 bytes, 32 in drivers 535.43 to 535.86, 16 in some
 * containers of driver 550.
 */
#include "driver.h"

#include <stdint.h>
#include <string.h>

/* The first `width` bytes of it are a record: of 16 (as in the first version), 24 (the second and third) or 32. */
typedef struct {
    unsigned pid;
    unsigned long long memory;
    unsigned gpu_instance, compute_instance;
    unsigned long long protected_memory;
} ProcessInfo;

_Static_assert(sizeof(ProcessInfo) == 32, "nvmlProcessInfo_t of driver 535.43");
_Static_assert(offsetof(ProcessInfo, protected_memory) == 24, "nvmlProcessInfo_v2_t");
_Static_assert(offsetof(ProcessInfo, gpu_instance) == 16, "nvmlProcessInfo_v1_t");

typedef struct {
    char kind;
    unsigned width, room, found;
    unsigned char *to;
} List;

static void add(const Gpu *gpu, List *list)
{
    for (size_t i = 0; i < gpu->process_count; i++) {
        const Process *process = &gpu->processes[i];
        if (process->kind != list->kind)
            continue;
        unsigned instance = gpu->parent == NULL ? ~0U : gpu->index;
        ProcessInfo info;
        memset(&info, 0, sizeof info);
        info.pid = process->pid;
        info.memory = process->memory;
        info.gpu_instance = info.compute_instance = instance;
        if (list->to != NULL && list->found < list->room)
            memcpy(list->to + (size_t)list->found * list->width, &info, list->width);
        list->found++;
    }
}

/*
 * As the real one: with too little room only the number that there are, and INSUFFICIENT_SIZE; a GPU lists the
 * processes of its MIG devices, too.
 */
static int list(const char *call, const char *group, char kind, int version, Handle handle, unsigned *count, void *to)
{
    const Gpu *gpu;
    const Scenario *scenario;
    int code = begin_gpu(call, group, handle, &gpu, &scenario);
    if (code != SUCCESS)
        return end(code);
    List all = {kind, version == 1 ? 16 : version == 3 && scenario->records ? scenario->records : 24, *count, 0, to};
    add(gpu, &all);
    for (size_t i = 0; i < scenario->mig_count; i++)
        if (scenario->migs[i].parent == gpu)
            add(&scenario->migs[i], &all);
    code = all.found > *count ? INSUFFICIENT_SIZE : SUCCESS;
    *count = all.found;
    return end(code);
}

#define LIST(function, call, group, kind, version)                                                           \
    API function(Handle handle, unsigned *count, void *to)                                                   \
    {                                                                                                        \
        return list(call, group, kind, version, handle, count, to);                                          \
    }

/* Driver 440 and older have these alone, and no list of MPS. */
LIST(nvmlDeviceGetComputeRunningProcesses, "compute_v1", "compute", 'C', 1)
LIST(nvmlDeviceGetGraphicsRunningProcesses, "graphics_v1", "graphics", 'G', 1)
#ifndef FIRST_LISTS
LIST(nvmlDeviceGetComputeRunningProcesses_v2, "compute_v2", "compute", 'C', 2)
LIST(nvmlDeviceGetGraphicsRunningProcesses_v2, "graphics_v2", "graphics", 'G', 2)
LIST(nvmlDeviceGetMPSComputeRunningProcesses_v2, "mps_v2", "mps", 'M', 2)
#ifndef OLD_DRIVER
LIST(nvmlDeviceGetComputeRunningProcesses_v3, "compute_v3", "compute", 'C', 3)
LIST(nvmlDeviceGetGraphicsRunningProcesses_v3, "graphics_v3", "graphics", 'G', 3)
LIST(nvmlDeviceGetMPSComputeRunningProcesses_v3, "mps_v3", "mps", 'M', 3)
#endif
#endif
