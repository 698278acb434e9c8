/* bench/account.c - the irregular part of counting: gaps that open, close, and are found empty.
 *
 * Happy path: it is never called. A subject that drops a run opens one gap for the whole run, so
 * the list stays short; one that drops every other message fills it, and what finds no room is
 * counted as lost at once and, should it come after all, as duplicated.
 *
 * [C1] Gaps rise, are disjoint, not empty, and end at or below `expected`.
 * [C2] sent = had once + missing + not yet expected, for every (subscriber, publisher). */
#include "bench/account.h"

#include <stdlib.h>
#include <string.h>

static bool gap_insert(weir_account *account, uint32_t at, weir_account_gap gap)
{
    if (account->gap_count == account->gap_capacity) {
        uint32_t capacity = account->gap_capacity > 0 ? account->gap_capacity * 2 : 16;
        weir_account_gap *gaps;
        if (capacity > WEIR_ACCOUNT_GAPS_MAX) {
            return false;
        }
        gaps = realloc(account->gaps, capacity * sizeof(*gaps));
        if (gaps == NULL) {
            return false;
        }
        account->gaps = gaps;
        account->gap_capacity = capacity;
    }
    memmove(&account->gaps[at + 1], &account->gaps[at],
            (account->gap_count - at) * sizeof(account->gaps[0]));
    account->gaps[at] = gap;
    account->gap_count++;
    return true;
}

static void gap_remove(weir_account *account, uint32_t at)
{
    account->gap_count--;
    memmove(&account->gaps[at], &account->gaps[at + 1],
            (account->gap_count - at) * sizeof(account->gaps[0]));
}

/* Takes `sequence` out of gap `at`, which holds it. */
static void gap_close(weir_account *account, uint32_t at, uint64_t sequence)
{
    weir_account_gap *gap = &account->gaps[at];
    weir_account_gap above = {sequence + 1, gap->to};
    if (gap->from == sequence && gap->to == sequence + 1) {
        gap_remove(account, at);
    } else if (gap->from == sequence) {
        gap->from++;
    } else {
        gap->to = sequence;
        if (above.from < above.to && !gap_insert(account, at + 1, above)) {
            account->forgotten += above.to - above.from;
        }
    }
}

void weir_account_irregular(weir_account *account, uint64_t sequence)
{
    if (sequence > account->expected) {
        weir_account_gap gap = {account->expected, sequence};
        if (!gap_insert(account, account->gap_count, gap)) {
            account->forgotten += gap.to - gap.from;
        }
        account->expected = sequence + 1;
        return;
    }
    for (uint32_t i = account->gap_count; i-- > 0;) {
        if (sequence >= account->gaps[i].from && sequence < account->gaps[i].to) {
            gap_close(account, i, sequence);
            account->reordered++;
            return;
        }
    }
    account->duplicated++;
}

uint64_t weir_account_missing(const weir_account *account)
{
    uint64_t missing = account->forgotten;
    for (uint32_t i = 0; i < account->gap_count; i++) {
        missing += account->gaps[i].to - account->gaps[i].from;
    }
    return missing;
}

uint64_t weir_account_lost(const weir_account *account, uint64_t sent)
{
    uint64_t tail = sent > account->expected ? sent - account->expected : 0;
    return weir_account_missing(account) + tail;
}

void weir_account_fini(weir_account *account)
{
    free(account->gaps);
    *account = (weir_account){0};
}
