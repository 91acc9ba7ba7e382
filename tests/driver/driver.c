/* The state of the test driver: initialised or not, the handles given out, the scenario it plays. */
#define _GNU_SOURCE
#include "driver.h"

#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned references; /* nvmlInit less nvmlShutdown */
static unsigned inits;      /* how often it was initialised from nothing: the high part of a handle */
static unsigned loaded_at;  /* `inits` when the scenario was read */
static char slots[(MAX_GPUS + MAX_MIGS) * 8][TEXT];
static size_t slot_count;
static char listed[MAX_GPUS][TEXT]; /* the GPUs of this nvmlInit */
static size_t listed_count;

static void write_down(const Scenario *scenario, const char *call, const char *uuid)
{
    if (scenario->calls[0] == '\0')
        return;
    FILE *file = fopen(scenario->calls, "ae");
    if (file != NULL) {
        fprintf(file, uuid ? "%s %s\n" : "%s\n", call, uuid);
        fclose(file);
    }
}

static const Scenario *current(void)
{
    int changed;
    const Scenario *scenario = scenario_now(&changed);
    if (changed)
        loaded_at = inits;
    return scenario;
}

/* Sleeps while the scenario says so, without the lock; a changed scenario ends it within 20 ms. */
static void hang(const char *call, const char *uuid)
{
    const struct timespec step = {0, 20000000};
    struct timespec start, now;
    clock_gettime(CLOCK_MONOTONIC, &start);
    for (;;) {
        pthread_mutex_lock(&lock);
        const Scenario *scenario = current();
        double seconds = 0;
        if (scenario != NULL) {
            const Gpu *gpu = gpu_of(scenario, uuid);
            seconds = rule_for(&scenario->hangs, call);
            if (seconds == 0 && gpu != NULL)
                seconds = rule_for(&gpu->hangs, call);
        }
        pthread_mutex_unlock(&lock);
        clock_gettime(CLOCK_MONOTONIC, &now);
        if ((double)(now.tv_sec - start.tv_sec) + (double)(now.tv_nsec - start.tv_nsec) / 1e9 >= seconds)
            return;
        nanosleep(&step, NULL);
    }
}

int begin(const char *call, const Scenario **scenario)
{
    hang(call, NULL);
    pthread_mutex_lock(&lock);
    *scenario = current();
    if (*scenario == NULL)
        return UNKNOWN;
    write_down(*scenario, call, NULL);
    /* The library tells its own version at any time: that is how nvidia-smi names a mismatch. */
    if (references == 0 && strcmp(call, "init") != 0 && strcmp(call, "nvml_version") != 0)
        return UNINITIALIZED;
    if ((*scenario)->stale && loaded_at == inits && strcmp(call, "init") != 0 && strcmp(call, "shutdown") != 0)
        return (*scenario)->stale;
    return (int)rule_for(&(*scenario)->errors, call);
}

static const char *uuid_of(Handle handle)
{
    uintptr_t number = (uintptr_t)handle;
    if (handle == NULL) {
        fprintf(stderr, "test driver: a NULL handle\n");
        abort();
    }
    return number >> 16 == inits && (number & 0xffff) < slot_count ? slots[number & 0xffff] : NULL;
}

int begin_gpu(const char *call, const char *group, Handle handle, const Gpu **gpu, const Scenario **to)
{
    pthread_mutex_lock(&lock);
    char uuid[TEXT] = "";
    if (uuid_of(handle) != NULL)
        strcpy(uuid, uuid_of(handle));
    pthread_mutex_unlock(&lock);
    hang(call, uuid);
    if (strcmp(call, group) != 0)
        hang(group, uuid);

    pthread_mutex_lock(&lock);
    const Scenario *scenario = current();
    if (scenario == NULL)
        return UNKNOWN;
    if (to != NULL)
        *to = scenario;
    write_down(scenario, call, uuid);
    if (references == 0)
        return UNINITIALIZED;
    if (scenario->stale && loaded_at == inits)
        return scenario->stale;
    if (uuid_of(handle) == NULL)
        return INVALID_ARGUMENT;
    *gpu = gpu_of(scenario, uuid);
    if (*gpu == NULL)
        return strncmp(uuid, "MIG-", 4) == 0 ? INVALID_ARGUMENT : GPU_IS_LOST;
    if ((*gpu)->lost || ((*gpu)->parent != NULL && (*gpu)->parent->lost))
        return GPU_IS_LOST;
    const Rules *rules[] = {&scenario->errors, &(*gpu)->errors};
    for (size_t i = 0; i < 2; i++) {
        int code = (int)rule_for(rules[i], call);
        if (code == SUCCESS)
            code = (int)rule_for(rules[i], group);
        if (code != SUCCESS)
            return code;
    }
    return SUCCESS;
}

int begin_physical(const char *call, const char *group, Handle handle, const Gpu **gpu, const Scenario **to)
{
    int code = begin_gpu(call, group, handle, gpu, to);
    return code == SUCCESS && (*gpu)->parent != NULL ? NOT_SUPPORTED : code;
}

int end(int code)
{
    pthread_mutex_unlock(&lock);
    return code;
}

const Scenario *resume(void)
{
    pthread_mutex_lock(&lock);
    return current();
}

int handle_for(const Gpu *gpu, Handle *handle)
{
    size_t slot = 0;
    while (slot < slot_count && strcmp(slots[slot], gpu->uuid) != 0)
        slot++;
    if (slot == sizeof slots / sizeof slots[0])
        return UNKNOWN;
    if (slot == slot_count)
        strcpy(slots[slot_count++], gpu->uuid);
    *handle = (Handle)((uintptr_t)inits << 16 | slot);
    return SUCCESS;
}

const char *listed_at(size_t index)
{
    return index < listed_count ? listed[index] : NULL;
}

void add_reference(const Scenario *scenario)
{
    if (references++ == 0) {
        inits++;
        slot_count = 0;
        listed_count = scenario->gpu_count;
        for (size_t i = 0; i < listed_count; i++)
            strcpy(listed[i], scenario->gpus[i].uuid);
    }
}

void drop_reference(void)
{
    if (--references == 0)
        forget_events();
}

unsigned session(void)
{
    return references > 0 ? inits : 0;
}

void note(const char *what)
{
    int changed;
    const Scenario *scenario = scenario_now(&changed);
    if (scenario != NULL)
        write_down(scenario, what, NULL);
}
