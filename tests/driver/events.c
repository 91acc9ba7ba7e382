/*
 * Events. A set gets those of its GPUs that come after they were registered, each once. What a program must not
 * do, freeing a set or shutting down while a wait is under way, is written down as `while_waiting`.
 */
#include "driver.h"

#include <libgen.h>
#include <limits.h>
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <time.h>
#include <unistd.h>

enum { MAX_SETS = 64 };
enum { FIRST_WATCH = 1 }; /* of an inotify instance */
enum { LOOK_AGAIN = 400 }; /* ms, where the kernel watches no folder for us */

typedef struct {
    Handle device;
    unsigned long long type, data;
    unsigned gpu_instance, compute_instance;
} EventData;

_Static_assert(sizeof(EventData) == 32, "nvmlEventData_t");

typedef struct {
    unsigned session; /* 0: free */
    int waiting;
    int moved; /* see watch_scenario */
    struct {
        char uuid[TEXT];
        unsigned long long types;
        unsigned after; /* events up to this number are not for it */
    } gpus[MAX_GPUS];
    size_t gpu_count;
} Set;

static Set sets[MAX_SETS];

/* A set is named by its session and its place, never by a pointer. */
static Set *set_of(Handle handle)
{
    uintptr_t number = (uintptr_t)handle, place = number & 0xffff;
    if (place == 0 || place > MAX_SETS || sets[place - 1].session == 0)
        return NULL;
    return number >> 16 == session() && sets[place - 1].session == session() ? &sets[place - 1] : NULL;
}

static unsigned last_event(const Scenario *scenario)
{
    unsigned last = 0;
    for (size_t i = 0; i < scenario->event_count; i++)
        if (scenario->events[i].number > last)
            last = scenario->events[i].number;
    return last;
}

void forget_events(void)
{
    for (size_t i = 0; i < MAX_SETS; i++) {
        if (sets[i].session == 0)
            continue;
        if (sets[i].waiting)
            note("while_waiting");
        sets[i].session = 0;
        inotify_rm_watch(sets[i].moved, FIRST_WATCH); /* which is an event, too: it ends the wait */
        close(sets[i].moved);
    }
}

/* What becomes readable when a file is moved to the scenario's folder, as a new scenario is; -1 for nothing. */
static int watch_scenario(void)
{
    const char *path = getenv("FAKE_NVML_SCENARIO");
    char folder[PATH_MAX];
    if (path == NULL || strlen(path) >= sizeof folder)
        return -1;
    int moved = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (inotify_add_watch(moved, dirname(strcpy(folder, path)), IN_MOVED_TO) == FIRST_WATCH)
        return moved;
    close(moved);
    return -1;
}

API nvmlEventSetCreate(Handle *handle)
{
    const Scenario *scenario;
    int code = begin("event_create", &scenario);
    for (size_t i = 0; code == SUCCESS && i < MAX_SETS; i++) {
        if (sets[i].session != 0)
            continue;
        int waiting = sets[i].waiting;
        sets[i] = (Set){.session = session(), .waiting = waiting, .moved = watch_scenario()};
        *handle = (Handle)((uintptr_t)session() << 16 | (i + 1));
        return end(SUCCESS);
    }
    return end(code ? code : UNKNOWN);
}

API nvmlDeviceRegisterEvents(Handle device, unsigned long long types, Handle handle)
{
    const Gpu *gpu;
    const Scenario *scenario;
    int code = begin_physical("event_register", "event_register", device, &gpu, &scenario);
    Set *set = set_of(handle);
    if (code == SUCCESS && set == NULL)
        code = INVALID_ARGUMENT;
    if (code == SUCCESS && set->gpu_count == MAX_GPUS)
        code = UNKNOWN;
    if (code == SUCCESS) {
        strcpy(set->gpus[set->gpu_count].uuid, gpu->uuid);
        set->gpus[set->gpu_count].types = types;
        set->gpus[set->gpu_count++].after = last_event(scenario);
    }
    return end(code);
}

/* The next event of the set, if there is one, in `to`. */
static int take(Set *set, const Scenario *scenario, EventData *to)
{
    for (size_t i = 0; i < scenario->event_count; i++) {
        const Event *event = &scenario->events[i];
        for (size_t j = 0; j < set->gpu_count; j++) {
            const Gpu *gpu = gpu_of(scenario, set->gpus[j].uuid);
            if (gpu == NULL || strcmp(event->uuid, gpu->uuid) != 0 || event->number <= set->gpus[j].after ||
                (event->type & set->gpus[j].types) == 0)
                continue;
            set->gpus[j].after = event->number;
            *to = (EventData){NULL, event->type, event->data, ~0U, ~0U};
            return handle_for(gpu, &to->device) == SUCCESS;
        }
    }
    return 0;
}

static void await_scenario(int moved, int ms)
{
    struct pollfd waited = {moved, POLLIN, 0};
    char events[4096];
    if (poll(&waited, 1, ms) > 0)
        while (read(moved, events, sizeof events) > 0)
            continue;
}

API nvmlEventSetWait_v2(Handle handle, EventData *data, unsigned timeout)
{
    /* The real one sleeps in the kernel until something happens: so does this one until a scenario comes. */
    struct timespec start, now;
    clock_gettime(CLOCK_MONOTONIC, &start);
    const Scenario *scenario;
    int code = begin("event_wait", &scenario);
    Set *set = set_of(handle);
    if (code != SUCCESS || set == NULL)
        return end(code ? code : INVALID_ARGUMENT);
    for (;;) {
        if (take(set, scenario, data))
            return end(SUCCESS);
        clock_gettime(CLOCK_MONOTONIC, &now);
        long long passed = (now.tv_sec - start.tv_sec) * 1000LL + (now.tv_nsec - start.tv_nsec) / 1000000;
        if (passed >= timeout)
            return end(TIMEOUT);
        set->waiting++;
        end(SUCCESS);
        int left = (int)(timeout - passed);
        await_scenario(set->moved, set->moved < 0 && left > LOOK_AGAIN ? LOOK_AGAIN : left);
        scenario = resume();
        set->waiting--;
        if (scenario == NULL || set_of(handle) != set)
            return end(UNINITIALIZED);
    }
}

API nvmlEventSetFree(Handle handle)
{
    const Scenario *scenario;
    int code = begin("event_free", &scenario);
    Set *set = set_of(handle);
    if (code == SUCCESS && set == NULL)
        code = INVALID_ARGUMENT;
    if (code == SUCCESS && set->waiting)
        note("while_waiting");
    if (code == SUCCESS) {
        set->session = 0;
        close(set->moved);
    }
    return end(code);
}
