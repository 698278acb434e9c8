/* tests/sim/letters.c - what stands in the topic of dead letters, against what groups say of it.
 *
 *   fates told of each group --> all letters are read, and counted by group --> fates told again
 *
 * A letter is of a group by its name, and has the number of the send that it is of. A group that is made
 * under a name that was there before is not counted, nor is a record told apart from itself behind a
 * reset: it may be a dead letter once more. */
#include "tests/sim/groups.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { BYTES = 256 << 10, ROUNDS = 400 };

static const char DEAD[] = "dead";

static weir_bytes header_of(const weir_record *record, const char *name)
{
    weir_header header;
    return weir_record_header(record, name, &header) ? header.value : WEIR_BYTES_NULL;
}

static bool reason_known(weir_bytes reason)
{
    return weir_bytes_equal(reason, WEIR_TEXT("rejected")) ||
           weir_bytes_equal(reason, WEIR_TEXT("delivery-limit")) ||
           weir_bytes_equal(reason, WEIR_TEXT("overflow"));
}

static uint32_t group_of(const sim_world *w, weir_bytes name)
{
    for (uint32_t i = 0; i < MODEL_GROUPS; i++) {
        if (weir_bytes_equal(name, name_of(&w->groups[i]))) {
            return i;
        }
    }
    return MODEL_NONE;
}

static void letter(sim_world *w, const weir_record *record)
{
    weir_bytes name = header_of(record, "weir-dead-group");
    weir_bytes reason = header_of(record, "weir-dead-reason");
    uint32_t send = model_number(record);
    uint32_t index = group_of(w, name);
    if (send >= w->model.send_count || name.len == 0 || !reason_known(reason)) {
        model_fail(&w->model, "[G9] letter %" PRId64 " of group %.*s is of send %u, by reason %.*s",
                   record->offset, (int)name.len, name.ptr, send, (int)reason.len, reason.ptr);
        return;
    }
    if (index == MODEL_NONE) {
        return;
    }
    const model_group *group = &w->groups[index];
    uint16_t bit = (uint16_t)(1u << index);
    bool again = weir_bytes_equal(header_of(record, "weir-dead-topic"), weir_bytes_of(DEAD));
    if (!again && (w->letters.seen[send] & bit) != 0 && !group->named_again && !group->was_reset) {
        model_fail(&w->model, "[G9] group %s: record %u has a second letter, at %" PRId64,
                   group->name, send, record->offset);
    }
    if (record->offset >= w->letters.most) {
        w->letters.most = record->offset + 1;
        world_event(w, SIM_EVENT_dead_letter);
        w->events[SIM_EVENT_overflow_letter] +=
            weir_bytes_equal(reason, WEIR_TEXT("overflow")) ? 1 : 0;
    }
    w->letters.seen[send] |= again ? 0 : bit; /* one of a letter is none of the record */
    w->letters.of[index]++;
}

void world_letters_fetched(sim_world *w, const weir_completion *done)
{
    w->letters.missing = done->err != WEIR_OK;
    for (uint32_t i = 0; done->err == WEIR_OK && i < done->fetched.run_count; i++) {
        const weir_run *run = &done->fetched.runs[i];
        for (uint32_t r = 0; r < run->count && !w->model.failed; r++) {
            weir_record record;
            weir_chunk_record(run->chunk, run->first + r, &record);
            letter(w, &record);
            w->letters.next = record.offset + 1;
        }
    }
}

static bool read_all(sim_world *w)
{
    int64_t from;
    memset(w->letters.of, 0, sizeof(w->letters.of));
    memset(w->letters.seen, 0, w->model.send_count * sizeof(*w->letters.seen));
    w->letters.next = 0;
    do {
        uint64_t token = 0;
        weir_fetch wanted = {
            .topic = weir_bytes_of(DEAD), .offset = w->letters.next, .bytes_max = BYTES};
        sim_ask *ask = world_ask(w, ASK_LETTERS, 0, &token);
        from = w->letters.next;
        if (ask == NULL) {
            return false;
        }
        if (weir_port_fetch(w->ports[0], &wanted, NULL, token) != WEIR_OK) {
            world_ask_drop(w, ask);
            return false;
        }
        if (!world_wait(w, ask)) {
            return false;
        }
    } while (!w->letters.missing && w->letters.next > from);
    return !w->model.failed;
}

static bool list(sim_world *w)
{
    memset(w->letter_fates, 0xff, sizeof(w->letter_fates));
    sim_ask *ask = world_group_list_ask(w, 0);
    return ask != NULL && world_wait(w, ask);
}

static bool counts(const sim_world *w, uint32_t group, uint64_t fates)
{
    return fates != UINT64_MAX && w->groups[group].exists == GROUP_YES &&
           !w->groups[group].named_again;
}

/* *all: each letter that a fate was told of is there; what is in the journal's open unit, or waits for
 * the disk, is not seen yet. */
static bool compare(sim_world *w, bool *all)
{
    uint64_t before[MODEL_GROUPS];
    if (!list(w)) {
        return false;
    }
    memcpy(before, w->letter_fates, sizeof(before));
    if (!read_all(w) || !list(w)) {
        return false;
    }
    *all = true;
    for (uint32_t i = 0; i < MODEL_GROUPS; i++) {
        uint64_t letters = w->letters.of[i];
        if (counts(w, i, w->letter_fates[i]) && letters > w->letter_fates[i]) {
            model_fail(&w->model, "[G9] group %s: %" PRIu64 " letters of %" PRIu64 " records",
                       w->groups[i].name, letters, w->letter_fates[i]);
        }
        *all &= !counts(w, i, before[i]) || letters >= before[i];
        w->events[SIM_EVENT_dead_letters_counted] += letters;
    }
    return !w->model.failed;
}

bool world_letters_check(sim_world *w)
{
    bool all = false;
    bool held = true;
    if (w->model.gaps) {
        return true;
    }
    w->letters.seen = calloc(w->model.send_count + 1, sizeof(*w->letters.seen));
    if (w->letters.seen == NULL) {
        abort();
    }
    for (int round = 0; round < ROUNDS && held && !all; round++) {
        held = compare(w, &all);
    }
    if (held && !all && world_up(w) && weir_engine_health_of(w->engine) == WEIR_HEALTH_OK) {
        model_fail(&w->model, "[G9] a fate says dead-lettered, and the letter does not come");
    }
    free(w->letters.seen);
    w->letters.seen = NULL;
    return held;
}
