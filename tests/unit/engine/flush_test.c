/* What a flush has in hand when something happens to the partition meanwhile. */
#include "tests/unit/engine/life.h"

#include "core/base/varint.h"
#include "core/engine/ops.h"

enum { VALUE_BYTES = 300, OTHERS = 400 };

/* A background lane on which one flush does not begin before it is told to. */
static const weir_env_ops *lanes_below;
static weir_engine *held_engine; /* NULL: it may */
static weir_job *held;

static void submit_held(weir_env *env, weir_lane lane, weir_job *job)
{
    if (held_engine != NULL && job == &held_engine->flush.job) {
        held = job;
    } else {
        lanes_below->job_submit(env, lane, job);
    }
}

static void flush_goes_on(weir_env *env)
{
    held_engine = NULL;
    lanes_below->job_submit(env, WEIR_LANE_BACKGROUND, held);
    held = NULL;
}

static void publish_numbered(fixture *f, const char *name, int number)
{
    char value[VALUE_BYTES];
    snprintf(value, sizeof(value), "%d %*s", number, VALUE_BYTES - 20, "");
    publish_ok(f->port, name, value);
}

/* Records of t/k until a flush has them in hand, which does not begin; how many. */
static int flush_begin(fixture *f)
{
    int count = 0;
    declare(f->port, "t", WEIR_LEVEL_DISK);
    declare(f->port, "u", WEIR_LEVEL_DISK);
    held_engine = f->engine;
    for (int64_t end = wait_end(); held == NULL; count++) {
        assert_true(wait_goes_on(end));
        publish_numbered(f, "t/k", count);
        weir_port_step(f->port);
    }
    return count;
}

/* Every batch in the topic's first segment is whole, and there are those of so many records. */
static void segment_has(const fixture *f, uint32_t topic_id, uint32_t count)
{
    static uint8_t bytes[1 << 20];
    char path[256];
    snprintf(path, sizeof(path), "%s/log/%u/0/%020d.log", f->dir, topic_id, 0);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    size_t len = fread(bytes, 1, sizeof(bytes), file), at = 0;
    assert_int_equal(fclose(file), 0);
    int64_t next = 0;
    while (at < len) {
        weir_batch_head head;
        size_t batch = weir_get_u32(bytes + at + 8) + 12;
        assert_true(batch <= len - at);
        assert_int_equal(weir_batch_check((weir_bytes){bytes + at, batch}, &head, NULL, 0),
                         WEIR_OK);
        assert_int_equal(head.base_offset, next);
        next += head.record_count;
        at += batch;
    }
    assert_true(next >= count);
}

typedef void (*happening)(life_fixture *l, int count);

static void trim_half(life_fixture *l, int count)
{
    assert_int_equal(life_trim(l, "t", count / 2), WEIR_OK);
}

static void delete_topic(life_fixture *l, int count)
{
    (void)count;
    assert_int_equal(weir_port_topic_delete(l->f.port, WEIR_TEXT("t"), NULL, 1), WEIR_OK);
    weir_completion done = next_of(l->f.port, WEIR_COMPLETION_TOPIC);
    assert_int_equal(done.err, WEIR_OK);
    weir_completion_drop(&done);
}

/* Memory that was let go of is used again before the flush begins. */
static void run(happening happens)
{
    life_fixture l = {0};
    weir_env *env;
    fixture_prepare(&l.f);
    assert_int_equal(weir_env_posix_create(&env), WEIR_OK);
    lanes_below = env->ops;
    weir_env_ops ops = *lanes_below;
    ops.job_submit = submit_held;
    env->ops = &ops;
    l.f.config.env = env;
    l.f.config.checkpoint_bytes = 64 << 10; /* of which each topic's are too many to be carried */
    fixture_open(&l.f);
    int count = flush_begin(&l.f);
    const weir_flush_item *item = &l.f.engine->flush.items[0];
    uint32_t id = item->topic_id, in_hand = item->chunk_count;
    assert_true(item->begin_offset == 0 && in_hand > 4);
    happens(&l, count);
    for (int i = 0; i < OTHERS; i++) {
        publish_numbered(&l.f, "u/k", i);
    }
    flush_goes_on(env);
    for (int64_t end = wait_end(); l.f.engine->flush.running;) {
        assert_true(wait_goes_on(end));
        (void)weir_port_wait(l.f.port, 1);
    }
    segment_has(&l.f, id, in_hand);
    assert_int_equal(weir_engine_health_of(l.f.engine), WEIR_HEALTH_OK);
    fixture_end(&l.f);
    env->ops = lanes_below;
    weir_env_posix_destroy(env);
}

static void what_a_trim_lets_go_of_is_flushed_whole(void **state)
{
    (void)state;
    run(trim_half);
}

static void what_a_deletion_lets_go_of_is_flushed_whole(void **state)
{
    (void)state;
    run(delete_topic);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_trim_lets_go_of_is_flushed_whole),
        cmocka_unit_test(what_a_deletion_lets_go_of_is_flushed_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
