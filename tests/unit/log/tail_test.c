/* The tail: found by offset, whatever the ring has been through. */
#include "core/log/tail.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

typedef struct fixture {
    weir_chunk_pool *pool;
    weir_topic_ref *topic;
    weir_tail tail;
} fixture;

static fixture fixture_make(void)
{
    fixture made = {0};
    assert_int_equal(weir_chunk_pool_create(&made.pool), WEIR_OK);
    made.topic = weir_topic_ref_create(1, WEIR_TEXT("t"));
    return made;
}

static void fixture_fini(fixture *f)
{
    weir_tail_fini(&f->tail);
    weir_tail_fini(&f->tail);
    assert_int_equal(atomic_load(&f->topic->refs), 1); /* every chunk is gone */
    weir_topic_ref_drop(f->topic);
    weir_chunk_pool_destroy(f->pool);
}

static weir_chunk *push(fixture *f, int64_t base_offset, uint32_t count)
{
    weir_chunk *chunk;
    assert_int_equal(weir_chunk_create(f->pool, f->topic, 0, 100, count, &chunk), WEIR_OK);
    chunk->base_offset = base_offset;
    chunk->count = count;
    assert_int_equal(weir_tail_reserve(&f->tail), WEIR_OK);
    weir_tail_push(&f->tail, chunk);
    return chunk;
}

static void an_empty_tail_holds_nothing(void **state)
{
    (void)state;
    fixture f = fixture_make();
    assert_null(weir_tail_find(&f.tail, 0));
    assert_null(weir_tail_pop(&f.tail));
    assert_int_equal(weir_tail_index_of(&f.tail, 0), 0);
    fixture_fini(&f);
}

static void every_offset_is_found_while_the_ring_wraps_and_grows(void **state)
{
    (void)state;
    fixture f = fixture_make();
    int64_t next = 0, oldest = 0;
    for (uint32_t round = 0; round < 200; round++) {
        uint32_t count = 1 + round % 3;
        (void)push(&f, next, count);
        next += count;
        if (round % 4 == 0) { /* the ring turns */
            weir_chunk *popped = weir_tail_pop(&f.tail);
            assert_int_equal(popped->base_offset, oldest);
            oldest += popped->count;
            weir_chunk_drop(popped);
        }
        for (int64_t offset = oldest; offset < next; offset++) {
            weir_chunk *found = weir_tail_find(&f.tail, offset);
            assert_non_null(found);
            assert_true(offset >= found->base_offset && offset < found->base_offset + found->count);
            assert_ptr_equal(weir_tail_at(&f.tail, weir_tail_index_of(&f.tail, offset)), found);
        }
        assert_null(weir_tail_find(&f.tail, oldest - 1));
        assert_null(weir_tail_find(&f.tail, next));
        assert_int_equal(weir_tail_index_of(&f.tail, oldest - 1), 0);
        assert_int_equal(weir_tail_index_of(&f.tail, next), f.tail.count);
        uint64_t bytes = 0;
        for (uint32_t i = 0; i < f.tail.count; i++) {
            bytes += weir_tail_at(&f.tail, i)->memory_bytes;
        }
        assert_int_equal(f.tail.bytes, bytes);
    }
    fixture_fini(&f);
}

static void an_offset_in_a_gap_is_not_here_but_has_a_next(void **state)
{
    (void)state;
    fixture f = fixture_make();
    (void)push(&f, 10, 5);
    weir_chunk *second = push(&f, 20, 5);
    (void)push(&f, 30, 5);
    assert_null(weir_tail_find(&f.tail, 17));
    assert_ptr_equal(weir_tail_at(&f.tail, weir_tail_index_of(&f.tail, 17)), second);
    assert_ptr_equal(weir_tail_find(&f.tail, 24), second);
    assert_null(weir_tail_find(&f.tail, 35));
    fixture_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_tail_holds_nothing),
        cmocka_unit_test(every_offset_is_found_while_the_ring_wraps_and_grows),
        cmocka_unit_test(an_offset_in_a_gap_is_not_here_but_has_a_next),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
