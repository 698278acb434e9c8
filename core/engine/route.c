/* core/engine/route.c - where a full name goes, worked out once per name: the address rule.
 *
 *   sensors/dev1/temp   with `sensors` declared: topic sensors, key dev1/temp
 *   sensors             topic sensors, null key        sensors/   empty key        sensors//b  key
 * /b /a                  under no topic: live           a name under no declared topic: live
 *
 * The longest declared topic that is a prefix by whole levels wins. A route also holds the
 * subscriptions that match the name, one entry per subscriber. It is remembered under its name and
 * made again when topics or subscriptions have changed since. */
#include "core/engine/ops.h"

#include "core/base/hash.h"

#include <stdlib.h>
#include <string.h>

enum { ROUTE_NAME_MAX = 65535 };

static void matches_drop(weir_engine *engine, weir_route *route)
{
    engine->route_bytes -= route->match_capacity * sizeof(weir_match);
    route->match_capacity = 0;
    for (uint32_t i = 0; i < route->match_count; i++) {
        weir_slots_drop(route->matches[i].slots);
    }
    free(route->matches);
    route->matches = NULL;
    route->match_count = 0;
}

void weir_route_drop(weir_engine *engine, weir_route *route)
{
    if (route != NULL) {
        matches_drop(engine, route);
        free(route);
    }
}

/* ---- Topic and key
 * --------------------------------------------------------------------------------------- */

static weir_err name_refused(const weir_engine *engine, weir_bytes name, bool *levels_over)
{
    *levels_over = false;
    if (name.len > engine->limits.name_bytes_max || weir_name_check(name) != WEIR_OK) {
        return WEIR_NAME_INVALID;
    }
    size_t levels = 1;
    for (size_t i = 0; i < name.len; i++) {
        levels += name.ptr[i] == '/' ? 1 : 0;
    }
    if (levels > engine->limits.levels_max) {
        *levels_over = true;
        return WEIR_NAME_INVALID;
    }
    return name.ptr[0] == '$' ? WEIR_NOT_AUTHORIZED : WEIR_OK; /* names of the gateway's own */
}

/* The longest declared prefix of `name` by whole levels. */
weir_topic *weir_route_topic(const weir_engine *engine, weir_bytes name)
{
    if (engine->topics_by_name.count == 0) {
        return NULL;
    }
    size_t len = name.len;
    for (;;) {
        if (len > 0 && len <= WEIR_TOPIC_BYTES_MAX) {
            weir_topic *topic = weir_topics_find(engine, (weir_bytes){name.ptr, len});
            if (topic != NULL) {
                return topic;
            }
        }
        while (len > 0 && name.ptr[len - 1] != '/') {
            len--;
        }
        if (len == 0) {
            return NULL;
        }
        len--; /* the slash */
    }
}

/* The levels before the first wildcard: of "a/b/+/c" they are "a/b", of "#" none. */
static weir_bytes literal_of(weir_bytes text)
{
    size_t end = 0;
    while (end < text.len && text.ptr[end] != '+' && text.ptr[end] != '#') {
        end++;
    }
    if (end < text.len && end > 0) {
        end--; /* the slash: a wildcard is a level of its own */
    }
    return (weir_bytes){text.ptr, end};
}

/* Whether topics stand below this one that filters do meet: nested ones. */
static bool has_others_below(const weir_engine *engine, const weir_topic *topic)
{
    size_t position = 0;
    size_t len = topic->ref->name_bytes;
    const weir_topic *other = NULL;
    while ((other = weir_map_next(&engine->topics_by_name, &position)) != NULL) {
        bool below = other->ref->name_bytes > len && other->ref->name[len] == '/' &&
                     memcmp(other->ref->name, topic->ref->name, len) == 0;
        if (below && !weir_topic_is_apart(other)) {
            return true;
        }
    }
    return false;
}

/* A name of the stories' topic, which is made with the first of them, or under it. */
static bool is_of_fates(weir_bytes name)
{
    size_t len = sizeof(WEIR_FATES_NAME) - 1;
    return name.len >= len && memcmp(name.ptr, WEIR_FATES_NAME, len) == 0 &&
           (name.len == len || name.ptr[len] == '/');
}

bool weir_route_reaches_nothing(const weir_engine *engine, weir_bytes text)
{
    weir_bytes literal = literal_of(text);
    const weir_topic *topic = weir_route_topic(engine, literal);
    if (topic == NULL) {
        return is_of_fates(literal);
    }
    return weir_topic_is_apart(topic) &&
           (literal.len == text.len || !has_others_below(engine, topic));
}

/* The first `levels` levels of a key. */
static weir_bytes key_head(weir_bytes key, uint32_t levels)
{
    for (size_t i = 0; i < key.len; i++) {
        if (key.ptr[i] == '/' && --levels == 0) {
            return (weir_bytes){key.ptr, i};
        }
    }
    return key;
}

static uint32_t partition_of(const weir_topic *topic, weir_bytes key)
{
    weir_bytes chooses =
        topic->options.partition_levels == 0 ? key : key_head(key, topic->options.partition_levels);
    return weir_partition_of_key(chooses, topic->partition_count);
}

static void route_target(weir_engine *engine, weir_route *route)
{
    weir_bytes name = {route->name, route->name_bytes};
    route->topics_generation = engine->topics_generation;
    route->err = name_refused(engine, name, &route->levels_over);
    route->topic = route->err == WEIR_OK ? weir_route_topic(engine, name) : NULL;
    route->key_at = 0;
    route->key_null = false;
    route->partition = 0;
    if (route->topic == NULL) { /* live: the whole name is its key */
        route->err = route->err == WEIR_OK && is_of_fates(name) ? WEIR_NOT_OFFERED : route->err;
        return;
    }
    if (weir_topic_is_own(route->topic)) {
        route->err = WEIR_NOT_OFFERED;
    }
    uint32_t topic_bytes = route->topic->ref->name_bytes;
    route->key_null = name.len == topic_bytes;
    route->key_at = route->key_null ? topic_bytes : topic_bytes + 1;
    weir_bytes key = {name.ptr + route->key_at, name.len - route->key_at};
    route->partition = route->key_null ? UINT32_MAX : partition_of(route->topic, key);
}

/* ---- Who gets it
 * ----------------------------------------------------------------------------------------- */

typedef struct collect {
    weir_engine *engine;
    weir_route *route;
    bool failed;
} collect;

static struct weir_slots *slots_with(const struct weir_slots *old, uint32_t first, uint32_t slot)
{
    uint32_t count = old != NULL ? old->count : 1;
    struct weir_slots *slots = malloc(sizeof(*slots) + (count + 1) * sizeof(slots->slot[0]));
    if (slots == NULL) {
        return NULL;
    }
    atomic_init(&slots->refs, 1);
    slots->count = count + 1;
    uint32_t at = 0;
    for (; at < count && (old != NULL ? old->slot[at] : first) < slot; at++) {
        slots->slot[at] = old != NULL ? old->slot[at] : first;
    }
    slots->slot[at] = slot;
    for (; at < count; at++) {
        slots->slot[at + 1] = old != NULL ? old->slot[at] : first;
    }
    return slots;
}

static void collect_again(collect *all, weir_match *match, const weir_filter *filter)
{
    struct weir_slots *slots = slots_with(match->slots, match->slot, filter->slot);
    if (slots == NULL) {
        all->failed = true;
        return;
    }
    weir_slots_drop(match->slots);
    match->slots = slots;
    match->no_local = match->no_local && filter->no_local;
}

static void collect_filter(void *arg, void *value)
{
    collect *all = arg;
    weir_route *route = all->route;
    const weir_filter *filter = value;
    weir_subscriber *subscriber = filter->subscriber;
    if (subscriber->match_stamp == all->engine->match_stamp) { /* overlapping filters: one entry */
        collect_again(all, &route->matches[subscriber->match_index], filter);
        return;
    }
    if (route->match_count == route->match_capacity) {
        uint32_t capacity = route->match_capacity == 0 ? 4 : route->match_capacity * 2;
        weir_match *grown = realloc(route->matches, capacity * sizeof(*grown));
        if (grown == NULL) {
            all->failed = true;
            return;
        }
        all->engine->route_bytes += (capacity - route->match_capacity) * sizeof(*grown);
        route->matches = grown;
        route->match_capacity = capacity;
    }
    subscriber->match_stamp = all->engine->match_stamp;
    subscriber->match_index = route->match_count;
    route->matches[route->match_count++] = (weir_match){
        .subscriber = filter->subscriber, .slot = filter->slot, .no_local = filter->no_local};
}

static void route_matches(weir_engine *engine, weir_route *route)
{
    matches_drop(engine, route);
    route->filters_generation = engine->filters_generation;
    bool apart = route->topic != NULL && weir_topic_is_apart(route->topic);
    if (route->err != WEIR_OK || apart || weir_trie_count(engine->filters) == 0) {
        return; /* what is in a queue is for the members of its group */
    }
    collect all = {.engine = engine, .route = route};
    engine->match_stamp++;
    weir_trie_match(engine->filters, (weir_bytes){route->name, route->name_bytes}, collect_filter,
                    &all);
    engine->routes_full |= engine->route_bytes > WEIR_ROUTE_BYTES_MAX;
    if (all.failed) {
        route->filters_generation--; /* without memory: worked out again next time */
    }
}

/* ---- Looking up
 * -------------------------------------------------------------------------------------------- */

static weir_route *route_make(weir_bytes name)
{
    weir_route *route = calloc(1, sizeof(*route) + name.len);
    if (route != NULL) {
        route->name_bytes = (uint32_t)name.len;
        memcpy(route->name, name.ptr, name.len);
        route->topics_generation = UINT64_MAX;
        route->filters_generation = UINT64_MAX;
    }
    return route;
}

static void route_refresh(weir_engine *engine, weir_route *route)
{
    if (route->topics_generation != engine->topics_generation) {
        route_target(engine, route);
        route->filters_generation = engine->filters_generation - 1;
    }
    if (route->filters_generation != engine->filters_generation) {
        route_matches(engine, route);
    }
}

const weir_route *weir_route_of_name(weir_engine *engine, weir_bytes name)
{
    if (name.len == 0 || name.len > ROUTE_NAME_MAX) {
        return NULL;
    }
    weir_route *route = weir_map_get(&engine->routes, name);
    if (route == NULL) {
        if (engine->routes_full) {          /* within a turn, too, it stays bounded */
            weir_produce_close_all(engine); /* after which no batch refers to a route */
            weir_routes_trim(engine);
        }
        route = route_make(name);
        if (route == NULL) {
            return NULL;
        }
        if (weir_map_set(&engine->routes, (weir_bytes){route->name, route->name_bytes}, route) !=
            WEIR_OK) {
            free(route);
            return NULL;
        }
        engine->routes_full |= engine->routes.count >= WEIR_ROUTES_MAX;
    }
    route_refresh(engine, route);
    return route;
}

static bool same_key(const weir_route *route, weir_bytes key, bool key_null)
{
    if (route->key_null || key_null) {
        return route->key_null == key_null;
    }
    return route->name_bytes - route->key_at == key.len &&
           memcmp(route->name + route->key_at, key.ptr, key.len) == 0;
}

/* A key that no name spells: matched under its percent-encoded name, stored as it is. */
static weir_route *route_encoded(weir_engine *engine, weir_topic *topic, weir_bytes key,
                                 weir_bytes encoded)
{
    weir_route *route = route_make(encoded);
    if (route != NULL) {
        route->topics_generation = engine->topics_generation;
        route->topic = topic;
        route->partition = partition_of(topic, key);
        route->err = weir_topic_is_own(topic) ? WEIR_NOT_OFFERED : WEIR_OK;
        route_matches(engine, route);
    }
    return route;
}

const weir_route *weir_route_of_key(weir_engine *engine, weir_bytes topic_name, weir_bytes key,
                                    bool key_null, weir_route **mine)
{
    static _Thread_local uint8_t name[ROUTE_NAME_MAX];
    *mine = NULL;
    bool encoded = false;
    weir_topic *topic = weir_topics_find(engine, topic_name);
    if (topic == NULL) {
        return NULL;
    }
    size_t len = weir_record_name(topic_name, key_null ? WEIR_BYTES_NULL : key, name, sizeof(name),
                                  &encoded);
    if (len <= sizeof(name) && !encoded) {
        const weir_route *route = weir_route_of_name(engine, (weir_bytes){name, len});
        if (route == NULL ||
            (route->err == WEIR_OK && route->topic == topic && same_key(route, key, key_null))) {
            return route;
        }
        if (route->err == WEIR_OK && route->topic != topic) {
            weir_route *refused = route_make((weir_bytes){name, len});
            if (refused != NULL) {
                refused->err = WEIR_NESTED; /* it spells a name of a deeper topic */
            }
            *mine = refused;
            return refused;
        }
    }
    size_t kept = len < sizeof(name) ? len : sizeof(name);
    *mine = route_encoded(engine, topic, key, (weir_bytes){name, kept});
    return *mine;
}

/* ---- Life cycle
 * ---------------------------------------------------------------------------------------------- */

static void routes_clear(weir_engine *engine)
{
    size_t position = 0;
    weir_route *route = NULL;
    while ((route = weir_map_next(&engine->routes, &position)) != NULL) {
        weir_route_drop(engine, route);
    }
    weir_map_fini(&engine->routes);
    memset(&engine->routes, 0, sizeof(engine->routes));
}

/* Between turns no batch refers to a route. A full table starts anew: names that are in use are
 * back within a turn each. */
void weir_routes_trim(weir_engine *engine)
{
    if (engine->routes_full) {
        routes_clear(engine);
        engine->routes_full = false;
    }
}

void weir_routes_fini(weir_engine *engine)
{
    routes_clear(engine);
}
