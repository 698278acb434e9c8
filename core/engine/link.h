/* core/engine/link.h - lists whose nodes lie in what they list: adding and taking out cost no memory and no
 * search.
 *
 *   head <-> a.link <-> b.link <-> head      a list is a circle through its head; empty: the head alone */
#ifndef WEIR_CORE_ENGINE_LINK_H
#define WEIR_CORE_ENGINE_LINK_H

#include <stdbool.h>
#include <stddef.h>

/* A zeroed node is in no list. */
typedef struct weir_link {
    struct weir_link *next, *previous;
} weir_link;
#define WEIR_OWNER_OF(link, type, member) ((type *)(void *)((char *)(link)-offsetof(type, member)))

static inline void weir_link_init(weir_link *list)
{
    list->next = list;
    list->previous = list;
}

static inline bool weir_link_empty(const weir_link *list)
{
    return list->next == list || list->next == NULL;
}

static inline bool weir_link_in(const weir_link *link)
{
    return link->next != NULL;
}

static inline void weir_link_append(weir_link *list, weir_link *link)
{
    link->previous = list->previous;
    link->next = list;
    list->previous->next = link;
    list->previous = link;
}

static inline void weir_link_remove(weir_link *link)
{
    if (link->next != NULL) {
        link->previous->next = link->next;
        link->next->previous = link->previous;
        link->next = NULL;
        link->previous = NULL;
    }
}

#endif
