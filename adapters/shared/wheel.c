/* adapters/shared/wheel.c - alone responsible for which deadlines are due.
 *
 *     tick = at_ms / 32, rounded up        slot = tick % 1024
 *
 *     slots  [ ][ ][x x][ ][x][ ] ...      a slot holds this round's deadlines and later rounds'
 * alike; ^ tick                    least_ms tells whether looking into it is worth while
 *
 * Happy path: run() visits the slots between the last tick and now, takes out what is due, and only
 * then calls it, so that a callback may set and cancel whatever it likes. A slot whose least_ms
 * lies in a later round is passed over without a look. There are no failures.
 *
 * Invariants
 * [W1] A deadline that is set is in exactly one list; link points at the pointer that points at it.
 * [W2] slot.least_ms <= at_ms of everything in the slot.
 * [W3] A deadline whose tick has already been run waits in the next tick's slot: nothing is lost.
 */
#include "adapters/shared/wheel.h"

#include "core/base/assert.h"

#include <stddef.h>

void weir_wheel_init(weir_wheel *wheel, uint64_t now_ms)
{
    *wheel = (weir_wheel){.tick = now_ms / WEIR_DEADLINE_TICK_MS};
}

static void list_put(weir_deadline **list, weir_deadline *deadline)
{
    deadline->next = *list;
    deadline->link = list;
    if (*list != NULL) {
        (*list)->link = &deadline->next;
    }
    *list = deadline;
}

static void list_take(weir_deadline *deadline)
{
    *deadline->link = deadline->next; /* [W1] */
    if (deadline->next != NULL) {
        deadline->next->link = deadline->link;
    }
    deadline->next = NULL;
    deadline->link = NULL;
}

void weir_wheel_cancel(weir_deadline *deadline)
{
    if (deadline->at_ms != 0) {
        list_take(deadline);
        deadline->at_ms = 0;
    }
}

bool weir_wheel_set(weir_wheel *wheel, weir_deadline *deadline, uint64_t at_ms)
{
    uint64_t tick = at_ms / WEIR_DEADLINE_TICK_MS + (at_ms % WEIR_DEADLINE_TICK_MS != 0);
    weir_wheel_slot *slot = NULL;
    WEIR_ASSERT(at_ms != 0 && deadline->run != NULL);
    weir_wheel_cancel(deadline);
    if (tick <= wheel->tick) {
        tick = wheel->tick + 1; /* [W3] */
    }
    slot = &wheel->slots[tick % WEIR_WHEEL_SLOTS];
    if (slot->first == NULL || at_ms < slot->least_ms) {
        slot->least_ms = at_ms; /* [W2] */
    }
    deadline->at_ms = at_ms;
    list_put(&slot->first, deadline);
    if (wheel->next_ms == 0 || tick * WEIR_DEADLINE_TICK_MS < wheel->next_ms) {
        wheel->next_ms = tick * WEIR_DEADLINE_TICK_MS;
        return true;
    }
    return false;
}

/* Moves what is due out of a slot. */
static void slot_split(weir_wheel_slot *slot, uint64_t now_ms, weir_deadline **due)
{
    uint64_t least_ms = UINT64_MAX;
    for (weir_deadline *deadline = slot->first; deadline != NULL;) {
        weir_deadline *next = deadline->next;
        if (deadline->at_ms <= now_ms) {
            list_take(deadline);
            list_put(due, deadline);
        } else if (deadline->at_ms < least_ms) {
            least_ms = deadline->at_ms;
        }
        deadline = next;
    }
    slot->least_ms = least_ms;
}

/* The first tick after the wheel's whose slot may hold something due by then. */
static uint64_t next_find(const weir_wheel *wheel)
{
    uint64_t later_ms = 0;
    for (uint64_t step = 1; step <= WEIR_WHEEL_SLOTS; step++) {
        uint64_t tick = wheel->tick + step;
        const weir_wheel_slot *slot = &wheel->slots[tick % WEIR_WHEEL_SLOTS];
        if (slot->first == NULL) {
            continue;
        }
        if (slot->least_ms <= tick * WEIR_DEADLINE_TICK_MS) {
            return tick * WEIR_DEADLINE_TICK_MS;
        }
        if (later_ms == 0) { /* nothing in this round: look again when it has passed */
            later_ms = (wheel->tick + WEIR_WHEEL_SLOTS) * WEIR_DEADLINE_TICK_MS;
        }
    }
    return later_ms;
}

void weir_wheel_run(weir_wheel *wheel, uint64_t now_ms)
{
    weir_deadline *due = NULL;
    uint64_t tick = now_ms / WEIR_DEADLINE_TICK_MS;
    uint64_t first = wheel->tick + 1;
    if (tick >= first && tick - first >= WEIR_WHEEL_SLOTS) {
        first = tick - WEIR_WHEEL_SLOTS + 1; /* a long sleep: each slot once */
    }
    for (uint64_t i = first; i <= tick; i++) {
        weir_wheel_slot *slot = &wheel->slots[i % WEIR_WHEEL_SLOTS];
        if (slot->first != NULL && slot->least_ms <= now_ms) {
            slot_split(slot, now_ms, &due);
        }
    }
    if (tick > wheel->tick) {
        wheel->tick = tick;
    }
    while (due != NULL) {
        weir_deadline *deadline = due;
        weir_wheel_cancel(deadline);
        deadline->run(deadline);
    }
    wheel->next_ms = next_find(wheel);
}

uint64_t weir_wheel_next_ms(const weir_wheel *wheel)
{
    return wheel->next_ms;
}
