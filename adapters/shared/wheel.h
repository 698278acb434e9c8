/* adapters/shared/wheel.h - deadlines by the hundred thousand: a hashed wheel of coarse ticks.
 *
 * One thread's. Setting, moving and taking back cost a few writes each. */
#ifndef WEIR_ADAPTERS_SHARED_WHEEL_H
#define WEIR_ADAPTERS_SHARED_WHEEL_H

#include <stdbool.h>
#include <stdint.h>

enum {
    WEIR_DEADLINE_TICK_MS = 32,
    WEIR_WHEEL_SLOTS = 1024, /* one round is 32.8 s */
};

/* Something that wants to be called when a time has come. Zeroed is not set; it must be cancelled
 * or have been called before its memory goes. Up to WEIR_DEADLINE_TICK_MS late, never early. */
typedef struct weir_deadline {
    void (*run)(
        struct weir_deadline *deadline); /* the owner's; it is not set any more when called */
    uint64_t at_ms;                      /* 0: not set */
    struct weir_deadline *next;
    struct weir_deadline **link;
} weir_deadline;

typedef struct weir_wheel_slot {
    weir_deadline *first;
    uint64_t least_ms; /* no deadline in it is earlier */
} weir_wheel_slot;

typedef struct weir_wheel {
    uint64_t tick;    /* every slot through this tick has been run */
    uint64_t next_ms; /* when the next run is due; 0: nothing is set */
    weir_wheel_slot slots[WEIR_WHEEL_SLOTS];
} weir_wheel;

void weir_wheel_init(weir_wheel *wheel, uint64_t now_ms);
/* Sets or moves it to at_ms (1 or more). True when the wheel's next_ms became earlier. */
bool weir_wheel_set(weir_wheel *wheel, weir_deadline *deadline, uint64_t at_ms);
void weir_wheel_cancel(weir_deadline *deadline);
/* Calls every deadline with at_ms <= now_ms, each at most once; they may set and cancel any. */
void weir_wheel_run(weir_wheel *wheel, uint64_t now_ms);
uint64_t weir_wheel_next_ms(const weir_wheel *wheel); /* when to run it; 0: nothing is set */

#endif
