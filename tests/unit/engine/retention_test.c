/* How records end: by age, by bytes, by hand; what readers are told, and when files go. */
#include "tests/unit/engine/life.h"

static weir_topic_options kept_for(int64_t ms)
{
    return (weir_topic_options){.partitions = 1, .retention_ms = ms, .segment_ms = 3600000};
}

static void records_older_than_retention_ms_go_and_newer_ones_stay(void **state)
{
    life_fixture l;
    int number = 0;
    (void)state;
    life_begin(&l);
    assert_int_equal(declare_with(l.f.port, "t", kept_for(7200000)), WEIR_OK);
    life_fill(&l, "t/a", 20, 1000, &number);
    life_checkpoints(&l, 1);
    life_turn_clock(7200000);
    life_fill(&l, "t/a", 4, 1000, &number);
    life_steps(&l, 10);
    weir_partition_info at = life_bounds(&l, "t", 0);
    assert_int_equal(at.end_offset, 24);
    assert_true(at.start_offset >= 16 && at.start_offset <= 20); /* whole segments, or chunks */
    weir_completion done = fetch(l.f.port, "t", 0, 0, 0);
    assert_int_equal(done.err, WEIR_OFFSET_OUT_OF_RANGE);
    assert_int_equal(done.fetched.start_offset, at.start_offset);
    weir_completion_drop(&done);
    done = fetch(l.f.port, "t", 0, at.start_offset, 0);
    assert_int_equal(done.err, WEIR_OK);
    assert_true(done.fetched.run_count > 0);
    weir_completion_drop(&done);
    life_end(&l);
}

static void a_topic_that_gets_no_more_records_is_emptied_all_the_same(void **state)
{
    life_fixture l;
    int number = 0;
    (void)state;
    life_begin(&l);
    assert_int_equal(declare_with(l.f.port, "t", kept_for(7200000)), WEIR_OK);
    life_fill(&l, "t/a", 10, 1000, &number);
    life_segments(&l, 1, 2);
    life_turn_clock(2 * 7200000);
    life_steps(&l, 10);
    weir_partition_info at = life_bounds(&l, "t", 0);
    assert_int_equal(at.start_offset, 10);
    assert_int_equal(at.end_offset, 10);
    publish_ok(l.f.port, "other", "live");
    for (int64_t end = wait_end(); life_files(&l, 1, 0, ".log") > 0 && wait_goes_on(end);) {
        life_turn_clock(61000);
        (void)weir_port_wait(l.f.port, 5);
    }
    assert_int_equal(life_files(&l, 1, 0, ".log"), 0);
    assert_int_equal(publish_ok(l.f.port, "t/a", "next"), 10); /* offsets go on */
    assert_record(l.f.port, "t", 10, "a", "next");
    life_end(&l);
}

static void retention_bytes_keeps_at_least_so_many(void **state)
{
    life_fixture l;
    int number = 0;
    (void)state;
    life_begin(&l);
    weir_topic_options options = {.partitions = 1, .retention_bytes = 8192};
    assert_int_equal(declare_with(l.f.port, "t", options), WEIR_OK);
    life_fill(&l, "t/a", 40, 1000, &number);
    life_checkpoints(&l, 1);
    weir_partition_info at = {0};
    int64_t end = wait_end();
    while (at.start_offset <= 20 && wait_goes_on(end)) { /* until segments have most of it */
        life_steps(&l, 1);
        at = life_bounds(&l, "t", 0);
    }
    assert_int_equal(at.end_offset, 40);
    assert_true(at.start_offset > 20 && at.start_offset <= 33); /* 8 KB are kept */
    life_end(&l);
}

/* No checkpoint, and so no segment, for as long as a test takes. */
static void in_memory_alone(life_fixture *l)
{
    fixture_close(&l->f);
    l->f.config.checkpoint_bytes = 64 << 20;
    l->f.config.checkpoint_every_ms = 86400000;
    fixture_open(&l->f);
}

static void wait_start(life_fixture *l, int64_t least)
{
    for (int i = 0; i < LIFE_TURNS_MAX && life_bounds(l, "t", 0).start_offset < least; i++) {
        life_steps(l, 1);
    }
    assert_true(life_bounds(l, "t", 0).start_offset >= least);
}

static void what_no_segment_has_yet_counts_for_retention_bytes(void **state)
{
    life_fixture l;
    int number = 0;
    (void)state;
    life_begin(&l);
    in_memory_alone(&l);
    weir_topic_options options = {.partitions = 1, .retention_bytes = 8192};
    assert_int_equal(declare_with(l.f.port, "t", options), WEIR_OK);
    for (int round = 1; round <= 2; round++) {
        life_fill(&l, "t/a", 40, 1000, &number);
        wait_start(&l, 40 * round - 9);
        assert_true(life_bounds(&l, "t", 0).start_offset <= 40 * round - 7);
    }
    assert_int_equal(life_files(&l, 1, 0, ".log"), 0);
    int64_t start = life_bounds(&l, "t", 0).start_offset;
    fixture_kill(&l.f);
    fixture_open(&l.f);
    assert_int_equal(life_bounds(&l, "t", 0).start_offset, start);
    assert_int_equal(publish_ok(l.f.port, "t/a", "next"), 80);
    life_end(&l);
}

static void segments_go_for_what_no_segment_has_yet(void **state)
{
    life_fixture l;
    int number = 0;
    (void)state;
    life_begin(&l);
    weir_topic_options options = {.partitions = 1, .retention_bytes = 8192};
    assert_int_equal(declare_with(l.f.port, "t", options), WEIR_OK);
    life_fill(&l, "t/a", 40, 1000, &number);
    life_checkpoints(&l, 1);
    in_memory_alone(&l);
    life_fill(&l, "t/a", 40, 1000, &number);
    wait_start(&l, 71);
    assert_true(life_bounds(&l, "t", 0).start_offset <= 73);
    life_end(&l);
}

static void the_newest_batch_stays_however_small_retention_bytes_is(void **state)
{
    life_fixture l;
    int number = 0;
    (void)state;
    life_begin(&l);
    in_memory_alone(&l);
    weir_topic_options options = {.partitions = 1, .retention_bytes = 1};
    assert_int_equal(declare_with(l.f.port, "t", options), WEIR_OK);
    life_fill(&l, "t/a", 10, 1000, &number);
    wait_start(&l, 9);
    life_steps(&l, 5);
    weir_partition_info at = life_bounds(&l, "t", 0);
    assert_int_equal(at.start_offset, 9);
    assert_int_equal(at.end_offset, 10);
    life_end(&l);
}

static void a_trim_survives_a_kill_and_hides_what_is_below(void **state)
{
    life_fixture l;
    int number = 0;
    (void)state;
    life_begin(&l);
    declare(l.f.port, "t", WEIR_LEVEL_DISK);
    life_fill(&l, "t/a", 30, 1000, &number);
    life_checkpoints(&l, 1);
    assert_int_equal(life_trim(&l, "t", 31), WEIR_OFFSET_OUT_OF_RANGE);
    assert_int_equal(life_trim(&l, "t", 17), WEIR_OK);
    assert_int_equal(life_trim(&l, "t", 5), WEIR_OK); /* it never goes back */
    fixture_kill(&l.f);
    fixture_open(&l.f);
    weir_partition_info at = life_bounds(&l, "t", 0);
    assert_int_equal(at.start_offset, 17);
    assert_int_equal(at.end_offset, 30);
    weir_completion done = fetch(l.f.port, "t", 0, 16, 0);
    assert_int_equal(done.err, WEIR_OFFSET_OUT_OF_RANGE);
    weir_completion_drop(&done);
    done = fetch(l.f.port, "t", 0, 17, 0);
    assert_int_equal(done.err, WEIR_OK);
    weir_completion_drop(&done);
    life_end(&l);
}

static void a_trim_of_what_no_segment_has_yet_survives_a_kill(void **state)
{
    life_fixture l;
    int number = 0;
    (void)state;
    life_begin(&l);
    declare(l.f.port, "t", WEIR_LEVEL_DISK);
    life_fill(&l, "t/a", 10, 100, &number);
    assert_int_equal(life_trim(&l, "t", 4), WEIR_OK);
    life_fill(&l, "t/a", 2, 100, &number);
    fixture_kill(&l.f);
    fixture_open(&l.f);
    assert_int_equal(life_bounds(&l, "t", 0).start_offset, 4);
    assert_int_equal(life_trim(&l, "t", WEIR_UNLIMITED), WEIR_OK); /* all of it */
    life_checkpoints(&l, 1);
    assert_int_equal(publish_ok(l.f.port, "t/a", "x"), 12);
    fixture_close(&l.f);
    fixture_open(&l.f);
    weir_partition_info at = life_bounds(&l, "t", 0);
    assert_int_equal(at.start_offset, 12);
    assert_int_equal(at.end_offset, 13);
    assert_record(l.f.port, "t", 12, "a", "x");
    life_end(&l);
}

static void a_cursor_below_the_start_is_told_of_the_gap(void **state)
{
    life_fixture l;
    int number = 0;
    (void)state;
    life_begin(&l);
    declare(l.f.port, "t", WEIR_LEVEL_DISK);
    life_fill(&l, "t/a", 10, 100, &number);
    weir_subscriber *subscriber = NULL;
    assert_int_equal(weir_port_subscriber_open(l.f.port, &l, &subscriber), WEIR_OK);
    weir_subscribe wanted = {.filter = WEIR_TEXT("t/#"), .start = WEIR_START_BEGINNING};
    subscribe_with(l.f.port, subscriber, &wanted);
    assert_int_equal(life_trim(&l, "t", 6), WEIR_OK);
    assert_int_equal(weir_port_credit(l.f.port, subscriber, 100, UINT64_MAX), WEIR_OK);
    weir_completion told = next_of(l.f.port, WEIR_COMPLETION_NOTICE);
    assert_int_equal(told.notice.kind, WEIR_NOTICE_GAP);
    assert_int_equal(told.notice.from, 0);
    assert_int_equal(told.notice.to, 6);
    weir_completion got = next_of(l.f.port, WEIR_COMPLETION_DELIVERY);
    weir_record record;
    weir_chunk_record(got.delivery.chunk, got.delivery.first, &record);
    assert_int_equal(record.offset, 6);
    weir_completion_drop(&got);
    life_end(&l);
}

/* Reads until ENDED: which gap was told, and from which record on there were some. */
static void read_from(life_fixture *l, const weir_subscribe *wanted, weir_notice *gap,
                      int64_t *first)
{
    weir_subscriber *subscriber = NULL;
    assert_int_equal(weir_port_subscriber_open(l->f.port, l, &subscriber), WEIR_OK);
    subscribe_with(l->f.port, subscriber, wanted);
    assert_int_equal(weir_port_credit(l->f.port, subscriber, 100, UINT64_MAX), WEIR_OK);
    *gap = (weir_notice){0};
    *first = -1;
    for (bool ended = false; !ended;) {
        weir_completion got = next_on(l->f.port);
        if (got.type == WEIR_COMPLETION_DELIVERY && *first < 0) {
            weir_record record;
            weir_chunk_record(got.delivery.chunk, got.delivery.first, &record);
            *first = record.offset;
        } else if (got.type == WEIR_COMPLETION_NOTICE) {
            ended = got.notice.kind == WEIR_NOTICE_ENDED;
            if (got.notice.kind == WEIR_NOTICE_GAP) {
                assert_int_equal(*first, -1);
                assert_int_equal(gap->to, 0); /* once */
                *gap = got.notice;
            }
        }
        weir_completion_drop(&got);
    }
}

static void a_cursor_asked_to_begin_below_the_start_is_told_of_the_gap(void **state)
{
    life_fixture l;
    int number = 0;
    (void)state;
    life_begin(&l);
    declare(l.f.port, "t", WEIR_LEVEL_DISK);
    life_fill(&l, "t/a", 10, 100, &number);
    assert_int_equal(life_trim(&l, "t", 6), WEIR_OK);
    const weir_position at = {WEIR_TEXT("t"), 0, 2};
    const struct {
        weir_subscribe wanted;
        int64_t from, to, first;
    } cases[] = {
        {{.start = WEIR_START_OFFSET, .value = 0}, 0, 6, 6},
        {{.start = WEIR_START_OFFSET, .value = 5}, 5, 6, 6},
        {{.start = WEIR_START_OFFSET, .value = 6}, 0, 0, 6},
        {{.start = WEIR_START_OFFSET, .value = 11}, 0, 0, -1},
        {{.start = WEIR_START_POSITIONS, .positions = &at, .position_count = 1}, 2, 6, 6},
        {{.start = WEIR_START_BEGINNING}, 0, 0, 6},
        {{.start = WEIR_START_LAST, .value = 8}, 0, 0, 6},
        {{.start = WEIR_START_TIME, .value = 1}, 0, 0, 6},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        weir_subscribe wanted = cases[i].wanted;
        weir_notice gap;
        int64_t first = 0;
        wanted.filter = WEIR_TEXT("t/#");
        wanted.until_end = true;
        wanted.slot = 7;
        read_from(&l, &wanted, &gap, &first);
        assert_int_equal(gap.from, cases[i].from);
        assert_int_equal(gap.to, cases[i].to);
        assert_int_equal(gap.slot, gap.to > 0 ? 7 : 0);
        assert_int_equal(first, cases[i].first);
    }
    life_end(&l);
}

static void one_that_begins_below_the_start_of_an_emptied_topic_is_told(void **state)
{
    life_fixture l;
    int number = 0;
    (void)state;
    life_begin(&l);
    declare(l.f.port, "t", WEIR_LEVEL_DISK);
    life_fill(&l, "t/a", 10, 100, &number);
    assert_int_equal(life_trim(&l, "t", WEIR_UNLIMITED), WEIR_OK);
    weir_subscribe wanted = {
        .filter = WEIR_TEXT("t/#"), .start = WEIR_START_OFFSET, .until_end = true};
    weir_notice gap;
    int64_t first = 0;
    read_from(&l, &wanted, &gap, &first);
    assert_int_equal(gap.from, 0);
    assert_int_equal(gap.to, 10);
    assert_int_equal(first, -1);
    life_end(&l);
}

static void an_owed_run_below_the_start_is_told_as_dropped(void **state)
{
    life_fixture l;
    int number = 0;
    (void)state;
    life_begin(&l);
    declare(l.f.port, "t", WEIR_LEVEL_DISK);
    weir_subscriber *subscriber = NULL;
    assert_int_equal(weir_port_subscriber_open(l.f.port, &l, &subscriber), WEIR_OK);
    subscribe(l.f.port, subscriber, "t/#");
    life_fill(&l, "t/a", 10, 100, &number);
    assert_int_equal(life_trim(&l, "t", 6), WEIR_OK);
    assert_int_equal(weir_port_credit(l.f.port, subscriber, 100, UINT64_MAX), WEIR_OK);
    uint64_t dropped = 0, records = 0;
    while (dropped + records < 10) {
        weir_completion got = next_on(l.f.port);
        if (got.type == WEIR_COMPLETION_NOTICE) {
            assert_int_equal(got.notice.kind, WEIR_NOTICE_DROPPED);
            dropped += got.notice.count;
        } else {
            records += got.delivery.count;
        }
        weir_completion_drop(&got);
    }
    assert_int_equal(dropped, 6);
    assert_int_equal(records, 4);
    life_end(&l);
}

static void files_go_only_when_no_start_can_want_them(void **state)
{
    life_fixture l;
    int number = 0;
    (void)state;
    life_begin(&l);
    declare(l.f.port, "t", WEIR_LEVEL_DISK);
    life_fill(&l, "t/a", 40, 1000, &number);
    life_checkpoints(&l, 1);
    life_segments(&l, 1, 5);
    assert_int_equal(life_trim(&l, "t", 40), WEIR_OK);
    for (int64_t end = wait_end(); life_files(&l, 1, 0, ".log") > 1 && wait_goes_on(end);) {
        life_turn_clock(20000);
        (void)weir_port_wait(l.f.port, 5);
    }
    assert_true(life_files(&l, 1, 0, ".log") <= 1);
    assert_true(life_files(&l, 1, 0, ".heads") <= 1);
    fixture_kill(&l.f);
    fixture_open(&l.f);
    assert_int_equal(life_bounds(&l, "t", 0).start_offset, 40);
    assert_int_equal(publish_ok(l.f.port, "t/a", "x"), 40);
    assert_record(l.f.port, "t", 40, "a", "x");
    life_end(&l);
}

/* A disk that keeps the first segment, and one without room for what goes to segments. */
static _Atomic bool first_stays;
static _Atomic bool no_room;
static _Atomic(weir_file *) newest_segment;
static _Atomic unsigned no_room_told;

static weir_err unlink_but_of_the_first(weir_env *env, const char *path)
{
    bool first = strstr(path, "/00000000000000000000.log") != NULL;
    return first && first_stays ? WEIR_IO : life_own->unlink(env, path);
}

static weir_err open_segment(weir_env *env, const char *path, unsigned flags, weir_file **file)
{
    size_t len = strlen(path);
    weir_err err = life_own->file_open(env, path, flags, file);
    bool segment = strstr(path, "/log/") != NULL && strcmp(path + len - 4, ".log") == 0;
    if (err == WEIR_OK && segment && (flags & WEIR_OPEN_CREATE) != 0) {
        newest_segment = *file;
    }
    return err;
}

static weir_err write_where_room_is(weir_env *env, weir_file *file, const struct iovec *iov,
                                    int count, uint64_t offset)
{
    if (no_room && file == newest_segment) {
        no_room_told++;
        return WEIR_DISK_FULL;
    }
    return life_own->file_write(env, file, iov, count, offset);
}

/* The table is another's while the engine runs. */
static void life_begin_on_such_a_disk(life_fixture *l)
{
    first_stays = false;
    no_room = false;
    newest_segment = NULL;
    no_room_told = 0;
    life_begin(l);
    fixture_kill(&l->f);
    life_ops.unlink = unlink_but_of_the_first;
    life_ops.file_open = open_segment;
    life_ops.file_write = write_where_room_is;
    life_ops.file_write_stream = write_where_room_is;
    fixture_open(&l->f);
}

static void a_segment_that_cannot_be_removed_keeps_no_other(void **state)
{
    life_fixture l;
    int number = 0;
    (void)state;
    life_begin_on_such_a_disk(&l);
    declare(l.f.port, "t", WEIR_LEVEL_DISK);
    life_fill(&l, "t/a", 40, 1000, &number);
    life_checkpoints(&l, 1);
    life_segments(&l, 1, 5);
    for (int i = 0; i < 3; i++) { /* what a start sweeps is swept */
        life_fill(&l, "t/a", 1, 1000, &number);
        life_checkpoints(&l, 1);
    }
    first_stays = true;
    assert_int_equal(life_trim(&l, "t", 40), WEIR_OK);
    unsigned others = 1;
    for (int64_t end = wait_end(); others > 0 && wait_goes_on(end);) {
        life_turn_clock(2000);
        (void)weir_port_wait(l.f.port, 5);
        others = life_files(&l, 1, 0, "1?.log") + life_files(&l, 1, 0, "2?.log");
    }
    assert_int_equal(others, 0); /* those that begin at 10 to 29 */
    assert_int_equal(life_files(&l, 1, 0, "00000000000000000000.log"), 1);
    life_end(&l);
}

static void a_segment_that_found_no_room_leaves_no_file(void **state)
{
    life_fixture l;
    int number = 0;
    (void)state;
    life_begin_on_such_a_disk(&l);
    declare(l.f.port, "t", WEIR_LEVEL_DISK);
    life_fill(&l, "t/a", 12, 1000, &number);
    life_checkpoints(&l, 1);
    life_fill(&l, "t/a", 1, 1000, &number);
    life_checkpoints(&l, 1); /* all of it is in segments */
    unsigned before = life_files(&l, 1, 0, "");
    no_room = true;
    static const uint8_t large[1000];
    const weir_publish record = {.name = WEIR_TEXT("t/a"), .value = WEIR_BYTES(large)};
    for (int i = 0; i < 12; i++) { /* neither the newest segment nor one that is made takes it */
        (void)publish_record(l.f.port, &record);
    }
    for (int64_t told = wait_end(); no_room_told < 2;) {
        assert_true(wait_goes_on(told));
        life_turn_clock(61000);
        (void)weir_port_wait(l.f.port, 1);
    }
    unsigned files = 0;
    int64_t end = wait_end();
    while (files != before && wait_goes_on(end)) { /* each retry makes some, for a moment */
        (void)weir_port_wait(l.f.port, 1);
        files = life_files(&l, 1, 0, "");
    }
    assert_int_equal(files, before);
    no_room = false;
    for (end = wait_end(); files == before && wait_goes_on(end);) { /* there is room again */
        life_turn_clock(1000);
        (void)weir_port_wait(l.f.port, 1);
        files = life_files(&l, 1, 0, "");
    }
    assert_true(files > before);
    life_end(&l);
}

static void leftovers_of_a_killed_run_are_swept(void **state)
{
    life_fixture l;
    int number = 0;
    char command[256];
    (void)state;
    life_begin(&l);
    declare(l.f.port, "t", WEIR_LEVEL_DISK);
    life_fill(&l, "t/a", 12, 1000, &number);
    life_checkpoints(&l, 1);
    life_segments(&l, 1, 2);
    snprintf(command, sizeof(command),
             "cd '%s/log/1/0' && mkdir 0000000100000009 && "
             "touch 0000000100000009/00000000000000000000.log "
             "0000000100000009/00000000000000000000.heads 00000000000000000001.log keep.txt",
             l.f.dir);
    fixture_kill(&l.f);
    assert_int_equal(system(command), 0);
    fixture_open(&l.f);
    unsigned before = life_files(&l, 1, 0, ".log");
    for (int i = 0; i < 3; i++) {
        life_fill(&l, "t/a", 1, 100, &number);
        life_checkpoints(&l, 1);
    }
    int64_t end = wait_end();
    while (life_files(&l, 1, 0, ".log") > before - 2 && wait_goes_on(end)) {
        (void)weir_port_wait(l.f.port, 5);
    }
    assert_int_equal(life_files(&l, 1, 0, "keep.txt"), 1); /* not a name of ours */
    snprintf(command, sizeof(command), "test ! -e '%s/log/1/0/0000000100000009'", l.f.dir);
    assert_int_equal(system(command), 0);
    weir_completion done = fetch(l.f.port, "t", 0, 0, 0);
    assert_int_equal(done.err, WEIR_OK);
    assert_true(done.fetched.run_count > 0);
    weir_completion_drop(&done);
    life_end(&l);
}

static void a_wall_clock_that_jumped_ahead_expires_nothing_at_a_start(void **state)
{
    life_fixture l;
    int number = 0;
    (void)state;
    life_begin(&l);
    assert_int_equal(declare_with(l.f.port, "t", kept_for(7200000)), WEIR_OK);
    life_fill(&l, "t/a", 20, 1000, &number);
    life_checkpoints(&l, 1);
    fixture_kill(&l.f);
    life_wall_ahead_ms = 400ll * 24 * 3600000;
    fixture_open(&l.f);
    life_steps(&l, 20);
    assert_int_equal(life_bounds(&l, "t", 0).start_offset, 0);
    life_turn_clock(2 * 3600000); /* it stayed so for hours: that is the time, then */
    life_steps(&l, 20);
    assert_true(life_bounds(&l, "t", 0).start_offset > 0);
    life_end(&l);
}

static void nothing_expires_while_the_wall_clock_is_far_behind(void **state)
{
    life_fixture l;
    int number = 0;
    (void)state;
    life_begin(&l);
    assert_int_equal(declare_with(l.f.port, "t", kept_for(7200000)), WEIR_OK);
    life_fill(&l, "t/a", 20, 1000, &number);
    life_checkpoints(&l, 1);
    life_wall_ahead_ms = -10ll * 3600000;
    life_turn_clock(3 * 7200000);
    life_steps(&l, 20);
    assert_int_equal(life_bounds(&l, "t", 0).start_offset, 0);
    life_wall_ahead_ms = 0;
    life_steps(&l, 20);
    assert_true(life_bounds(&l, "t", 0).start_offset > 0);
    life_end(&l);
}

static void options_of_a_live_topic_can_be_changed_and_survive(void **state)
{
    life_fixture l;
    (void)state;
    life_begin(&l);
    weir_topic_options asked = {.partitions = 2,
                                .retention_ms = 5000,
                                .cleanup = WEIR_CLEANUP_COMPACT_DELETE,
                                .segment_bytes = 65536};
    assert_int_equal(declare_with(l.f.port, "t", asked), WEIR_OK);
    weir_topic_options change = {.retention_bytes = 1 << 20, .level = WEIR_LEVEL_OS};
    assert_int_equal(life_alter(&l, "t", change), WEIR_OK);
    assert_int_equal(life_alter(&l, "t", (weir_topic_options){.segment_bytes = 3}), WEIR_INVALID);
    assert_int_equal(life_alter(&l, "t", (weir_topic_options){.retention_ms = -2}), WEIR_INVALID);
    assert_int_equal(life_alter(&l, "none", change), WEIR_NOT_FOUND);
    for (int round = 0; round < 3; round++) {
        assert_int_equal(weir_port_topics(l.f.port, WEIR_TEXT("t"), NULL, 0), WEIR_OK);
        weir_completion done = next_of(l.f.port, WEIR_COMPLETION_TOPICS);
        const weir_topic_options *is = &done.topics.topics[0].options;
        assert_int_equal(is->partitions, 2);
        assert_int_equal(is->level, WEIR_LEVEL_OS);
        assert_int_equal(is->retention_ms, 5000);
        assert_int_equal(is->retention_bytes, 1 << 20);
        assert_int_equal(is->segment_bytes, 65536);
        assert_int_equal(is->segment_ms, 604800000); /* the default, told */
        assert_int_equal(is->delete_retention_ms, 86400000);
        assert_int_equal(is->cleanup, WEIR_CLEANUP_COMPACT_DELETE);
        weir_completion_drop(&done);
        if (round == 0) {
            fixture_kill(&l.f); /* from the journal */
        } else {
            fixture_close(&l.f); /* from a checkpoint */
        }
        fixture_open(&l.f);
    }
    asked.level = WEIR_LEVEL_OS;
    assert_int_equal(declare_with(l.f.port, "t", asked), WEIR_OK); /* what is not asked is any */
    asked.retention_ms = 6000;
    assert_int_equal(declare_with(l.f.port, "t", asked), WEIR_EXISTS);
    life_end(&l);
}

static void a_topic_made_again_begins_at_0_and_readers_of_the_old_one_are_told(void **state)
{
    life_fixture l;
    int number = 0;
    (void)state;
    life_begin(&l);
    declare(l.f.port, "t", WEIR_LEVEL_DISK);
    life_fill(&l, "t/a", 10, 1000, &number);
    life_checkpoints(&l, 1);
    weir_fetch waits = {.topic = WEIR_TEXT("t"), .offset = 10, .bytes_max = 1000, .wait_ms = 9000};
    assert_int_equal(weir_port_fetch(l.f.port, &waits, NULL, 7), WEIR_OK);
    weir_port_step(l.f.port);
    assert_int_equal(weir_port_topic_delete(l.f.port, WEIR_TEXT("t"), NULL, 8), WEIR_OK);
    bool fetch_told = false, deleted = false;
    while (!fetch_told || !deleted) {
        weir_completion done = next_on(l.f.port);
        if (done.type == WEIR_COMPLETION_FETCH) {
            assert_int_equal(done.err, WEIR_NOT_FOUND);
            fetch_told = true;
        } else {
            assert_int_equal(done.err, WEIR_OK);
            deleted = true;
        }
        weir_completion_drop(&done);
    }
    declare(l.f.port, "t", WEIR_LEVEL_DISK);
    assert_int_equal(publish_ok(l.f.port, "t/a", "new"), 0);
    assert_record(l.f.port, "t", 0, "a", "new");
    fixture_kill(&l.f);
    fixture_open(&l.f);
    assert_record(l.f.port, "t", 0, "a", "new");
    assert_int_equal(life_bounds(&l, "t", 0).end_offset, 1);
    life_end(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_older_than_retention_ms_go_and_newer_ones_stay),
        cmocka_unit_test(a_topic_that_gets_no_more_records_is_emptied_all_the_same),
        cmocka_unit_test(retention_bytes_keeps_at_least_so_many),
        cmocka_unit_test(what_no_segment_has_yet_counts_for_retention_bytes),
        cmocka_unit_test(segments_go_for_what_no_segment_has_yet),
        cmocka_unit_test(the_newest_batch_stays_however_small_retention_bytes_is),
        cmocka_unit_test(a_trim_survives_a_kill_and_hides_what_is_below),
        cmocka_unit_test(a_trim_of_what_no_segment_has_yet_survives_a_kill),
        cmocka_unit_test(a_cursor_below_the_start_is_told_of_the_gap),
        cmocka_unit_test(a_cursor_asked_to_begin_below_the_start_is_told_of_the_gap),
        cmocka_unit_test(one_that_begins_below_the_start_of_an_emptied_topic_is_told),
        cmocka_unit_test(an_owed_run_below_the_start_is_told_as_dropped),
        cmocka_unit_test(files_go_only_when_no_start_can_want_them),
        cmocka_unit_test(a_segment_that_cannot_be_removed_keeps_no_other),
        cmocka_unit_test(a_segment_that_found_no_room_leaves_no_file),
        cmocka_unit_test(leftovers_of_a_killed_run_are_swept),
        cmocka_unit_test(a_wall_clock_that_jumped_ahead_expires_nothing_at_a_start),
        cmocka_unit_test(nothing_expires_while_the_wall_clock_is_far_behind),
        cmocka_unit_test(options_of_a_live_topic_can_be_changed_and_survive),
        cmocka_unit_test(a_topic_made_again_begins_at_0_and_readers_of_the_old_one_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
