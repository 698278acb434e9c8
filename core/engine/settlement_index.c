/* core/engine/settlement_index.c - the pages of a settlement in order, and which of them has something
 * to hand out again.
 *
 *   pages   | 7 | - | 9 | 12 |             by number; "-": gone, its place is left empty
 *             |       |    |
 *   due     4 |  max  | 9  | max           leaves: when the page's first record may go out again
 *            \    /    \   /
 *              4         9                 each node the least of its two
 *                  4
 *
 * A page that comes again in the middle, in a replay, moves those behind it and leaves the tree to
 * be made anew. */
#include "core/engine/settlement_parts.h"

#include <stdlib.h>
#include <string.h>

enum { LEAST = 8, GONE_MAX = 16 };

void weir_index_fini(weir_page_index *index)
{
    free(index->pages);
    free(index->numbers);
    free(index->due);
    memset(index, 0, sizeof(*index));
}

uint32_t weir_index_place(const weir_page_index *index, int64_t number)
{
    uint32_t low = index->first;
    uint32_t high = index->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (index->numbers[middle] < number) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

weir_settlement_page *weir_index_find(weir_page_index *index, int64_t number)
{
    uint32_t place = index->last_found;
    if (place >= index->count || index->numbers[place] != number) {
        place = weir_index_place(index, number);
        if (place == index->count || index->numbers[place] != number) {
            return NULL;
        }
        index->last_found = place;
    }
    return index->pages[place];
}

/* ---- The tree ----------------------------------------------------------------------------------- */

static void tree_make(weir_page_index *index)
{
    for (uint32_t i = index->count; i < index->capacity; i++) {
        index->due[index->capacity + i] = INT64_MAX;
    }
    for (uint32_t i = index->capacity - 1; i > 0; i--) {
        int64_t left = index->due[2 * i];
        int64_t right = index->due[2 * i + 1];
        index->due[i] = left < right ? left : right;
    }
    index->stale = false;
}

static void tree_ask(weir_page_index *index)
{
    if (index->stale) {
        tree_make(index);
    }
}

void weir_index_due_set(weir_page_index *index, uint32_t place, int64_t due)
{
    uint32_t at = index->capacity + place;
    if (index->due[at] == due) {
        return;
    }
    index->due[at] = due;
    while (!index->stale && at > 1) {
        int64_t other = index->due[at ^ 1];
        int64_t least = due < other ? due : other;
        at /= 2;
        if (index->due[at] == least) {
            return;
        }
        index->due[at] = least;
        due = least;
    }
}

void weir_index_due_lower(weir_page_index *index, const weir_settlement_page *page, int64_t due)
{
    uint32_t place = index->last_found;
    if (place >= index->count || index->pages[place] != page) {
        place = weir_index_place(index, page->number);
    }
    if (due < index->due[index->capacity + place]) {
        weir_index_due_set(index, place, due);
    }
}

uint32_t weir_index_due_find(weir_page_index *index, uint32_t from, int64_t now)
{
    if (from >= index->count) {
        return index->count;
    }
    tree_ask(index);
    uint32_t at = index->capacity + from;
    while (index->due[at] > now) {
        while ((at & 1) != 0) { /* up, until there is something to the right */
            if (at == 1) {
                return index->count;
            }
            at /= 2;
        }
        at++;
    }
    while (at < index->capacity) {
        at = 2 * at + (index->due[2 * at] <= now ? 0 : 1);
    }
    uint32_t place = at - index->capacity;
    return place < index->count ? place : index->count;
}

int64_t weir_index_due_least(weir_page_index *index)
{
    if (index->count == 0) {
        return INT64_MAX;
    }
    tree_ask(index);
    return index->capacity > 1 ? index->due[1] : INT64_MAX;
}

/* ---- Pages come and go -------------------------------------------------------------------------- */

/* Moves the leaves along with the pages: they stand behind the tree's `capacity` inner nodes. */
static weir_err grow(weir_page_index *index)
{
    uint32_t capacity = index->capacity == 0 ? LEAST : 2 * index->capacity;
    weir_settlement_page **pages = realloc(index->pages, capacity * sizeof(*pages));
    index->pages = pages != NULL ? pages : index->pages;
    int64_t *numbers = realloc(index->numbers, capacity * sizeof(*numbers));
    index->numbers = numbers != NULL ? numbers : index->numbers;
    int64_t *due = malloc(2 * (size_t)capacity * sizeof(*due));
    if (pages == NULL || numbers == NULL || due == NULL) {
        free(due);
        return WEIR_NO_MEMORY;
    }
    if (index->count > 0) {
        memcpy(due + capacity, index->due + index->capacity, index->count * sizeof(*due));
    }
    free(index->due);
    index->due = due;
    index->capacity = capacity;
    tree_make(index);
    return WEIR_OK;
}

static void close_gaps(weir_page_index *index)
{
    uint32_t kept = 0;
    int64_t *leaves = index->due + index->capacity;
    for (uint32_t i = 0; i < index->count; i++) {
        if (index->pages[i] != NULL) {
            index->pages[kept] = index->pages[i];
            index->numbers[kept] = index->numbers[i];
            leaves[kept] = leaves[i];
            kept++;
        }
    }
    index->count = kept;
    index->gone = 0;
    index->first = 0;
    tree_make(index);
}

/* Makes place `place` free: those from there on go one further. */
static void shift(weir_page_index *index, uint32_t place)
{
    uint32_t behind = index->count - place;
    int64_t *leaves = index->due + index->capacity;
    memmove(&index->pages[place + 1], &index->pages[place], behind * sizeof(*index->pages));
    memmove(&index->numbers[place + 1], &index->numbers[place], behind * sizeof(*index->numbers));
    memmove(&leaves[place + 1], &leaves[place], behind * sizeof(*leaves));
    index->count++;
    index->stale = index->stale || behind > 0;
    leaves[place] = INT64_MAX;
}

weir_err weir_index_add(weir_page_index *index, weir_settlement_page *page)
{
    if (index->count == index->capacity && grow(index) != WEIR_OK) {
        return WEIR_NO_MEMORY;
    }
    uint32_t place = weir_index_place(index, page->number);
    if (place == index->first && index->first > 0) {
        place = --index->first; /* an empty place before all */
        index->gone--;
    } else if (place < index->count && index->numbers[place] == page->number) {
        WEIR_ASSERT(index->pages[place] == NULL);
        index->gone--;
    } else {
        shift(index, place);
    }
    index->pages[place] = page;
    index->numbers[place] = page->number;
    index->last_found = place;
    return WEIR_OK;
}

/* ---- Going over all cells ----------------------------------------------------------------------- */

void weir_settlement_walk_begin(const weir_settlement *settlement, int64_t from, int64_t end,
                                weir_settlement_walk *walk)
{
    int64_t at = from > 0 ? from : 0;
    *walk = (weir_settlement_walk){
        .at = at,
        .end = end,
        .page = weir_index_place(&settlement->index, at / WEIR_SETTLEMENT_PAGE)};
}

bool weir_settlement_walk_next(const weir_settlement *settlement, weir_settlement_walk *walk,
                               int64_t *first, int64_t *last)
{
    const weir_page_index *index = &settlement->index;
    for (; walk->page < index->count; walk->page++, walk->cell = 0) {
        const weir_settlement_page *page = index->pages[walk->page];
        for (; page != NULL && walk->cell < page->cell_count; walk->cell++) {
            const weir_settlement_cell *cell = &page->cells[walk->cell];
            int64_t from = page->number * WEIR_SETTLEMENT_PAGE + cell->first;
            int64_t to = page->number * WEIR_SETTLEMENT_PAGE + cell->last;
            if (from >= walk->end || walk->at >= walk->end) {
                return false;
            }
            if (to >= walk->at) {
                *first = from > walk->at ? from : walk->at;
                *last = to < walk->end ? to : walk->end - 1;
                walk->cell++;
                return true;
            }
        }
    }
    return false;
}

void weir_index_remove(weir_page_index *index, weir_settlement_page *page)
{
    uint32_t place = weir_index_place(index, page->number);
    WEIR_ASSERT(place < index->count && index->pages[place] == page);
    weir_index_due_set(index, place, INT64_MAX);
    index->pages[place] = NULL;
    index->gone++;
    while (index->first < index->count && index->pages[index->first] == NULL) {
        index->first++;
    }
    if (index->gone > GONE_MAX && index->gone > index->count / 2) {
        close_gaps(index);
    }
}
