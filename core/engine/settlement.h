/* core/engine/settlement.h - what is settled of one partition in one queue group, and what is not.
 *
 *      0            floor                             fresh           end of the log
 *      |   settled   | runs of unsettled records,      | never handed   |
 *      |             | between them: settled           | out            |
 *
 *   fresh --lease--> LEASED --settle--> (nothing is kept)
 *     |                ^  |
 *     +--wait--> WAITING <+ wait: a release, a lease that ended; `until` later, or at once
 *
 * Only unsettled records take memory, as runs of neighbours in the same state, in pages of
 * WEIR_SETTLEMENT_PAGE offsets: one record that is held for an hour costs one run, whatever is
 * settled past it. A page is what a checkpoint writes. Leases stand beside: number, holder,
 * deadline.
 *
 * Pure: no engine, clock or file. Owner's thread. */
#ifndef WEIR_CORE_ENGINE_SETTLEMENT_H
#define WEIR_CORE_ENGINE_SETTLEMENT_H

#include "core/engine/state.h"

#include "core/base/buffer.h"

enum {
    WEIR_SETTLEMENT_PAGE = 4096, /* offsets of one page; in the bytes of checkpoints */
    WEIR_SETTLEMENT_FAILED_MAX = 65535,
};

typedef struct weir_settlement weir_settlement;
typedef struct weir_settlement_page weir_settlement_page;

typedef enum weir_record_state {
    WEIR_RECORD_SETTLED = 0, /* and nothing to hand out */
    WEIR_RECORD_WAITING = 1, /* for `until` (0: for nothing), then to be handed out again */
    WEIR_RECORD_LEASED = 2,
} weir_record_state;

/* Neighbours in the same state. */
typedef struct weir_settlement_run {
    int64_t first;
    int64_t last;
    weir_record_state state;
    bool held;      /* in memory only: not to be handed out, not under its lease any more */
    uint64_t lease; /* LEASED */
    int64_t until;  /* WAITING: engine time; 0: now */
    uint32_t leased;
    uint32_t failed;
} weir_settlement_run;

/* Who has records since one take. Deadlines are in memory only: a start begins them anew. */
typedef struct weir_lease {
    uint64_t number;
    uint64_t epoch; /* the recovery epoch in which it was given */
    uint64_t member;
    int64_t deadline; /* engine time; INT64_MAX: none */
    int64_t first;    /* all its records are within */
    int64_t last;
    uint32_t count;
    uint8_t mode; /* weir_mode: it was given under */
} weir_lease;

/* What happens to records. In a replay a page that its checkpoint wrote after `unit` has it. */
typedef struct weir_settlement_change {
    weir_record_state to;
    uint64_t unit;
    const weir_lease *lease; /* LEASED: number, epoch, member, deadline, mode; leased is raised */
    int64_t until;           /* WAITING */
    bool failed;             /* WAITING: is raised */
} weir_settlement_change;

/* Told of pages; NULL: nobody wants to know. `gone`: it is about to be freed. */
typedef struct weir_settlement_watch {
    void (*changed)(void *arg, weir_settlement_page *page);
    void (*gone)(void *arg, weir_settlement_page *page);
    void *arg;
} weir_settlement_watch;

struct weir_settlement_page {
    weir_saved saved;
    uint64_t held_unit; /* a checkpoint gave it as it was after this unit */
    weir_settlement *settlement;
    int64_t number; /* offset / WEIR_SETTLEMENT_PAGE; -1: the head */
    struct weir_settlement_cell *cells;
    uint16_t cell_count;
    uint16_t cell_capacity;
    uint16_t fresh;    /* of this page: what is below and in no run is settled */
    uint16_t reserved; /* cells that changes to come may add ... */
    uint16_t pending;  /* ... so many of them */
    uint32_t reservation;
};

/* Everything below `start` is settled, everything from there on fresh. NO_MEMORY. */
weir_err weir_settlement_create(int64_t start, const weir_settlement_watch *watch,
                                weir_settlement **settlement);
void weir_settlement_destroy(weir_settlement *settlement); /* NULL is harmless; tells nothing */

/* ---- Changes: reserve all of them, then apply all; applying cannot fail -------------------------
 */

void weir_settlement_reserve_begin(weir_settlement *settlement);
/* For a change of [first, last]; `leases`: that it may add. NO_MEMORY: nothing changed. */
weir_err weir_settlement_reserve(weir_settlement *settlement, int64_t first, int64_t last,
                                 const weir_settlement_change *change);
/* Of [first, last] what is unsettled or fresh; what is settled stays so [G2]. */
void weir_settlement_apply(weir_settlement *settlement, int64_t first, int64_t last,
                           const weir_settlement_change *change);
/* Everything below is settled or in runs: hand-out goes on there. It only rises. */
void weir_settlement_fresh_raise(weir_settlement *settlement, int64_t fresh);
/* All is forgotten, and everything from `start` on is fresh; what was written after `unit` stays. */
void weir_settlement_reset(weir_settlement *settlement, int64_t start, uint64_t unit);
/* Lets go of pages that have nothing left. */
void weir_settlement_tidy(weir_settlement *settlement);
/* In memory only. NO_MEMORY. Of runs in one state; what is settled is passed over. */
weir_err weir_settlement_hold(weir_settlement *settlement, int64_t first, int64_t last, bool held);
void weir_settlement_lease_renew(weir_settlement *settlement, uint64_t number, int64_t deadline);
/* After a start: every lease ends at `deadline`. */
void weir_settlement_leases_renew(weir_settlement *settlement, int64_t deadline);

/* ---- Questions --------------------------------------------------------------------------------
 */

int64_t weir_settlement_floor(const weir_settlement *settlement); /* all below is settled */
int64_t weir_settlement_fresh(const weir_settlement *settlement);
uint64_t weir_settlement_unsettled(const weir_settlement *settlement); /* leased and waiting */
uint64_t weir_settlement_leased(const weir_settlement *settlement);
uint64_t weir_settlement_delayed(const weir_settlement *settlement); /* waiting for a time */
uint64_t weir_settlement_bytes(const weir_settlement *settlement);   /* of memory */
uint32_t weir_settlement_pages(const weir_settlement *settlement);
uint32_t weir_settlement_leases(const weir_settlement *settlement);

/* The first run that ends at or behind `offset`, whole. False: none. */
bool weir_settlement_next(const weir_settlement *settlement, int64_t offset,
                          weir_settlement_run *run);
/* Goes over what is unsettled of [at, end) in order, cell by cell: *first to *last, whatever their state.
 * Nothing may change meanwhile. */
typedef struct weir_settlement_walk {
    int64_t at;
    int64_t end;
    uint32_t page; /* places of settlement_parts.h */
    uint32_t cell;
} weir_settlement_walk;
void weir_settlement_walk_begin(const weir_settlement *settlement, int64_t from, int64_t end,
                                weir_settlement_walk *walk);
bool weir_settlement_walk_next(const weir_settlement *settlement, weir_settlement_walk *walk,
                               int64_t *first, int64_t *last);
/* The first records at or behind `from` that may be handed out again at `now`. */
bool weir_settlement_due(weir_settlement *settlement, int64_t from, int64_t now,
                         weir_settlement_run *run);
/* When the next one may; at or before now: there is one already. INT64_MAX: never. */
int64_t weir_settlement_due_at(weir_settlement *settlement);
bool weir_settlement_lease(const weir_settlement *settlement, uint64_t number, weir_lease *lease);
/* The lease that ends first, when it has ended at `now`. */
bool weir_settlement_ended(const weir_settlement *settlement, int64_t now, weir_lease *lease);
int64_t weir_settlement_ends_at(const weir_settlement *settlement); /* INT64_MAX: none does */
/* Its next run at or behind `from` that is not held. */
bool weir_settlement_lease_next(const weir_settlement *settlement, const weir_lease *lease,
                                int64_t from, weir_settlement_run *run);
/* Walks the leases; *position 0 to begin. Nothing may change meanwhile. */
bool weir_settlement_lease_walk(const weir_settlement *settlement, uint32_t *position,
                                weir_lease *lease);

/* ---- Bytes of a page (settlement_page.c) --------------------------------------------------------
 */

/* What is held is written as if it were not. NO_MEMORY. */
weir_err weir_settlement_page_encode(weir_settlement_page *page, weir_buffer *out);
/* In place of what is there of it; leases that it names have no deadline yet. DAMAGED, NO_MEMORY:
 * nothing changed. The page that it became, in *page; it is not told to the watch. */
weir_err weir_settlement_page_decode(weir_settlement *settlement, int64_t number, uint64_t unit,
                                     weir_bytes in, weir_settlement_page **page);
/* A checkpoint says that it is no more. */
void weir_settlement_page_forget(weir_settlement *settlement, int64_t number);
/* What stands for the whole of it in checkpoints: a page of number -1 without cells. Who reads it
 * sets its held_unit. */
weir_settlement_page *weir_settlement_head(weir_settlement *settlement);
void weir_settlement_fresh_set(weir_settlement *settlement, int64_t fresh); /* read from a head */
const weir_settlement_watch *weir_settlement_watch_of(const weir_settlement *settlement);
/* Walks the pages that are there, in order; *position 0 to begin; NULL at the end. */
weir_settlement_page *weir_settlement_page_walk(const weir_settlement *settlement,
                                                uint32_t *position);

#endif
