/* core/base/trie.c - which of 100,000 filters match a name, without looking at the others.
 *
 *   filters  a/b -> v   a/+ -> w   a/# -> x   # -> y
 *
 *   root ---a--- node ---b--- node {values: v}
 *    |            +------+--- node {values: w}
 *    |            below: x                          # is no node: it is the set `below` of its
 * parent below: y
 *
 * A child by + is a pointer in its parent. All children by name are in one hash table of the trie,
 * keyed by parent and level, so a node with 50,000 children and one with none cost what they hold.
 * The table probes linearly; a removal closes its gap, so no mark of it stays.
 *
 * Happy path: match hashes each level of the name once, then visits the nodes that fit from a stack
 * of its own: every visit leaves at most two children, one level deeper, so the stack never holds
 * more than one entry a level and two for the last. A filter's values are a set (value_set.h).
 * Failures: add makes the missing nodes first and gives the new ones back when memory runs out.
 *
 * [T1] A node other than the root has a value, a value below, or a child: the trie is as large as
 * what is in it. [T2] edges_capacity is 0, or a power of two at least 4/3 of edges_count: every
 * walk ends. */
#include "core/base/trie.h"

#include "core/base/assert.h"
#include "core/base/hash.h"
#include "core/base/value_set.h"

#include <stdlib.h>
#include <string.h>

enum { EDGES_CAPACITY_MIN = 16 };

typedef struct trie_node {
    struct trie_node *parent; /* NULL: the root */
    struct trie_node *plus;   /* the child by + */
    weir_value_set values;    /* of the filter that ends here */
    weir_value_set below;     /* of the filter that goes on with # */
    uint64_t salt;            /* sets its children apart from those of other nodes */
    uint64_t edge_hash;       /* of (parent, level), when it is a child by name */
    uint32_t children_count;  /* by name */
    uint16_t level_len;
    bool by_plus;
    uint8_t level[];
} trie_node;

typedef struct trie_edge {
    uint64_t hash;
    trie_node *node; /* NULL: empty */
} trie_edge;

struct weir_trie {
    trie_node *root;
    trie_edge *edges;
    size_t edges_capacity;
    size_t edges_count;
    size_t pairs_count;
    uint64_t salt_next;
};

typedef struct trie_level {
    weir_bytes text;
    uint64_t hash;
} trie_level;

/* A name or filter cut at its slashes. What lies past WEIR_LEVELS_MAX levels is only known to
 * exist: no filter is that deep. */
typedef struct trie_path {
    size_t count;
    bool longer;
    trie_level levels[WEIR_LEVELS_MAX];
} trie_path;

static void path_cut(trie_path *path, weir_bytes text)
{
    size_t start = 0;
    path->count = 0;
    while (start <= text.len && path->count < WEIR_LEVELS_MAX) {
        const uint8_t *first = text.ptr + start;
        const uint8_t *slash = start == text.len ? NULL : memchr(first, '/', text.len - start);
        size_t len = slash == NULL ? text.len - start : (size_t)(slash - first);
        weir_bytes level = {first, len};
        path->levels[path->count++] = (trie_level){level, weir_hash(level)};
        start += len + 1;
    }
    path->longer = start <= text.len;
}

static bool level_is(const trie_level *level, char wildcard)
{
    return level->text.len == 1 && level->text.ptr[0] == (uint8_t)wildcard;
}

static uint64_t edge_hash(const trie_node *parent, const trie_level *level)
{
    uint64_t mixed = (level->hash ^ parent->salt) * 0xff51afd7ed558ccdu;
    return mixed ^ mixed >> 32;
}

static bool edge_leads(const trie_edge *edge, uint64_t hash, const trie_node *parent,
                       weir_bytes level)
{
    const trie_node *node = edge->node;
    return edge->hash == hash && node->parent == parent && node->level_len == level.len &&
           memcmp(node->level, level.ptr, level.len) == 0;
}

static trie_node *child_find(const weir_trie *trie, const trie_node *parent,
                             const trie_level *level)
{
    if (parent->children_count == 0) {
        return NULL;
    }
    size_t mask = trie->edges_capacity - 1;
    uint64_t hash = edge_hash(parent, level);
    for (size_t i = hash & mask; trie->edges[i].node != NULL; i = (i + 1) & mask) {
        if (edge_leads(&trie->edges[i], hash, parent, level->text)) {
            return trie->edges[i].node;
        }
    }
    return NULL;
}

static void edge_put(trie_edge *edges, size_t capacity, trie_edge edge)
{
    size_t i = edge.hash & (capacity - 1);
    while (edges[i].node != NULL) {
        i = (i + 1) & (capacity - 1);
    }
    edges[i] = edge;
}

static weir_err edges_resize(weir_trie *trie, size_t capacity)
{
    trie_edge *edges = calloc(capacity, sizeof(*edges));
    if (edges == NULL) {
        return WEIR_NO_MEMORY;
    }
    for (size_t i = 0; i < trie->edges_capacity; i++) {
        if (trie->edges[i].node != NULL) {
            edge_put(edges, capacity, trie->edges[i]);
        }
    }
    free(trie->edges);
    trie->edges = edges;
    trie->edges_capacity = capacity;
    return WEIR_OK;
}

static weir_err edges_make_room(weir_trie *trie)
{
    if ((trie->edges_count + 1) * 4 <= trie->edges_capacity * 3) {
        return WEIR_OK; /* [T2] */
    }
    return edges_resize(trie,
                        trie->edges_capacity == 0 ? EDGES_CAPACITY_MIN : trie->edges_capacity * 2);
}

static void edge_remove(weir_trie *trie, const trie_node *node)
{
    size_t mask = trie->edges_capacity - 1;
    size_t gap = node->edge_hash & mask;
    while (trie->edges[gap].node != node) {
        WEIR_ASSERT(trie->edges[gap].node != NULL);
        gap = (gap + 1) & mask;
    }
    for (size_t i = (gap + 1) & mask; trie->edges[i].node != NULL; i = (i + 1) & mask) {
        size_t home = trie->edges[i].hash & mask;
        if (((i - home) & mask) >= ((i - gap) & mask)) {
            trie->edges[gap] = trie->edges[i];
            gap = i;
        }
    }
    trie->edges[gap].node = NULL;
    trie->edges_count--;
    if (trie->edges_capacity > EDGES_CAPACITY_MIN && trie->edges_count * 8 < trie->edges_capacity) {
        (void)edges_resize(trie, trie->edges_capacity / 2); /* without memory it stays large */
    }
}

static trie_node *node_create(weir_trie *trie, trie_node *parent, weir_bytes level)
{
    trie_node *node = calloc(1, sizeof(*node) + level.len);
    if (node == NULL) {
        return NULL;
    }
    node->parent = parent;
    node->salt = ++trie->salt_next * 0x9e3779b97f4a7c15u;
    node->level_len = (uint16_t)level.len;
    if (level.len > 0) {
        memcpy(node->level, level.ptr, level.len);
    }
    return node;
}

static void node_destroy(trie_node *node)
{
    weir_value_set_fini(&node->values);
    weir_value_set_fini(&node->below);
    free(node);
}

static bool node_is_empty(const trie_node *node)
{
    return node->values.count == 0 && node->below.count == 0 && node->plus == NULL &&
           node->children_count == 0;
}

/* [T1] Gives back `node` and every parent that this leaves empty. */
static void nodes_prune(weir_trie *trie, trie_node *node)
{
    while (node->parent != NULL && node_is_empty(node)) {
        trie_node *parent = node->parent;
        if (node->by_plus) {
            parent->plus = NULL;
        } else {
            edge_remove(trie, node);
            parent->children_count--;
        }
        node_destroy(node);
        node = parent;
    }
}

static trie_node *child_get(const weir_trie *trie, const trie_node *parent, const trie_level *level)
{
    return level_is(level, '+') ? parent->plus : child_find(trie, parent, level);
}

static trie_node *child_add(weir_trie *trie, trie_node *parent, const trie_level *level)
{
    bool by_plus = level_is(level, '+');
    if (!by_plus && edges_make_room(trie) != WEIR_OK) {
        return NULL;
    }
    trie_node *node = node_create(trie, parent, level->text);
    if (node == NULL) {
        return NULL;
    }
    node->by_plus = by_plus;
    if (by_plus) {
        parent->plus = node;
        return node;
    }
    node->edge_hash = edge_hash(parent, level);
    edge_put(trie->edges, trie->edges_capacity, (trie_edge){node->edge_hash, node});
    trie->edges_count++;
    parent->children_count++;
    return node;
}

weir_err weir_trie_create(weir_trie **trie)
{
    weir_trie *made = calloc(1, sizeof(*made));
    if (made == NULL) {
        return WEIR_NO_MEMORY;
    }
    made->root = node_create(made, NULL, WEIR_BYTES_NULL);
    if (made->root == NULL) {
        free(made);
        return WEIR_NO_MEMORY;
    }
    *trie = made;
    return WEIR_OK;
}

/* Takes the children by + along: each hangs on exactly one node, and that chain is WEIR_LEVELS_MAX
 * long at most. */
static void plus_chain_destroy(trie_node *node)
{
    while (node != NULL) {
        trie_node *plus = node->plus;
        node_destroy(node);
        node = plus;
    }
}

void weir_trie_destroy(weir_trie *trie)
{
    if (trie == NULL) {
        return;
    }
    for (size_t i = 0; i < trie->edges_capacity; i++) {
        plus_chain_destroy(trie->edges[i].node);
    }
    plus_chain_destroy(trie->root);
    free(trie->edges);
    free(trie);
}

/* Walks `filter` as far as there are nodes. *depth is how many levels that took, without the #. */
static trie_node *path_follow(const weir_trie *trie, const trie_path *path, size_t levels,
                              size_t *depth)
{
    trie_node *node = trie->root;
    for (*depth = 0; *depth < levels; (*depth)++) {
        trie_node *child = child_get(trie, node, &path->levels[*depth]);
        if (child == NULL) {
            break;
        }
        node = child;
    }
    return node;
}

weir_err weir_trie_add(weir_trie *trie, weir_bytes filter, void *value)
{
    if (weir_filter_check(filter) != WEIR_OK) {
        return WEIR_NAME_INVALID;
    }
    trie_path path;
    path_cut(&path, filter);
    bool below = level_is(&path.levels[path.count - 1], '#');
    size_t depth, levels = path.count - (below ? 1 : 0);
    trie_node *node = path_follow(trie, &path, levels, &depth);
    weir_err err = WEIR_OK;
    for (; depth < levels && err == WEIR_OK; depth++) {
        trie_node *child = child_add(trie, node, &path.levels[depth]);
        err = child == NULL ? WEIR_NO_MEMORY : WEIR_OK;
        node = child == NULL ? node : child;
    }
    if (err == WEIR_OK) {
        err = weir_value_set_add(below ? &node->below : &node->values, value);
    }
    if (err != WEIR_OK) {
        nodes_prune(trie, node);
        return err;
    }
    trie->pairs_count++;
    return WEIR_OK;
}

weir_err weir_trie_remove(weir_trie *trie, weir_bytes filter, void *value)
{
    if (weir_filter_check(filter) != WEIR_OK) {
        return WEIR_NOT_FOUND;
    }
    trie_path path;
    path_cut(&path, filter);
    bool below = level_is(&path.levels[path.count - 1], '#');
    size_t depth, levels = path.count - (below ? 1 : 0);
    trie_node *node = path_follow(trie, &path, levels, &depth);
    if (depth < levels ||
        weir_value_set_remove(below ? &node->below : &node->values, value) != WEIR_OK) {
        return WEIR_NOT_FOUND;
    }
    trie->pairs_count--;
    nodes_prune(trie, node);
    return WEIR_OK;
}

static void values_give(const weir_value_set *set, void (*each)(void *arg, void *value), void *arg)
{
    for (uint32_t i = 0; i < set->count; i++) {
        each(arg, set->values[i]);
    }
}

/* A node to visit, and how many levels of the name lead to it. */
typedef struct trie_visit {
    const trie_node *node;
    size_t depth;
} trie_visit;

/* Puts what fits the next level on the stack and tells the new height. */
static size_t children_push(const weir_trie *trie, const trie_path *path, trie_visit from,
                            bool hidden, trie_visit *stack, size_t height)
{
    const trie_node *child = child_find(trie, from.node, &path->levels[from.depth]);
    if (from.node->plus != NULL && !hidden) {
        stack[height++] = (trie_visit){from.node->plus, from.depth + 1};
    }
    if (child != NULL) {
        stack[height++] = (trie_visit){child, from.depth + 1};
    }
    return height;
}

void weir_trie_match(const weir_trie *trie, weir_bytes name, void (*each)(void *arg, void *value),
                     void *arg)
{
    if (name.ptr == NULL) {
        return;
    }
    trie_path path;
    path_cut(&path, name);
    bool dollar = name.len > 0 && name.ptr[0] == '$';
    trie_visit stack[WEIR_LEVELS_MAX + 2]; /* a visit adds one at most, and goes one level deeper */
    size_t height = 0;
    stack[height++] = (trie_visit){trie->root, 0};
    while (height > 0) {
        trie_visit visit = stack[--height];
        bool hidden = dollar && visit.depth == 0; /* wildcards do not stand for $SYS */
        if (!hidden) {
            values_give(&visit.node->below, each, arg);
        }
        if (visit.depth < path.count) {
            height = children_push(trie, &path, visit, hidden, stack, height);
        } else if (!path.longer) {
            values_give(&visit.node->values, each, arg);
        }
    }
}

size_t weir_trie_count(const weir_trie *trie)
{
    return trie->pairs_count;
}
