/* core/base/trie.h - topic filters with + and #, matched against names by levels.
 *
 * MQTT's rules (MQTT 5.0 section 4.7): + is one level, # is the parent and everything below, and
 * neither matches a first level that begins with $. No recursion over a peer's levels. */
#ifndef WEIR_CORE_BASE_TRIE_H
#define WEIR_CORE_BASE_TRIE_H

#include "weir/base.h"

enum { WEIR_LEVELS_MAX = 128, WEIR_FILTER_BYTES_MAX = 1024 };

/* A legal filter: 1 to WEIR_FILTER_BYTES_MAX bytes of UTF-8 without control characters, at most
 * WEIR_LEVELS_MAX levels, + alone in its level, # alone and last. NAME_INVALID otherwise. */
weir_err weir_filter_check(weir_bytes filter);
/* A legal name to publish to: as above, without + and #. Empty levels are legal here. */
weir_err weir_name_check(weir_bytes name);
bool weir_filter_has_wildcard(weir_bytes filter);
bool weir_filter_matches(weir_bytes filter, weir_bytes name);
/* True when some name could match both: used to tell which topics a filter can reach. `prefix` is a
 * topic; the answer is whether `filter` can match it or a name below it (prefix/...). */
bool weir_filter_reaches(weir_bytes filter, weir_bytes prefix);

typedef struct weir_trie weir_trie;

weir_err weir_trie_create(weir_trie **trie);
void weir_trie_destroy(weir_trie *trie);
/* Adds `value` under `filter`; a filter holds any number of values, each at most once (EXISTS).
 * NAME_INVALID, NO_MEMORY: unchanged. */
weir_err weir_trie_add(weir_trie *trie, weir_bytes filter, void *value);
/* NOT_FOUND when that pair was not added. Empty nodes are given back. */
weir_err weir_trie_remove(weir_trie *trie, weir_bytes filter, void *value);
/* Calls each(arg, value) for every value of every filter that matches `name`; order unspecified. A
 * value under two filters that match comes twice. `each` must not add to the trie or remove from
 * it. */
void weir_trie_match(const weir_trie *trie, weir_bytes name, void (*each)(void *arg, void *value),
                     void *arg);
size_t weir_trie_count(const weir_trie *trie); /* pairs in it */

#endif
