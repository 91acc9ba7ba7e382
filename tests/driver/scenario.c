/*
 * Reads the scenario: a word, a blank and its values on each line. Lines after `gpu` and `migdevice` are of that GPU
 * and MIG device.
 */
#include "scenario.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static Scenario scenario;
static Gpu *described; /* that the next line is of; NULL: the machine */
static struct stat seen;
static int loaded;

double rule_for(const Rules *rules, const char *call)
{
    for (size_t i = 0; i < rules->count; i++)
        if (strcmp(rules->rules[i].call, call) == 0)
            return rules->rules[i].value;
    return 0;
}

const Gpu *gpu_of(const Scenario *scenario, const char *uuid)
{
    for (size_t i = 0; uuid != NULL && i < scenario->gpu_count; i++)
        if (strcmp(scenario->gpus[i].uuid, uuid) == 0)
            return &scenario->gpus[i];
    for (size_t i = 0; uuid != NULL && i < scenario->mig_count; i++)
        if (strcmp(scenario->migs[i].uuid, uuid) == 0)
            return &scenario->migs[i];
    return NULL;
}

const Gpu *mig_of(const Scenario *scenario, const Gpu *gpu, unsigned slot)
{
    for (size_t i = 0; i < scenario->mig_count; i++)
        if (scenario->migs[i].parent == gpu && scenario->migs[i].index == slot)
            return &scenario->migs[i];
    return NULL;
}

static void refuse(const char *path, unsigned number, const char *line)
{
    fprintf(stderr, "test driver: %s:%u: cannot understand: %s\n", path, number, line);
    abort();
}

static int add_rule(Rules *rules, const char *values)
{
    if (rules->count == MAX_RULES)
        return 0;
    Rule *rule = &rules->rules[rules->count++];
    return sscanf(values, "%31s %lf", rule->call, &rule->value) == 2;
}

static int add_process(Gpu *gpu, const char *values)
{
    char memory[32];
    if (gpu->process_count == MAX_PROCESSES)
        return 0;
    Process *process = &gpu->processes[gpu->process_count++];
    if (sscanf(values, "%c %u %31s", &process->kind, &process->pid, memory) != 3 ||
        strchr("CGM", process->kind) == NULL)
        return 0;
    /* "none" is NVML_VALUE_NOT_AVAILABLE: all bits set. */
    process->memory = strcmp(memory, "none") == 0 ? ~0ULL : strtoull(memory, NULL, 10);
    return 1;
}

static int of_gpu(Gpu *gpu, const char *word, const char *values)
{
    if (strcmp(word, "name") == 0)
        return snprintf(gpu->name, TEXT, "%s", values) < TEXT;
    if (strcmp(word, "memory") == 0)
        return sscanf(values, "%llu %llu %llu", &gpu->total, &gpu->reserved, &gpu->used) == 3;
    if (strcmp(word, "utilisation") == 0)
        return sscanf(values, "%u", &gpu->utilisation) == 1;
    if (strcmp(word, "temperature") == 0)
        return sscanf(values, "%d", &gpu->temperature) == 1;
    if (strcmp(word, "power") == 0)
        return sscanf(values, "%u %u", &gpu->power, &gpu->power_limit) == 2;
    if (strcmp(word, "energy") == 0)
        return sscanf(values, "%llu", &gpu->energy) == 1;
    if (strcmp(word, "fan") == 0)
        return sscanf(values, "%u", &gpu->fan) == 1;
    if (strcmp(word, "pci") == 0)
        return sscanf(values, "%x %x %x", &gpu->domain, &gpu->bus, &gpu->device) == 3;
    if (strcmp(word, "slowdown") == 0)
        return sscanf(values, "%u", &gpu->slowdown) == 1;
    if (strcmp(word, "clocks") == 0)
        return sscanf(values, "%llx", &gpu->clocks) == 1;
    if (strcmp(word, "ecc") == 0)
        return sscanf(values, "%llu %llu", &gpu->corrected, &gpu->uncorrected) == 2;
    if (strcmp(word, "rows") == 0)
        return sscanf(values, "%u %u", &gpu->rows_pending, &gpu->rows_failed) == 2;
    if (strcmp(word, "recovery") == 0)
        return sscanf(values, "%u", &gpu->recovery) == 1;
    if (strcmp(word, "width") == 0)
        return sscanf(values, "%u %u", &gpu->width, &gpu->width_most) == 2;
    if (strcmp(word, "mig") == 0)
        return sscanf(values, "%d", &gpu->mig) == 1;
    if (strcmp(word, "lost") == 0)
        return sscanf(values, "%d", &gpu->lost) == 1;
    if (strcmp(word, "process") == 0)
        return add_process(gpu, values);
    if (strcmp(word, "error") == 0)
        return add_rule(&gpu->errors, values);
    if (strcmp(word, "hang") == 0)
        return add_rule(&gpu->hangs, values);
    return 0;
}

static int add_event(const char *values)
{
    if (scenario.event_count == MAX_RULES)
        return 0;
    Event *event = &scenario.events[scenario.event_count++];
    return sscanf(values, "%u %95s %llx %llu", &event->number, event->uuid, &event->type, &event->data) == 4;
}

static int of_machine(const char *word, const char *values)
{
    if (strcmp(word, "driver") == 0)
        return snprintf(scenario.driver, TEXT, "%s", values) < TEXT;
    if (strcmp(word, "calls") == 0)
        return snprintf(scenario.calls, sizeof scenario.calls, "%s", values) < (int)sizeof scenario.calls;
    if (strcmp(word, "event") == 0)
        return add_event(values);
    if (strcmp(word, "records") == 0)
        return sscanf(values, "%u", &scenario.records) == 1 && scenario.records <= 32;
    if (strcmp(word, "stale") == 0)
        return sscanf(values, "%d", &scenario.stale) == 1;
    if (strcmp(word, "error") == 0)
        return add_rule(&scenario.errors, values);
    if (strcmp(word, "hang") == 0)
        return add_rule(&scenario.hangs, values);
    return 0;
}

static int add_gpu(const char *uuid)
{
    if (scenario.gpu_count == MAX_GPUS)
        return 0;
    described = &scenario.gpus[scenario.gpu_count];
    described->index = (unsigned)scenario.gpu_count++;
    return snprintf(described->uuid, TEXT, "%s", uuid) < TEXT;
}

/* Of the GPU that was added last. */
static int add_mig(const char *values)
{
    if (scenario.mig_count == MAX_MIGS || scenario.gpu_count == 0)
        return 0;
    described = &scenario.migs[scenario.mig_count++];
    described->parent = &scenario.gpus[scenario.gpu_count - 1];
    return sscanf(values, "%u %95s", &described->index, described->uuid) == 2 && described->index < MAX_SLOTS;
}

static void read_line(const char *path, unsigned number, char *line)
{
    line[strcspn(line, "\n")] = '\0';
    if (line[0] == '\0' || line[0] == '#')
        return;
    char *values = strchr(line, ' ');
    if (values == NULL)
        refuse(path, number, line);
    *values++ = '\0';
    int understood;
    if (strcmp(line, "gpu") == 0) {
        understood = add_gpu(values);
    } else if (strcmp(line, "migdevice") == 0) {
        understood = add_mig(values);
    } else if (described != NULL) {
        understood = of_gpu(described, line, values);
    } else {
        understood = of_machine(line, values);
    }
    if (!understood)
        refuse(path, number, line);
}

const Scenario *scenario_now(int *changed)
{
    const char *path = getenv("FAKE_NVML_SCENARIO");
    struct stat now;
    *changed = 0;
    if (path == NULL || stat(path, &now) != 0) {
        fprintf(stderr, "test driver: FAKE_NVML_SCENARIO names no file: %s\n", path ? path : "(unset)");
        return NULL;
    }
    if (loaded && now.st_dev == seen.st_dev && now.st_ino == seen.st_ino && now.st_size == seen.st_size &&
        now.st_mtim.tv_sec == seen.st_mtim.tv_sec && now.st_mtim.tv_nsec == seen.st_mtim.tv_nsec)
        return &scenario;

    FILE *file = fopen(path, "re");
    /* Looked at again through the open file: another one may have taken the name since. */
    if (file == NULL || fstat(fileno(file), &now) != 0) {
        perror(path);
        abort();
    }
    memset(&scenario, 0, sizeof scenario);
    described = NULL;
    char line[8192];
    for (unsigned number = 1; fgets(line, sizeof line, file) != NULL; number++)
        read_line(path, number, line);
    fclose(file);
    seen = now;
    loaded = 1;
    *changed = 1;
    return &scenario;
}
