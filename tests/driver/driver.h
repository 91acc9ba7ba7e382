/* What every function of the test driver does first and last: its state, its handles, its lock. */
#ifndef DRIVER_H
#define DRIVER_H

#include "scenario.h"

#define API __attribute__((visibility("default"))) int

/*
 * Not a pointer: it holds the count of the nvmlInit that it is of and the slot of its GPU's UUID, so one from
 * before a shutdown is refused, as is one made up. A NULL handle ends the process, as in the real library.
 */
typedef void *Handle;

/*
 * Begins a call about the machine: hangs, takes the lock, writes the call down. Returns the code with which the
 * call has to end at once, SUCCESS for none. `end` has to follow in either case.
 */
int begin(const char *call, const Scenario **scenario);

/*
 * Begins a call about a GPU, alike; `scenario` may be NULL. `group` is a second name under which a scenario may
 * speak of the call.
 */
int begin_gpu(const char *call, const char *group, Handle handle, const Gpu **gpu, const Scenario **scenario);

/* The same for what a GPU as a whole has: a MIG device answers NOT_SUPPORTED. */
int begin_physical(const char *call, const char *group, Handle handle, const Gpu **gpu, const Scenario **scenario);

/* Releases the lock and hands `code` on. */
int end(int code);

/* Takes the lock again after an `end`, and has the scenario as it is now; NULL where there is none. */
const Scenario *resume(void);

/* The handle of a GPU; between `begin` and `end`. */
int handle_for(const Gpu *gpu, Handle *handle);

/*
 * The UUID of the GPU with that index, NULL for none. As in the real library the list is that of the nvmlInit: a
 * GPU plugged in later is in none of its answers, one that went away answers GPU_IS_LOST. With the lock.
 */
const char *listed_at(size_t index);

/* One more nvmlInit, one less; between `begin` and `end`. */
void add_reference(const Scenario *scenario);
void drop_reference(void);

/* The number of this session, from nvmlInit to nvmlShutdown; 0 outside of one. With the lock. */
unsigned session(void);

/* With the last nvmlShutdown: every event set is gone. With the lock. */
void forget_events(void);

/* Writes down what a program must not do, as if it were a call; with the lock. */
void note(const char *what);

#endif
