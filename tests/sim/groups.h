/* tests/sim/groups.h - what the files about groups and their members share. Only for them. */
#ifndef WEIR_TESTS_SIM_GROUPS_H
#define WEIR_TESTS_SIM_GROUPS_H

#include "tests/sim/sim.h"

/* Nobody is out who was heard less than this ago. */
enum { SESSION_LEAST_NS = 900000000 };

static inline uint64_t below(sim_world *w, uint64_t bound)
{
    return sim_random_below(&w->chance, bound);
}

static inline bool one_in(sim_world *w, uint32_t n)
{
    return sim_random_chance(&w->chance, n);
}

static inline weir_bytes name_of(const model_group *group)
{
    return weir_bytes_of(group->name);
}

static inline uint8_t member_index(const sim_world *w, const sim_member *member)
{
    return (uint8_t)(member - w->members);
}

/* groups.c. The ask remembers the group's life: what became of it since says nothing when that is
 * another. NULL: too many are open. */
sim_ask *world_ask_group(sim_world *w, ask_kind kind, uint32_t group, uint32_t port,
                         uint64_t *token);
bool world_ask_group_current(const sim_world *w, const sim_ask *ask);
uint32_t world_any_group(sim_world *w, group_exists exists); /* MODEL_NONE: none */
void world_group_settings(sim_world *w, const model_group *group, weir_group_options *options);
void world_dead_topic(sim_world *w, uint32_t port);
sim_ask *world_group_list_ask(sim_world *w, uint32_t port); /* NULL: it could not be asked */

/* Its place was removed, and it waits for somebody to say where it goes on. */
void world_group_find_place(sim_world *w, uint32_t index);

/* letters.c. [G9] Reads the dead letters; false: it broke off. */
bool world_letters_check(sim_world *w);
void world_letters_fetched(sim_world *w, const weir_completion *done);

/* stories.c. The metrics of fates; [G15] against groups as told since. */
void world_fates_now(const sim_world *w, uint64_t fates[WEIR_FATE_COUNT]);
void world_fates_check(sim_world *w, const uint64_t least[WEIR_FATE_COUNT],
                       const weir_groups *groups);

/* members.c. Its topic is still the one it was read from. */
bool world_item_same(const sim_world *w, const sim_item *item);

/* told.c */
void world_member_answered(sim_world *w, const sim_ask *ask, const weir_completion *done);

/* queues.c. How much a queue may have, and what happens beyond. */
void world_limits_choose(sim_world *w, model_group *group, sim_ask *ask,
                         weir_group_options *options);
void world_limits_answered(sim_world *w, const sim_ask *ask, const weir_completion *done);
void world_queue_set(sim_world *w, const sim_ask *ask, const weir_completion *done);
/* The list of a start. */
void world_queue_recovered(sim_world *w, uint32_t group, const weir_group_info *info);

#endif
