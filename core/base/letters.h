/* core/base/letters.h - dead letters that would come back to the group that made them. */
#ifndef WEIR_CORE_BASE_LETTERS_H
#define WEIR_CORE_BASE_LETTERS_H

#include "weir/group.h"

/* Why such a group is refused, for whoever tells it. */
#define WEIR_LETTERS_RETURN_TEXT                                                                    \
    "Its dead letters would come back to it for ever: the dead-letter topic is one that the group " \
    "itself reads. Name another topic as dead_letter, which this group does not read."

/* Whether a group of these options reads the topic that takes its dead letters: one of its topics, or
 * one at or below whose name its filter matches something. Filters pass queue topics by: ask this of log topics, or of
 * groups with topics. No dead-letter topic: false. */
bool weir_letters_return(const weir_group_options *options);

#endif
