/* The process lists. Built with OLD_DRIVER, as before driver 510, it has none of their third versions. */
#include "driver.h"

typedef struct {
    unsigned pid;
    unsigned long long memory;
    unsigned gpu_instance, compute_instance;
} ProcessInfo;

_Static_assert(sizeof(ProcessInfo) == 24, "nvmlProcessInfo_v2_t");

static unsigned add(const Gpu *gpu, char kind, unsigned room, unsigned found, ProcessInfo *to)
{
    for (size_t i = 0; i < gpu->process_count; i++) {
        const Process *process = &gpu->processes[i];
        if (process->kind != kind)
            continue;
        unsigned instance = gpu->parent == NULL ? ~0U : gpu->index;
        if (to != NULL && found < room)
            to[found] = (ProcessInfo){process->pid, process->memory, instance, instance};
        found++;
    }
    return found;
}

/*
 * As the real one: with too little room only the number that there are, and INSUFFICIENT_SIZE; a GPU lists the
 * processes of its MIG devices, too.
 */
static int list(const char *call, const char *group, char kind, Handle handle, unsigned *count, ProcessInfo *to)
{
    const Gpu *gpu;
    const Scenario *scenario;
    int code = begin_gpu(call, group, handle, &gpu, &scenario);
    if (code != SUCCESS)
        return end(code);
    unsigned found = add(gpu, kind, *count, 0, to);
    for (size_t i = 0; i < scenario->mig_count; i++)
        if (scenario->migs[i].parent == gpu)
            found = add(&scenario->migs[i], kind, *count, found, to);
    code = found > *count ? INSUFFICIENT_SIZE : SUCCESS;
    *count = found;
    return end(code);
}

#define LIST(function, call, group, kind)                                                                    \
    API function(Handle handle, unsigned *count, ProcessInfo *to)                                            \
    {                                                                                                        \
        return list(call, group, kind, handle, count, to);                                                   \
    }

LIST(nvmlDeviceGetComputeRunningProcesses_v2, "compute_v2", "compute", 'C')
LIST(nvmlDeviceGetGraphicsRunningProcesses_v2, "graphics_v2", "graphics", 'G')
LIST(nvmlDeviceGetMPSComputeRunningProcesses_v2, "mps_v2", "mps", 'M')
#ifndef OLD_DRIVER
LIST(nvmlDeviceGetComputeRunningProcesses_v3, "compute_v3", "compute", 'C')
LIST(nvmlDeviceGetGraphicsRunningProcesses_v3, "graphics_v3", "graphics", 'G')
LIST(nvmlDeviceGetMPSComputeRunningProcesses_v3, "mps_v3", "mps", 'M')
#endif
