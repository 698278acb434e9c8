/* adapters/mqtt/registry.c - alone responsible for one client id having one holder.
 *
 *     shard = hash(id) % 64:  mutex, map id -> place { holder, waiting }
 *
 *     claim   (no place)            place {me, -}                     OK
 *     claim   place {old, -}        place {old, me}     old: taken    AGAIN
 *     claim   place {old, other}    place {old, me}     both: taken   AGAIN
 *     release place {me, other}     place {other, -}    other: claimed
 *     release place {me, -}         (no place)
 *     release place {old, me}       place {old, -}
 *
 * Failures: no memory for a place, before anything has changed.
 *
 * Invariants
 * [R1] A member is in at most one place, as holder or as waiting.
 * [R2] News to a member is posted within the lock and its node is in flight at most once, so that a
 *      member that is not busy can be freed. */
#include "adapters/mqtt/registry.h"

#include "core/base/assert.h"
#include "core/base/hash.h"
#include "core/base/map.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { SHARDS = 64 };
enum { NEWS_CLAIMED = 1, NEWS_TAKEN = 2 };

typedef struct place {
    weir_mqtt_member *holder;
    weir_mqtt_member *waiting;
    uint32_t len;
    uint8_t id[];
} place;

typedef struct shard {
    pthread_mutex_t lock;
    weir_map places;
} shard;

struct weir_mqtt_registry {
    shard shards[SHARDS];
};

weir_err weir_mqtt_registry_create(weir_mqtt_registry **registry)
{
    weir_mqtt_registry *made = calloc(1, sizeof(*made));
    if (made == NULL) {
        return WEIR_NO_MEMORY;
    }
    for (unsigned i = 0; i < SHARDS; i++) {
        WEIR_ASSERT(pthread_mutex_init(&made->shards[i].lock, NULL) == 0);
    }
    *registry = made;
    return WEIR_OK;
}

void weir_mqtt_registry_destroy(weir_mqtt_registry *registry)
{
    if (registry == NULL) {
        return;
    }
    for (unsigned i = 0; i < SHARDS; i++) {
        WEIR_ASSERT(registry->shards[i].places.count == 0);
        weir_map_fini(&registry->shards[i].places);
        pthread_mutex_destroy(&registry->shards[i].lock);
    }
    free(registry);
}

static void news_run(weir_loop *loop, void *arg)
{
    weir_mqtt_member *member = arg;
    shard *home = &member->registry->shards[member->shard];
    uint8_t news = 0;
    (void)loop;
    pthread_mutex_lock(&home->lock);
    news = member->news;
    member->news = 0;
    member->posted = false; /* [R2]: from here on it may be posted again */
    pthread_mutex_unlock(&home->lock);
    member->told(member, (news & NEWS_CLAIMED) != 0, (news & NEWS_TAKEN) != 0);
}

/* Within the shard's lock. */
static void news_post(weir_mqtt_member *member, uint8_t news)
{
    member->news |= news;
    if (!member->posted) {
        member->posted = true;
        member->call = (weir_call){.fn = news_run, .arg = member};
        weir_loop_post(member->loop, &member->call);
    }
}

static weir_err place_make(shard *home, weir_mqtt_member *member, weir_bytes client_id)
{
    weir_err err = WEIR_OK;
    place *made = malloc(sizeof(*made) + client_id.len);
    if (made == NULL) {
        return WEIR_NO_MEMORY;
    }
    *made = (place){.holder = member, .len = (uint32_t)client_id.len};
    memcpy(made->id, client_id.ptr, client_id.len);
    err = weir_map_set(&home->places, (weir_bytes){made->id, made->len}, made);
    if (err != WEIR_OK) {
        free(made);
    }
    return err;
}

weir_err weir_mqtt_registry_claim(weir_mqtt_registry *registry, weir_mqtt_member *member,
                                  weir_bytes client_id)
{
    weir_err err = WEIR_AGAIN;
    uint16_t index = (uint16_t)(weir_hash(client_id) % SHARDS);
    shard *home = &registry->shards[index];
    place *found = NULL;
    pthread_mutex_lock(&home->lock);
    member->registry = registry;
    member->shard = index;
    found = weir_map_get(&home->places, client_id);
    if (found == NULL) {
        err = place_make(home, member, client_id);
    } else {
        news_post(found->holder, NEWS_TAKEN);
        if (found->waiting != NULL) {
            news_post(found->waiting, NEWS_TAKEN);
        }
        found->waiting = member; /* [R1] */
    }
    pthread_mutex_unlock(&home->lock);
    return err;
}

void weir_mqtt_registry_release(weir_mqtt_registry *registry, weir_mqtt_member *member,
                                weir_bytes client_id)
{
    shard *home = &registry->shards[weir_hash(client_id) % SHARDS];
    place *found = NULL;
    pthread_mutex_lock(&home->lock);
    found = weir_map_get(&home->places, client_id);
    if (found != NULL && found->waiting == member) {
        found->waiting = NULL;
    } else if (found != NULL && found->holder == member && found->waiting != NULL) {
        found->holder = found->waiting;
        found->waiting = NULL;
        news_post(found->holder, NEWS_CLAIMED);
    } else if (found != NULL && found->holder == member) {
        (void)weir_map_remove(&home->places, client_id);
        free(found);
    }
    pthread_mutex_unlock(&home->lock);
}

bool weir_mqtt_member_is_busy(weir_mqtt_member *member)
{
    bool busy = false;
    if (member->registry != NULL) {
        shard *home = &member->registry->shards[member->shard];
        pthread_mutex_lock(&home->lock);
        busy = member->posted;
        pthread_mutex_unlock(&home->lock);
    }
    return busy;
}
