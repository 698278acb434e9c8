/* core/base/value_set.h - a set of pointers in an array, for the trie alone. Zeroed is empty; a set
 * that holds something does not move, because its only value lies inside it. */
#ifndef WEIR_CORE_BASE_VALUE_SET_H
#define WEIR_CORE_BASE_VALUE_SET_H

#include "weir/base.h"

typedef struct weir_value_set {
    void **values; /* count of them, in no order; &only while one is enough */
    void *only;
    uint32_t *places;
    uint32_t count;
    uint32_t capacity;
    uint32_t places_capacity; /* 0 while the set is small */
} weir_value_set;

void weir_value_set_fini(weir_value_set *set);
/* EXISTS, LIMIT (2^30 values), NO_MEMORY: unchanged. */
weir_err weir_value_set_add(weir_value_set *set, void *value);
weir_err weir_value_set_remove(weir_value_set *set, void *value); /* NOT_FOUND */
bool weir_value_set_has(const weir_value_set *set, void *value);

#endif
