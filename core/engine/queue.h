/* core/engine/queue.h - between the files of queue groups.
 *
 *   queue.c         parts, members, what a turn does: leases that end, records that retention passed
 *   queue_take.c    what a member is given
 *   queue_settle.c  what members say of it
 *   queue_entry.c   entries 26 and 27: written, applied, replayed
 *   queue_move.c    records on their way to the dead-letter topic
 *   queue_keys.c    key_ordered: one record of a key at a time
 *   queue_save.c    snapshot kind SETTLEMENT
 *
 * [U1] Every change of a record's state is in an entry with its ranges; apply derives nothing from
 *      the state of other records, since the pages of a checkpoint are of different units.
 * [U2] A record behind the fresh ones has an item in the entry that passed it: taken, delayed,
 *      unmatched, expired, superseded or damaged.
 * [U3] An answer changes records only under the lease, in the epoch, that it names [G2]. */
#ifndef WEIR_CORE_ENGINE_QUEUE_H
#define WEIR_CORE_ENGINE_QUEUE_H

#include "core/engine/group.h"
#include "core/engine/settlement.h"

enum {
    WEIR_QUEUE_ITEMS_MAX = 4096,    /* of one entry */
    WEIR_QUEUE_ENDED_MAX = 8192,    /* records of leases that end in one turn */
    WEIR_QUEUE_MOVES_MAX = 256,     /* records that one turn takes to dead-letter topics */
    WEIR_QUEUE_RETRY_MS = 500,      /* after the journal, or a dead-letter topic, had no room */
    WEIR_QUEUE_KEYS_MAX = 262144,   /* records with keys that a part of a key_ordered group knows */
    WEIR_QUEUE_EXAMINED_MAX = 8192, /* records that one take passes over */
};

/* A record that is on its way to the dead-letter topic waits for this time. */
#define WEIR_QUEUE_MOVING INT64_MAX

typedef enum weir_item_kind {
    WEIR_ITEM_TAKEN = 1,
    WEIR_ITEM_UNMATCHED = 2,
    WEIR_ITEM_EXPIRED = 3,
    WEIR_ITEM_SUPERSEDED = 4,
    WEIR_ITEM_DAMAGED = 5,
    WEIR_ITEM_DELAYED = 6,
    WEIR_ITEM_KINDS,
} weir_item_kind;

typedef struct weir_queue_item {
    int64_t first;
    int64_t until; /* DELAYED */
    uint32_t count;
    uint32_t leased; /* as they are told in a note */
    uint32_t failed;
    uint8_t kind;
} weir_queue_item;

typedef struct weir_queue_items {
    weir_queue_item *items;
    uint32_t count;
    uint32_t capacity;
} weir_queue_items;

/* Entry 26. */
typedef struct weir_acquisition {
    uint8_t mode; /* at-most-once: they are accepted at once, under no lease */
    weir_lease lease;
    const weir_member *member; /* live; NULL: replay */
} weir_acquisition;

/* Tags stand in the journal: never change or reuse one. */
typedef enum weir_queue_event {
    WEIR_EVENT_ACCEPTED = 1,
    WEIR_EVENT_RELEASED = 2,
    WEIR_EVENT_FAILED = 3,
    WEIR_EVENT_LEASE_EXPIRED = 4,
    WEIR_EVENT_CONNECTION_LOST = 5,
    WEIR_EVENT_RETURNED = 6,
    WEIR_EVENT_REJECTED = 7,
    WEIR_EVENT_DEAD_LETTERED = 8,
    WEIR_EVENT_EXPIRED = 9,
    WEIR_EVENT_SUPERSEDED = 10,
    WEIR_EVENT_DAMAGED = 11,
    WEIR_EVENT_DROPPED = 12,
    WEIR_EVENTS,
} weir_queue_event;

/* Entry 27. */
typedef struct weir_settling {
    weir_queue_event event;
    weir_fate fate;            /* PENDING: they wait, */
    int64_t until;             /* so long; MOVING: for the dead-letter topic */
    bool failed;               /* is raised */
    const weir_member *member; /* who said so; live */
    weir_bytes reason;
    const char *why; /* in place of a reason; NULL: none */
    weir_letter letter;
} weir_settling;

/* A range that is to go to the dead-letter topic. */
typedef struct weir_move {
    weir_link link; /* queue_part.moves */
    int64_t first, last;
    uint64_t member; /* who had it last; 0: nobody knows */
    uint32_t reason_bytes;
    uint8_t reason[];
} weir_move;

struct weir_queue_part {
    weir_engine *engine;
    weir_group_part *part;
    bool whole;         /* every record of the topic is the group's */
    bool trimmed;       /* its partition's start was moved */
    uint64_t held_most; /* the newest unit that a page holds */
    bool moves_lost;    /* memory was short: they are looked for in the states */
    weir_link moves;
    weir_link moving_link;  /* queue.moving */
    struct weir_keys *keys; /* NULL: not ordered by key */
    struct weir_load *load; /* overflow.c: the bytes of what is unsettled; NULL: nobody asked */
    int64_t expire_at;      /* a full queue's expired records: the walk goes on here */
    weir_sparse_place sparse;
};
typedef struct weir_queue_part weir_queue_part;

struct weir_queue {
    weir_group *group;
    uint64_t lease_next;
    uint64_t unsettled;   /* of all parts */
    weir_map members;     /* by number, the key in the member itself */
    uint32_t keys_max;    /* KEYS_MAX; tests have less */
    int64_t look_ms;      /* engine time: nothing ends before */
    weir_link moving;     /* parts with records for the dead-letter topic */
    weir_member mover;    /* reads for them; in no list */
    weir_member spiller;  /* the same for what overflow.c takes away */
    uint64_t expire_turn; /* that looked for expired records of a full queue last */
    uint64_t sum_turn;    /* the turn in which these were so: */
    uint64_t sum_records; /* of all parts, with what came since */
    uint64_t sum_bytes;
    weir_queue_items items;
    weir_queue_items dead;
    weir_handed *handed; /* a take's runs, while it is made */
    uint32_t handed_count;
    uint32_t handed_capacity;
    uint64_t *numbers; /* leases of a member that leaves */
    uint32_t number_capacity;
};
typedef struct weir_queue weir_queue;

/* queue_take.c */
/* Whether the record's own `expiry` is over. */
bool weir_queue_expired(const weir_chunk *chunk, uint32_t index, int64_t now);
/* Until when its `deliver-at` or `delay` holds it back; 0: not any more. */
int64_t weir_queue_delayed(const weir_chunk *chunk, uint32_t index, int64_t now);

/* queue_entry.c */
/* Appends a range, to the last item when it goes on there. NO_MEMORY. */
weir_err weir_queue_item_add(weir_queue_items *items, const weir_queue_item *item);
/* Asks for room, then writes and applies. Errors as weir_engine_unit, NO_MEMORY: nothing changed. */
weir_err weir_queue_acquire(weir_engine *engine, weir_group_part *part,
                            const weir_acquisition *acquisition, const weir_queue_items *items);
/* The same of [first, first + count) of the items; at most ITEMS_MAX. */
weir_err weir_queue_tell(weir_engine *engine, weir_group_part *part, const weir_settling *settling,
                         const weir_queue_item *items, uint32_t count);
/* Its halves, for an entry that goes with others. */
weir_err weir_queue_tell_room(weir_engine *engine, weir_group_part *part,
                              const weir_settling *settling, const weir_queue_item *items,
                              uint32_t count, uint64_t more_bytes);
void weir_queue_tell_now(weir_engine *engine, weir_group_part *part, const weir_settling *settling,
                         const weir_queue_item *items, uint32_t count);

/* queue.c */
void weir_queue_look_at(weir_engine *engine, weir_group *group, int64_t time_ms);
weir_member *weir_queue_member_of(const weir_group *group, uint64_t number); /* NULL: it left */
/* Records that were under leases of this member are no more. */
void weir_queue_member_less(weir_group *group, uint64_t number, uint64_t records);
/* They failed, or were rejected (settling.event), and have no lease any more: they wait, or go to the
 * dead-letter topic, or end. Takes `items` apart; each with its `failed` so far. */
weir_err weir_queue_fail(weir_engine *engine, weir_group_part *part, const weir_settling *settling,
                         const weir_queue_items *items);
/* Topic level, or what is kept in memory only when there is none. */
weir_level weir_queue_level(const weir_group_part *part);

/* queue_move.c */
bool weir_queue_dead_letters(const weir_engine *engine, const weir_group *group);
/* The records are MOVING now. `settling`: who said why; NULL: after a start. */
void weir_queue_move_add(weir_group_part *part, int64_t first, int64_t last,
                         const weir_settling *settling);
void weir_queue_moves_find(weir_group_part *part); /* after a start */
void weir_queue_moves_work(weir_engine *engine, weir_group *group);
void weir_queue_moves_free(weir_queue_part *own);
/* [G4] One record becomes a dead letter and is settled, in one unit. NOT_FOUND: the topic is gone. */
weir_err weir_queue_bury(weir_engine *engine, weir_group_part *part, weir_chunk *chunk,
                         uint32_t index, const weir_queue_item *item, const char *why,
                         weir_bytes reason, const weir_member *member);

/* overflow.c: what it is told, and what it does in a turn */
void weir_overflow_settled(weir_group_part *part, int64_t first, int64_t last);
/* There may be more than may be, and something that can go. */
void weir_overflow_look(weir_engine *engine, weir_group *group);
void weir_overflow_work(weir_engine *engine, weir_group *group);
void weir_overflow_forget(weir_queue_part *own); /* it is learned anew */

/* queue_keys.c: what is in memory only of key_ordered */
weir_err weir_keys_make(weir_group_part *part);
void weir_keys_free(weir_queue_part *own);
void weir_keys_forget(weir_queue_part *own); /* all: they are learned anew */
bool weir_keys_wanted(const weir_group_part *part);
/* Learns the keys of what is unsettled already. MORE: a read was begun for it. LIMIT: only records
 * below *known may be asked for. NO_MEMORY. */
weir_err weir_keys_learn(weir_engine *engine, weir_member *member, weir_group_part *part,
                         int64_t *known);
/* May this record be given out now? It is remembered in either case. LIMIT: too many wait. */
weir_err weir_keys_ask(weir_group_part *part, int64_t offset, weir_bytes key, bool *may);
/* What a take did with records it asked for: those that wait are held, those that ended let go. */
void weir_keys_told(weir_group_part *part, const weir_queue_items *items, bool once);
/* They are settled: who waited behind them may go. */
void weir_keys_settled(weir_group_part *part, int64_t first, int64_t last);

/* queue_save.c */
void weir_queue_page_changed(void *arg, weir_settlement_page *page);
void weir_queue_page_gone(void *arg, weir_settlement_page *page);

#endif
