/* programs/letters.h - dead letters that would come back to the group that made them. */
#ifndef WEIR_PROGRAMS_LETTERS_H
#define WEIR_PROGRAMS_LETTERS_H

#include "weir/group.h"

/* Whether one of its topics takes its dead letters. What a filter matches is the gateway's to say. */
static inline bool weir_letters_among_topics(const weir_group_options *options)
{
    bool among = false;
    for (uint32_t i = 0; i < options->topic_count && options->dead_letter.len > 0; i++) {
        among = among || weir_bytes_equal(options->topics[i], options->dead_letter);
    }
    return among;
}

#endif
