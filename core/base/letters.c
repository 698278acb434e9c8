/* core/base/letters.c - dead letters that would come back to the group that made them.
 *
 *   group --reject--> dead letter, named like its topic --> a topic that the group reads --> group
 *
 * Each round is a record written, so that such a group never comes to an end. A letter has the key of the
 * record that it is of, and is named TOPIC/KEY then: a filter that matches anything at or below the topic
 * of the letters may read them. */
#include "core/base/letters.h"

#include "core/base/trie.h"

bool weir_letters_return(const weir_group_options *options)
{
    bool returns = options->topic_count == 0 && options->filter.len > 0 &&
                   options->dead_letter.len > 0 &&
                   weir_filter_reaches(options->filter, options->dead_letter);
    for (uint32_t i = 0; i < options->topic_count && options->dead_letter.len > 0; i++) {
        returns = returns || weir_bytes_equal(options->topics[i], options->dead_letter);
    }
    return returns;
}
