/* core/log/pool.c - memory of chunks: taken by one thread, given back by any, seldom asked of the
 * system.
 *
 *      take, return home (owner)                    return (any thread)
 *                 |                                       |
 *   idle[0]  256 B  o-o-o       taken over whole          v push
 *   idle[1]  320 B  o       <----------------------  returned  o-o-o-o
 *   ...                         when a class is bare
 *   idle[56] 4 MiB  o-o
 *      ^ made: of a span, or by malloc
 *
 *   span, 2 MiB    [ head | chunk | free | chunk | ... | never used yet ]
 *
 * Between two powers of two there are four sizes, so that at most a fifth of a chunk is nobody's; what
 * is larger than the last class comes from malloc and goes back to it at once. An idle chunk was last
 * touched long ago: while one is taken, the processor is told to fetch the one behind it. Threads that
 * give back only push, and the owner takes the whole stack by one exchange, so there is no pop that
 * could meet a stale next pointer.
 *
 * A small class that has grown gets its memory in spans of a large page, because chunks of many
 * partitions are looked at in no order that a processor could foresee. A span goes back when nothing
 * of it is out or idle.
 *
 * A pool is counted by its owner and by every chunk that is out. After destroy, what comes home is
 * freed; who takes the last count frees what was pushed in between, and the pool.
 *
 * [P1] A chunk that is out holds one count of its pool; `refs_kept` of them are the owner's, for the
 *      next ones that are taken.
 * [P2] idle, idle_bytes, made and spans are the owner's alone; `returned`, refs and bytes are atomic.
 * [P3] A span's `used` counts its chunks that are out or idle. Who makes it zero gives the span back;
 *      until the pool is closed that is the owner, and so are the lists. */
#include "core/log/pool.h"

#include "core/base/assert.h"
#include "core/env/pages.h"

#include <stdlib.h>

enum {
    CLASS_BITS_MIN = 8, /* 256 bytes: thousands of partitions with a record each */
    CLASS_BITS_MAX = 22,
    CLASS_STEP_BITS = 2, /* sizes between two powers of two: 1 << so many */
    CLASS_COUNT = ((CLASS_BITS_MAX - CLASS_BITS_MIN) << CLASS_STEP_BITS) + 1,
    FETCHED_BYTES = 320, /* of the chunk behind the one that is taken: a short record's */
    LINE_BYTES = 64,
    SPAN_CLASSES = (7 << CLASS_STEP_BITS) + 1, /* up to 32 KiB, */
    SPANS_FROM_BYTES = 1 << 20,                /* of which there is so much already */
    SPAN_HEAD_BYTES = LINE_BYTES,
};

typedef struct span {
    weir_chunk *free;
    struct span *next, *previous; /* of those of its class that have room */
    uint32_t unused_from;         /* bytes: nothing behind was ever a chunk */
    atomic_uint used;
} span;

struct weir_chunk_pool {
    _Atomic(weir_chunk *) returned;
    atomic_uint refs;
    atomic_bool closed;
    _Atomic uint64_t bytes; /* of all chunks, out and idle */
    uint64_t idle_bytes;
    uint32_t refs_kept;
    weir_chunk *idle[CLASS_COUNT];
    uint64_t made[SPAN_CLASSES]; /* bytes of chunks, out and idle */
    span *spans[SPAN_CLASSES];   /* those with room */
};

static unsigned class_of(size_t bytes)
{
    if (bytes <= (size_t)1 << CLASS_BITS_MIN) {
        return 0;
    }
    unsigned bits = 63u - (unsigned)__builtin_clzll(bytes - 1); /* 1 << bits is below `bytes` */
    size_t step = (bytes - 1 - ((size_t)1 << bits)) >> (bits - CLASS_STEP_BITS);
    return ((bits - CLASS_BITS_MIN) << CLASS_STEP_BITS) + (unsigned)step + 1;
}

static size_t class_bytes(unsigned class)
{
    unsigned bits = CLASS_BITS_MIN + (class >> CLASS_STEP_BITS);
    size_t steps = (1u << CLASS_STEP_BITS) + (class & ((1u << CLASS_STEP_BITS) - 1));
    return steps << (bits - CLASS_STEP_BITS);
}

weir_err weir_chunk_pool_create(weir_chunk_pool **pool)
{
    weir_chunk_pool *made = calloc(1, sizeof(*made));
    if (made == NULL) {
        return WEIR_NO_MEMORY;
    }
    atomic_init(&made->refs, 1);
    *pool = made;
    return WEIR_OK;
}

/* Spans. */

static void span_link(weir_chunk_pool *pool, unsigned class, span *at)
{
    at->previous = NULL;
    at->next = pool->spans[class];
    if (at->next != NULL) {
        at->next->previous = at;
    }
    pool->spans[class] = at;
}

static void span_unlink(weir_chunk_pool *pool, unsigned class, span *at)
{
    *(at->previous != NULL ? &at->previous->next : &pool->spans[class]) = at->next;
    if (at->next != NULL) {
        at->next->previous = at->previous;
    }
}

static bool span_has_room(const span *at, size_t bytes)
{
    return at->free != NULL || at->unused_from + bytes <= WEIR_SPAN_BYTES;
}

static weir_chunk *span_chunk_take(weir_chunk_pool *pool, unsigned class, size_t bytes)
{
    span *at = pool->spans[class];
    if (at == NULL) {
        at = weir_span_take(); /* of zeros */
        if (at == NULL) {
            return NULL;
        }
        at->unused_from = SPAN_HEAD_BYTES;
        span_link(pool, class, at);
    }
    weir_chunk *chunk = at->free;
    if (chunk != NULL) {
        at->free = chunk->next;
    } else {
        chunk = (weir_chunk *)((uint8_t *)at + at->unused_from);
        at->unused_from += (uint32_t)bytes;
    }
    (void)atomic_fetch_add_explicit(&at->used, 1, memory_order_relaxed);
    if (!span_has_room(at, bytes)) {
        span_unlink(pool, class, at);
    }
    return chunk;
}

/* [P3] */
static void span_chunk_give(weir_chunk_pool *pool, unsigned class, weir_chunk *chunk, bool closed)
{
    span *at = (span *)((uintptr_t)chunk & ~((uintptr_t)WEIR_SPAN_BYTES - 1));
    size_t bytes = chunk->memory_bytes;
    if (!closed) {
        bool listed = span_has_room(at, bytes);
        chunk->next = at->free;
        at->free = chunk;
        if (!listed) {
            span_link(pool, class, at);
        }
    }
    if (atomic_fetch_sub_explicit(&at->used, 1, memory_order_acq_rel) == 1) {
        if (!closed) {
            span_unlink(pool, class, at);
        }
        weir_span_give(at);
    }
}

static void chunk_free(weir_chunk_pool *pool, weir_chunk *chunk)
{
    bool closed = atomic_load_explicit(&pool->closed, memory_order_relaxed);
    unsigned class = class_of(chunk->memory_bytes);
    (void)atomic_fetch_sub_explicit(&pool->bytes, chunk->memory_bytes, memory_order_relaxed);
    if (!closed && class < SPAN_CLASSES) {
        pool->made[class] -= chunk->memory_bytes;
    }
    if (chunk->in_span) {
        span_chunk_give(pool, class, chunk, closed);
    } else {
        free(chunk);
    }
}

static weir_chunk *returned_take_over(weir_chunk_pool *pool)
{
    return atomic_exchange_explicit(&pool->returned, NULL, memory_order_acquire);
}

static void list_free(weir_chunk_pool *pool, weir_chunk *chunk)
{
    while (chunk != NULL) {
        weir_chunk *next = chunk->next;
        chunk_free(pool, chunk);
        chunk = next;
    }
}

static void pool_drop(weir_chunk_pool *pool)
{
    if (atomic_fetch_sub_explicit(&pool->refs, 1, memory_order_acq_rel) == 1) {
        list_free(pool, returned_take_over(pool));
        free(pool);
    }
}

void weir_chunk_pool_destroy(weir_chunk_pool *pool)
{
    if (pool == NULL) {
        return;
    }
    atomic_store_explicit(&pool->closed, true, memory_order_relaxed);
    weir_chunk_pool_trim(pool, 0);
    (void)atomic_fetch_sub_explicit(&pool->refs, pool->refs_kept, memory_order_relaxed);
    pool_drop(pool);
}

uint64_t weir_chunk_pool_bytes(const weir_chunk_pool *pool)
{
    return atomic_load_explicit(&pool->bytes, memory_order_relaxed);
}

static void idle_push(weir_chunk_pool *pool, weir_chunk *chunk)
{
    unsigned class = class_of(chunk->memory_bytes);
    chunk->next = pool->idle[class];
    pool->idle[class] = chunk;
    pool->idle_bytes += chunk->memory_bytes; /* [P2] */
}

/* Every class is at least 256 bytes, and fetching what lies behind one is harmless. */
static void fetch_ahead(const weir_chunk *chunk)
{
    for (unsigned at = 0; chunk != NULL && at < FETCHED_BYTES; at += LINE_BYTES) {
        __builtin_prefetch((const char *)chunk + at, 1);
    }
}

static weir_chunk *idle_pop(weir_chunk_pool *pool, unsigned class)
{
    weir_chunk *chunk = pool->idle[class];
    if (chunk != NULL) {
        pool->idle[class] = chunk->next;
        pool->idle_bytes -= chunk->memory_bytes;
        fetch_ahead(chunk->next);
    }
    return chunk;
}

static void returned_sort(weir_chunk_pool *pool)
{
    weir_chunk *chunk = returned_take_over(pool);
    while (chunk != NULL) {
        weir_chunk *next = chunk->next;
        idle_push(pool, chunk);
        chunk = next;
    }
}

void weir_chunk_pool_trim(weir_chunk_pool *pool, uint64_t keep_bytes)
{
    returned_sort(pool);
    for (unsigned class = CLASS_COUNT; class -- > 0;) { /* the largest first */
        while (pool->idle_bytes > keep_bytes && pool->idle[class] != NULL) {
            chunk_free(pool, idle_pop(pool, class));
        }
    }
}

/* Of a class from the last one on: as many bytes as are asked for. */
static weir_chunk *chunk_allocate(weir_chunk_pool *pool, unsigned class, size_t bytes)
{
    bool small = class < SPAN_CLASSES;
    weir_chunk *chunk =
        small && pool->made[class] >= SPANS_FROM_BYTES ? span_chunk_take(pool, class, bytes) : NULL;
    bool in_span = chunk != NULL;
    chunk = in_span ? chunk : malloc(bytes);
    if (chunk == NULL) {
        return NULL;
    }
    chunk->memory_bytes = bytes;
    chunk->in_span = in_span;
    chunk->pool = pool;
    if (small) {
        pool->made[class] += bytes;
    }
    (void)atomic_fetch_add_explicit(&pool->bytes, bytes, memory_order_relaxed);
    return chunk;
}

/* [P1] */
static void ref_add(weir_chunk_pool *pool)
{
    if (pool->refs_kept > 0) {
        pool->refs_kept--;
    } else {
        (void)atomic_fetch_add_explicit(&pool->refs, 1, memory_order_relaxed);
    }
}

weir_chunk *weir_chunk_pool_take(weir_chunk_pool *pool, size_t bytes)
{
    unsigned class = class_of(bytes);
    weir_chunk *chunk;
    if (class >= CLASS_COUNT) {
        chunk = chunk_allocate(pool, class, bytes);
    } else {
        if (pool->idle[class] == NULL) {
            returned_sort(pool);
        }
        chunk = idle_pop(pool, class);
        chunk = chunk != NULL ? chunk : chunk_allocate(pool, class, class_bytes(class));
    }
    if (chunk != NULL) {
        ref_add(pool);
    }
    return chunk;
}

static void returned_push(weir_chunk_pool *pool, weir_chunk *chunk)
{
    weir_chunk *first = atomic_load_explicit(&pool->returned, memory_order_relaxed);
    do {
        chunk->next = first;
    } while (!atomic_compare_exchange_weak_explicit(&pool->returned, &first, chunk,
                                                    memory_order_release, memory_order_relaxed));
}

void weir_chunk_pool_return(weir_chunk *chunk)
{
    weir_chunk_pool *pool = chunk->pool;
    if (class_of(chunk->memory_bytes) >= CLASS_COUNT ||
        atomic_load_explicit(&pool->closed, memory_order_relaxed)) {
        chunk_free(pool, chunk);
    } else {
        returned_push(pool, chunk);
    }
    pool_drop(pool); /* [P1] only now: until here the chunk kept the pool alive */
}

void weir_chunk_pool_return_home(weir_chunk *chunk)
{
    weir_chunk_pool *pool = chunk->pool;
    if (class_of(chunk->memory_bytes) >= CLASS_COUNT) {
        chunk_free(pool, chunk);
    } else {
        idle_push(pool, chunk);
    }
    pool->refs_kept++;
}
