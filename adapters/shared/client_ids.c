/* adapters/shared/client_ids.c - alone responsible for one client id having one holder.
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
#include "adapters/shared/client_ids.h"

#include "core/base/assert.h"
#include "core/base/hash.h"
#include "core/base/map.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { SHARDS = 64 };
enum { NEWS_CLAIMED = 1, NEWS_TAKEN = 2 };

typedef struct place {
    weir_client_id_member *holder;
    weir_client_id_member *waiting;
    uint32_t len;
    uint8_t id[];
} place;

typedef struct shard {
    pthread_mutex_t lock;
    weir_map places;
} shard;

struct weir_client_ids {
    const weir_loops *loops;
    unsigned keeper_count; /* under tables_lock, as is next */
    struct weir_client_ids *next;
    shard shards[SHARDS];
};

static pthread_mutex_t tables_lock = PTHREAD_MUTEX_INITIALIZER;
static weir_client_ids *tables; /* one for each set of loops in the process */

static weir_client_ids *table_make(const weir_loops *loops)
{
    weir_client_ids *made = calloc(1, sizeof(*made));
    if (made != NULL) {
        made->loops = loops;
        for (unsigned i = 0; i < SHARDS; i++) {
            WEIR_ASSERT(pthread_mutex_init(&made->shards[i].lock, NULL) == 0);
        }
        made->next = tables;
        tables = made;
    }
    return made;
}

weir_client_ids *weir_client_ids_keep(const weir_loops *loops)
{
    pthread_mutex_lock(&tables_lock);
    weir_client_ids *found = tables;
    while (found != NULL && found->loops != loops) {
        found = found->next;
    }
    found = found != NULL ? found : table_make(loops);
    if (found != NULL) {
        found->keeper_count++;
    }
    pthread_mutex_unlock(&tables_lock);
    return found;
}

static void table_free(weir_client_ids *ids)
{
    for (unsigned i = 0; i < SHARDS; i++) {
        WEIR_ASSERT(ids->shards[i].places.count == 0);
        weir_map_fini(&ids->shards[i].places);
        pthread_mutex_destroy(&ids->shards[i].lock);
    }
    free(ids);
}

void weir_client_ids_drop(weir_client_ids *ids)
{
    if (ids == NULL) {
        return;
    }
    pthread_mutex_lock(&tables_lock);
    bool last = --ids->keeper_count == 0;
    if (last) {
        weir_client_ids **link = &tables;
        while (*link != ids) {
            link = &(*link)->next;
        }
        *link = ids->next;
    }
    pthread_mutex_unlock(&tables_lock);
    if (last) {
        table_free(ids);
    }
}

static void news_run(weir_loop *loop, void *arg)
{
    weir_client_id_member *member = arg;
    shard *home = &member->ids->shards[member->shard];
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
static void news_post(weir_client_id_member *member, uint8_t news)
{
    member->news |= news;
    if (!member->posted) {
        member->posted = true;
        member->call = (weir_call){.fn = news_run, .arg = member};
        weir_loop_post(member->loop, &member->call);
    }
}

static weir_err place_make(shard *home, weir_client_id_member *member, weir_bytes client_id)
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

weir_err weir_client_ids_claim(weir_client_ids *ids, weir_client_id_member *member,
                               weir_bytes client_id)
{
    weir_err err = WEIR_AGAIN;
    uint16_t index = (uint16_t)(weir_hash(client_id) % SHARDS);
    shard *home = &ids->shards[index];
    place *found = NULL;
    pthread_mutex_lock(&home->lock);
    member->ids = ids;
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

void weir_client_ids_release(weir_client_ids *ids, weir_client_id_member *member,
                             weir_bytes client_id)
{
    shard *home = &ids->shards[weir_hash(client_id) % SHARDS];
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

bool weir_client_id_member_is_busy(weir_client_id_member *member)
{
    bool busy = false;
    if (member->ids != NULL) {
        shard *home = &member->ids->shards[member->shard];
        pthread_mutex_lock(&home->lock);
        busy = member->posted;
        pthread_mutex_unlock(&home->lock);
    }
    return busy;
}
