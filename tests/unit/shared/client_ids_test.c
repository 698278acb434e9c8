/* One client id has one holder, whatever loops and front ends its claimants are on [MQTT-3.1.4-2].
 */
#include "adapters/shared/client_ids.h"

#include "port_fake.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { MEMBERS = 3 };

typedef struct member {
    weir_client_id_member inner; /* first */
    atomic_uint claimed;
    atomic_uint taken;
} member;

typedef struct scene {
    weir_loops *loops;
    weir_client_ids *ids;
    member members[MEMBERS];
} scene;

static void told(weir_client_id_member *inner, bool claimed, bool taken)
{
    member *self = (member *)inner;
    self->claimed += claimed ? 1 : 0;
    self->taken += taken ? 1 : 0;
}

static int scene_open(void **state)
{
    static scene the_scene;
    weir_fault fault = {0};
    the_scene = (scene){0};
    fake_port_count = 0;
    assert_int_equal(weir_loops_create(NULL, 2, &the_scene.loops, &fault), WEIR_OK);
    the_scene.ids = weir_client_ids_keep(the_scene.loops);
    assert_non_null(the_scene.ids);
    for (unsigned i = 0; i < MEMBERS; i++) {
        the_scene.members[i].inner.loop = weir_loops_at(the_scene.loops, i % 2);
        the_scene.members[i].inner.told = told;
    }
    *state = &the_scene;
    return 0;
}

static void nothing(weir_loop *loop, void *arg)
{
    (void)loop;
    (void)arg;
}

/* News is posted within claim and release: once a later call has run, it was told. */
static void news_wait(scene *self)
{
    weir_loop_call_wait(weir_loops_at(self->loops, 0), nothing, NULL);
    weir_loop_call_wait(weir_loops_at(self->loops, 1), nothing, NULL);
    for (unsigned i = 0; i < MEMBERS; i++) {
        assert_false(weir_client_id_member_is_busy(&self->members[i].inner));
    }
}

static int scene_close(void **state)
{
    scene *self = *state;
    weir_client_ids_drop(self->ids);
    weir_loops_destroy(self->loops);
    return 0;
}

static weir_err claim(scene *self, unsigned index, const char *id)
{
    return weir_client_ids_claim(self->ids, &self->members[index].inner, weir_bytes_of(id));
}

static void release(scene *self, unsigned index, const char *id)
{
    weir_client_ids_release(self->ids, &self->members[index].inner, weir_bytes_of(id));
}

static void different_ids_do_not_meet(void **state)
{
    scene *self = *state;
    assert_int_equal(claim(self, 0, "a"), WEIR_OK);
    assert_int_equal(claim(self, 1, "b"), WEIR_OK);
    assert_int_equal(claim(self, 2, ""), WEIR_OK);
    news_wait(self);
    for (unsigned i = 0; i < MEMBERS; i++) {
        assert_int_equal(self->members[i].taken + self->members[i].claimed, 0);
    }
    release(self, 0, "a");
    release(self, 1, "b");
    release(self, 2, "");
}

static void a_newcomer_waits_until_the_holder_has_gone(void **state)
{
    scene *self = *state;
    assert_int_equal(claim(self, 0, "id"), WEIR_OK);
    assert_int_equal(claim(self, 1, "id"), WEIR_AGAIN);
    news_wait(self);
    assert_int_equal(self->members[0].taken, 1);
    assert_int_equal(self->members[1].claimed, 0);
    release(self, 0, "id");
    news_wait(self);
    assert_int_equal(self->members[1].claimed, 1);
    release(self, 1, "id");
    assert_int_equal(claim(self, 0, "id"), WEIR_OK);
    release(self, 0, "id");
}

static void the_newest_of_several_gets_the_id(void **state)
{
    scene *self = *state;
    assert_int_equal(claim(self, 0, "id"), WEIR_OK);
    assert_int_equal(claim(self, 1, "id"), WEIR_AGAIN);
    assert_int_equal(claim(self, 2, "id"), WEIR_AGAIN);
    news_wait(self);
    assert_int_equal(self->members[1].taken, 1); /* it waited, and waits for nothing now */
    release(self, 1, "id");
    release(self, 0, "id");
    news_wait(self);
    assert_int_equal(self->members[1].claimed, 0);
    assert_int_equal(self->members[2].claimed, 1);
    release(self, 2, "id");
}

static void one_that_stops_waiting_is_not_told(void **state)
{
    scene *self = *state;
    assert_int_equal(claim(self, 0, "id"), WEIR_OK);
    assert_int_equal(claim(self, 1, "id"), WEIR_AGAIN);
    release(self, 1, "id");
    release(self, 0, "id");
    news_wait(self);
    assert_int_equal(self->members[1].claimed, 0);
    assert_int_equal(claim(self, 2, "id"), WEIR_OK);
    release(self, 2, "id");
}

static void front_ends_on_the_same_loops_share_one_table(void **state)
{
    scene *self = *state;
    weir_client_ids *second = weir_client_ids_keep(self->loops);
    assert_ptr_equal(second, self->ids);
    assert_int_equal(claim(self, 0, "id"), WEIR_OK);
    weir_client_ids_drop(second); /* counted: it is still there */
    assert_int_equal(claim(self, 1, "id"), WEIR_AGAIN);
    release(self, 1, "id");
    release(self, 0, "id");
    news_wait(self);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, scene_open, scene_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(different_ids_do_not_meet),
        TEST(a_newcomer_waits_until_the_holder_has_gone),
        TEST(the_newest_of_several_gets_the_id),
        TEST(one_that_stops_waiting_is_not_told),
        TEST(front_ends_on_the_same_loops_share_one_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
