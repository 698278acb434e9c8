/* tests/sim/group_model.h - what must be true of consumer groups, written from what is promised of them.
 *
 * It is told what members were handed, what they answered and what that was answered, and which crashes
 * happened. A record is known by its topic, the topic's incarnation, partition and offset.
 *
 * [G1] At most once never twice: what was handed over under at-most-once is never handed over again.
 * [G2] What was settled, and confirmed at a level that every crash since left alone, is not handed out
 *      again; but by a reset.
 * [G3] A partition of a stream group has one owner in a generation.
 * [G4] An answer whose lease (or generation) is known to be over settles nothing.
 * [G5] The fates of [start, end) add up, in each partition.
 * [G6] At least once never zero: when all is handed out and settled at the end of a run, nothing is
 *      pending, and each record was handed over.
 * [G7] Groups are there once that was acknowledged, and gone once that was.
 * [G8] A lease raises `leased` by one, and `failed` by one when it is a failure; a release is none.
 * [G10] A record is not handed out before its time, nor one that was released before its delay.
 * [G11] Of a key one record is out at a time, in order; the first one's delay is that of the key.
 * [G12] Of a single active consumer's group the oldest member gets all.
 * [G13] What was committed, at a level that every crash since left alone, is committed after a start.
 * [G9] A record that is dead-lettered has one letter, and there are as many letters as such fates.
 *
 * Of topics of kind queue, which have one group each:
 * [Q1] Its start moves over records that were settled, and over no others.
 * [Q2] When all is settled its start reaches its end, and its segments go.
 * [Q3] A publish is refused for want of room where there is a limit, and nowhere else.
 * [Q4] Where publishes are refused there is never more than the limit, once there was no more.
 * [Q5] Where the oldest are dropped, or become dead letters, there is at rest no more than the limit, but
 *      for what members hold; nothing is dropped elsewhere.
 * [Q6] Its records come to members alone.
 * [Q8] A record that is not settled is there, in the bytes and at the offset that it has; one that is
 *      settled may be gone before the start has reached it.
 * [Q9] What is owed never turns out to be gone: nothing of it is superseded.
 * And of topics of kind log:
 * [Q7] What retention keeps for groups goes when all of them have settled it. */
#ifndef WEIR_TESTS_SIM_GROUP_MODEL_H
#define WEIR_TESTS_SIM_GROUP_MODEL_H

#include "tests/sim/model.h"

/* Behind those that are made by themselves stands one for each topic: its own, while it is a queue. */
enum { MODEL_FREE_GROUPS = 4, MODEL_GROUPS = MODEL_FREE_GROUPS + MODEL_TOPICS };

typedef enum group_given { GIVEN_NOT, GIVEN_RELEASED, GIVEN_FAILED } group_given;

typedef struct group_slot {
    bool settled;
    bool once;       /* handed over under at-most-once */
    uint8_t level;   /* that it is settled at */
    uint32_t times;  /* handed over, that was seen */
    uint32_t leased; /* as told with the newest lease */
    uint32_t failed;
    group_given given; /* back, by an answer under the newest lease */
    bool answered;     /* somebody accepted or rejected it, whatever came of that */
    uint64_t until_ns; /* it was released until then; 0: not */
    uint64_t lease;    /* the newest that was seen in this life; 0: none */
    uint64_t epoch;
    uint64_t stamp; /* lease, or generation, under which it was settled */
} group_slot;

typedef struct group_log {
    group_slot *slots;
    int64_t count;
    uint32_t incarnation; /* of the topic */
    uint64_t owned;       /* generation in which ... */
    uint64_t owner;       /* ... this member was told that it owns it; 0: nobody */
    int64_t start;        /* as told last */
    bool reads;           /* it was told that the group reads it */
} group_log;

typedef enum group_exists { GROUP_NO, GROUP_YES, GROUP_CREATING, GROUP_DELETING } group_exists;

typedef struct model_group {
    char name[24];
    group_exists exists;
    uint32_t
        life; /* raised when it is made, goes, or is reset: what was asked before tells nothing */
    uint32_t made;   /* raised when it is made or goes */
    uint32_t resets; /* under way: nothing is known */
    weir_model model;
    weir_mode mode;
    uint32_t mode_stamp; /* raised with each change that is asked for */
    uint32_t modes_open; /* changes that are not answered */
    bool client;         /* it promises nothing, or did */
    bool keyed;          /* one record of a key at a time */
    bool single;         /* one member gets all */
    bool from_end;       /* it began there */
    bool lost;           /* takes are refused since its place was removed */
    uint8_t key;         /* of the records that it reads; 0: all */
    bool strict;         /* each record must be handed over */
    bool own;            /* it belongs to a topic, whose name it has */
    bool may_refuse;     /* there was a limit, beyond which publishes are refused, */
    bool may_drop;       /* or the oldest go */
    int64_t limit;       /* in force; 0: none, or not known */
    weir_overflow overflow;
    uint32_t limits_open; /* changes that are not answered */
    bool limit_met;       /* there was no more since that limit is in force */
    uint32_t limit_from;  /* lists from this one on were asked when both was known */
    uint32_t names;       /* that it had */
    bool named_again;     /* one of its name was there before */
    bool was_reset;
    group_log logs[MODEL_TOPICS][MODEL_PARTITIONS];
} model_group;

void group_model_init(model_group *groups);
void group_model_fini(model_group *groups);
void group_model_copy(const model_group *from, model_group *to); /* `to` is group_model_fini's */
/* Nothing is known any more of what became of its records. */
void group_model_forget(model_group *group);
group_slot *group_model_slot(model_group *group, const sim_model *model, uint32_t topic,
                             uint32_t partition, int64_t offset);
/* `once`: surely under at-most-once. `stamp`: lease of a queue, generation of a stream. */
void group_model_handed(model_group *group, sim_model *model, uint32_t topic, uint32_t partition,
                        int64_t offset, const weir_handed *run, uint64_t epoch, uint64_t stamp,
                        bool once);
void group_model_settled(model_group *group, const sim_model *model, uint32_t topic,
                         uint32_t partition, int64_t first, int64_t last, uint64_t stamp,
                         weir_level level);
/* It was released under this lease. */
void group_model_released(model_group *group, const sim_model *model, uint32_t topic,
                          uint32_t partition, int64_t offset, uint64_t lease, uint64_t epoch,
                          bool failed, uint64_t until_ns);
void group_model_owned(model_group *group, sim_model *model, uint32_t topic, uint32_t partition,
                       uint64_t generation, uint64_t member);
void group_model_crashed(model_group *groups, weir_level survives);
/* The model knows what is left of each log. */
void group_model_recovered(model_group *groups, const sim_model *model);
/* [G11] The record may be handed out: each of its key before it was answered. */
void group_model_key(model_group *group, sim_model *model, uint32_t topic, uint32_t partition,
                     int64_t offset, uint8_t key);
/* [G13] Behind what is settled last of a stream's partition. */
int64_t group_model_committed(const group_log *log);
/* [G5] */
void group_model_told(model_group *group, sim_model *model, const weir_group_info *info);
/* Records that are still to be handed out or settled. What a stream passed over behind the last record
 * that it hands out is pending until a commit passes it, and owed to nobody. */
uint64_t group_model_owed(const model_group *group, const sim_model *model,
                          const weir_group_partition *part);
/* [Q1] [Q7] A topic that began at `from` begins at `to`. */
void group_model_start_moved(model_group *groups, sim_model *model, uint32_t topic,
                             uint32_t partition, int64_t from, int64_t to);
/* [Q8] Nothing is told of [from, to) of a queue. Returns how many records are gone that were known. */
uint64_t group_model_hole(const model_group *group, sim_model *model, uint32_t topic,
                          uint32_t partition, int64_t from, int64_t to);
/* [Q4] [Q5] [Q9] `list`: its number; `lists`: that were asked for so far. */
void group_model_limits(model_group *group, sim_model *model, const weir_group_info *info,
                        uint32_t list, uint32_t lists);
/* [G6] */
void group_model_drained(model_group *group, sim_model *model, const weir_group_info *info);

#endif
