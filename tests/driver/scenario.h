/* The scenario that the test driver plays: what each call of it shall answer, read from a text file. */
#ifndef SCENARIO_H
#define SCENARIO_H

#include <stddef.h>

enum { MAX_GPUS = 32, MAX_MIGS = 32, MAX_SLOTS = 7, MAX_PROCESSES = 512, MAX_RULES = 64, TEXT = 96, CALL = 32 };

/* NVML's own numbers (nvml.h), as far as this driver gives them by itself. */
enum {
    SUCCESS = 0,
    UNINITIALIZED = 1,
    INVALID_ARGUMENT = 2,
    NOT_SUPPORTED = 3,
    NOT_FOUND = 6,
    INSUFFICIENT_SIZE = 7,
    TIMEOUT = 10,
    GPU_IS_LOST = 15,
    ARGUMENT_VERSION_MISMATCH = 25,
    UNKNOWN = 999
};

/* One answer for one call: an error code, or the seconds for which it hangs. */
typedef struct {
    char call[CALL];
    double value;
} Rule;

typedef struct {
    Rule rules[MAX_RULES];
    size_t count;
} Rules;

typedef struct {
    char kind; /* C, G or M */
    unsigned pid;
    unsigned long long memory;
} Process;

/* A GPU, or a MIG device: that one has a parent, and `index` is its slot there. */
typedef struct Gpu {
    unsigned index;
    char uuid[TEXT];
    char name[TEXT];
    const struct Gpu *parent;
    unsigned domain, bus, device;
    unsigned long long total, reserved, used;
    unsigned utilisation, power, power_limit, fan; /* %, mW, mW, % */
    unsigned slowdown, width, width_most;          /* degrees C, lanes, lanes */
    unsigned long long clocks;                     /* what limits them, in NVML's bits */
    unsigned long long corrected, uncorrected;
    unsigned long long energy; /* mJ */
    unsigned rows_pending, rows_failed, recovery;
    int mig; /* the mode: -1 it has none, 0 off, 1 on */
    int temperature, lost;
    Process processes[MAX_PROCESSES];
    size_t process_count;
    Rules errors, hangs;
} Gpu;

/* An error that the driver reports once: `number` is higher than that of any event before. */
typedef struct {
    unsigned number;
    char uuid[TEXT];
    unsigned long long type, data;
} Event;

typedef struct {
    char driver[TEXT];
    char calls[4096]; /* where the calls are written down; empty: nowhere */
    unsigned records; /* bytes of a record in the third process lists; 0: as in nvml.h, 24 */
    int stale;        /* what every call answers until nvmlInit is called again; 0: nothing of the kind */
    Gpu gpus[MAX_GPUS];
    size_t gpu_count;
    Gpu migs[MAX_MIGS];
    size_t mig_count;
    Event events[MAX_RULES];
    size_t event_count;
    Rules errors, hangs;
} Scenario;

/* The value that `rules` has for `call`, or 0. */
double rule_for(const Rules *rules, const char *call);

/* The GPU or MIG device of that UUID, or NULL. */
const Gpu *gpu_of(const Scenario *scenario, const char *uuid);

/* The MIG device in that slot of that GPU, or NULL. */
const Gpu *mig_of(const Scenario *scenario, const Gpu *gpu, unsigned slot);

/*
 * The scenario as the file that FAKE_NVML_SCENARIO names has it now; NULL, with a line on stderr, where there
 * is none. `*changed` becomes 1 where it was read anew. A line that cannot be understood ends the process: a
 * test must not pass on a scenario that it did not describe. The caller holds the lock of the driver.
 */
const Scenario *scenario_now(int *changed);

#endif
