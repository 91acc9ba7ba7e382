/* Reads the scenario: a word, a blank and its values on each line; lines after `gpu` are of that GPU. */
#include "scenario.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static Scenario scenario;
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
    if (strcmp(word, "fan") == 0)
        return sscanf(values, "%u", &gpu->fan) == 1;
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

static int of_machine(const char *word, const char *values)
{
    if (strcmp(word, "driver") == 0)
        return snprintf(scenario.driver, TEXT, "%s", values) < TEXT;
    if (strcmp(word, "calls") == 0)
        return snprintf(scenario.calls, sizeof scenario.calls, "%s", values) < (int)sizeof scenario.calls;
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
    Gpu *gpu = &scenario.gpus[scenario.gpu_count];
    gpu->index = (unsigned)scenario.gpu_count++;
    return snprintf(gpu->uuid, TEXT, "%s", uuid) < TEXT;
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
    } else if (scenario.gpu_count > 0) {
        understood = of_gpu(&scenario.gpus[scenario.gpu_count - 1], line, values);
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
    char line[8192];
    for (unsigned number = 1; fgets(line, sizeof line, file) != NULL; number++)
        read_line(path, number, line);
    fclose(file);
    seen = now;
    loaded = 1;
    *changed = 1;
    return &scenario;
}
