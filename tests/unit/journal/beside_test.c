/* Units that refer to bytes in another file: what was called durable has them after a power cut at
 * any call; a unit whose bytes are missing is cut when no mark proves it, and damage when one does. */
#include "tests/unit/journal/disk_env.h"

enum { PLAIN = 1, REFERS = 10, CARRIED = 5, BODY_BYTES = 24, RANGES_MAX = 256 };

typedef struct range {
    uint64_t number;
    uint64_t position;
    uint32_t len;
} range;

/* The other file: one for each owner, as a segment is; "/data/side-<term>". */
typedef struct side {
    disk_env *disk;
    weir_file *file;
    uint64_t term;
    uint64_t end;
    range waiting[RANGES_MAX];
    size_t waiting_count;
    range going[RANGES_MAX];
    size_t going_count;
    uint64_t carried; /* units */
    weir_err write_err;
    weir_err sync_err;
    uint64_t last; /* replayed */
} side;

static uint8_t side_byte(uint64_t number, size_t i)
{
    return (uint8_t)(number * 17 + i * 5 + 3);
}

static weir_file *side_open(disk_env *disk, uint64_t term, unsigned flags)
{
    char path[64];
    weir_file *file = NULL;
    (void)snprintf(path, sizeof(path), "/data/side-%llu", (unsigned long long)term);
    return disk_file_open(&disk->env, path, flags, &file) == WEIR_OK ? file : NULL;
}

static weir_err side_begin(void *arg, uint64_t *bytes)
{
    side *s = arg;
    *bytes = 0;
    assert_int_equal(s->going_count, 0);
    memcpy(s->going, s->waiting, s->waiting_count * sizeof(range));
    s->going_count = s->waiting_count;
    s->waiting_count = 0;
    return WEIR_OK;
}

static weir_err side_write(void *arg)
{
    side *s = arg;
    weir_err err = s->write_err;
    for (size_t i = 0; i < s->going_count && err == WEIR_OK; i++) {
        uint8_t bytes[4096];
        for (size_t b = 0; b < s->going[i].len; b++) {
            bytes[b] = side_byte(s->going[i].number, b);
        }
        struct iovec part = {bytes, s->going[i].len};
        err = disk_file_write(&s->disk->env, s->file, &part, 1, s->going[i].position);
    }
    return err;
}

static weir_err side_sync(void *arg)
{
    side *s = arg;
    return s->sync_err != WEIR_OK ? s->sync_err : disk_file_sync(&s->disk->env, s->file);
}

static void side_end(void *arg, weir_err err)
{
    side *s = arg;
    (void)err;
    s->going_count = 0;
}

static bool range_whole(const uint8_t *bytes, uint64_t number, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (bytes[i] != side_byte(number, i)) {
            return false;
        }
    }
    return true;
}

static weir_err range_read(side *s, uint64_t term, const uint8_t *body, uint8_t *out)
{
    uint32_t len = weir_get_u32(body + 16);
    size_t got = 0;
    weir_file *file = side_open(s->disk, term, WEIR_OPEN_READ);
    if (file == NULL) {
        return s->disk->off ? WEIR_IO : WEIR_EMPTY;
    }
    weir_err err = disk_file_read(&s->disk->env, file, out, len, weir_get_u64(body + 8), &got);
    disk_file_close(&s->disk->env, file);
    if (err != WEIR_OK) {
        return err;
    }
    return got == len && range_whole(out, weir_get_u64(body), len) ? WEIR_OK : WEIR_EMPTY;
}

static weir_err side_find(void *arg, const weir_journal_unit *unit, weir_fault *fault)
{
    weir_bytes rest = unit->entries;
    weir_journal_entry entry;
    uint8_t bytes[4096];
    weir_err err = WEIR_OK;
    while (err == WEIR_OK && weir_journal_entry_next(&rest, &entry) == WEIR_OK) {
        if (entry.type == REFERS) {
            err = range_read(arg, unit->term, entry.body.ptr, bytes);
        }
    }
    if (err == WEIR_IO) {
        fault->err = WEIR_IO;
        (void)snprintf(fault->text, sizeof(fault->text), "the side file cannot be read");
    }
    return err;
}

static weir_err side_carry(void *arg, const weir_journal_unit *unit, uint8_t *out, size_t *bytes)
{
    side *s = arg;
    weir_bytes rest = unit->entries;
    weir_journal_entry entry;
    bool refers = false;
    size_t len = 0;
    while (weir_journal_entry_next(&rest, &entry) == WEIR_OK) {
        bool one = entry.type == REFERS;
        size_t body = one ? 8 + weir_get_u32(entry.body.ptr + 16) : entry.body.len;
        if (out != NULL) {
            uint8_t *at = out + len + WEIR_JOURNAL_ENTRY_HEAD_BYTES;
            weir_journal_entry_encode(out + len, one ? CARRIED : entry.type, 1, (uint32_t)body);
            memcpy(at, entry.body.ptr, one ? 8 : body);
            weir_err err = one ? range_read(s, unit->term, entry.body.ptr, at + 8) : WEIR_OK;
            if (err != WEIR_OK) {
                return WEIR_IO;
            }
        }
        refers = refers || one;
        len += WEIR_JOURNAL_ENTRY_HEAD_BYTES + body;
    }
    s->carried += refers && out != NULL ? 1 : 0;
    *bytes = refers ? len : 0;
    return WEIR_OK;
}

/* Unit n: a plain entry, then a reference when it has one. */
static weir_err side_replay(void *arg, const weir_journal_unit *unit, weir_fault *fault)
{
    side *s = arg;
    weir_bytes rest = unit->entries;
    weir_journal_entry entry;
    uint8_t bytes[4096];
    (void)fault;
    assert_true(s->last == 0 || unit->number == s->last + 1);
    s->last = unit->number;
    assert_int_equal(weir_journal_entry_next(&rest, &entry), WEIR_OK);
    assert_int_equal(entry.type, PLAIN);
    assert_int_equal(weir_get_u64(entry.body.ptr), unit->number);
    while (weir_journal_entry_next(&rest, &entry) == WEIR_OK) {
        assert_int_equal(weir_get_u64(entry.body.ptr), unit->number);
        if (entry.type == REFERS) {
            assert_int_equal(range_read(s, unit->term, entry.body.ptr, bytes), WEIR_OK);
        } else {
            assert_int_equal(entry.type, CARRIED);
            assert_true(range_whole(entry.body.ptr + 8, unit->number, entry.body.len - 8));
        }
    }
    return WEIR_OK;
}

static weir_err side_reopen(side *s, weir_sync_mode sync, uint64_t term, weir_journal **journal,
                            weir_fault *fault)
{
    weir_journal_config config = {
        .env = &s->disk->env,
        .dir = "/data/journal",
        .file_bytes = TEST_FILE_BYTES,
        .pending_bytes_max = 4 << 20,
        .term = term,
        .sync = sync,
        .beside = {.arg = s,
                   .begin = side_begin,
                   .write = side_write,
                   .sync = side_sync,
                   .end = side_end,
                   .find = side_find,
                   .carry = side_carry},
    };
    s->last = 0;
    s->term = term;
    s->end = 0;
    s->waiting_count = 0;
    s->going_count = 0;
    if (s->file != NULL) {
        disk_file_close(&s->disk->env, s->file);
    }
    s->file = side_open(s->disk, term, WEIR_OPEN_WRITE | WEIR_OPEN_CREATE);
    if (s->file == NULL || disk_dir_sync(&s->disk->env, "/data") != WEIR_OK) {
        return WEIR_IO;
    }
    return weir_journal_open(&config, 1, side_replay, s, journal, fault);
}

static void side_unit(side *s, weir_journal *journal, uint32_t len)
{
    uint64_t number = weir_journal_last(journal) + 1;
    weir_journal_begin(journal, TEST_ENGINE_MS);
    weir_put_u64(weir_journal_entry_add(journal, PLAIN, 1, 8), number);
    if (len > 0) {
        uint8_t *body = weir_journal_entry_add(journal, REFERS, 1, BODY_BYTES);
        memset(body, 0, BODY_BYTES);
        weir_put_u64(body, number);
        weir_put_u64(body + 8, s->end);
        weir_put_u32(body + 16, len);
        assert_true(s->waiting_count < RANGES_MAX);
        s->waiting[s->waiting_count++] = (range){number, s->end, len};
        s->end += len;
    }
    assert_int_equal(weir_journal_end(journal), number);
}

static void side_work(side *s, weir_journal *journal, uint64_t *durable, int steps)
{
    for (int i = 0; i < steps && weir_journal_state(journal) == WEIR_OK; i++) {
        uint64_t choice = disk_random(s->disk) % 14;
        if (choice < 7 && weir_journal_room(journal, 200) == WEIR_OK &&
            s->waiting_count < RANGES_MAX) {
            side_unit(s, journal, choice < 4 ? (uint32_t)(disk_random(s->disk) % 3000 + 1) : 0);
        } else if (choice < 11) {
            (void)weir_journal_flush(journal, choice < 9);
        } else if (choice == 11) {
            (void)weir_journal_mark(journal);
        } else {
            disk_jobs_run(&s->disk->env);
            (void)weir_journal_poll(journal);
        }
        *durable =
            weir_journal_durable(journal) > *durable ? weir_journal_durable(journal) : *durable;
    }
}

static void side_destroy(side *s)
{
    if (s->file != NULL) {
        disk_file_close(&s->disk->env, s->file);
    }
    disk_destroy(s->disk);
}

static void a_power_cut_at_any_call_leaves_every_unit_with_its_bytes(void **state)
{
    uint64_t carried = 0;
    (void)state;
    for (uint64_t seed = 1; seed <= 600; seed++) {
        side s = {.disk = disk_create(seed)};
        weir_sync_mode sync = seed % 2 == 0 ? WEIR_SYNC_INLINE : WEIR_SYNC_THREAD;
        uint64_t durable = 0;
        for (uint64_t term = 1; term < 7; term++) {
            weir_journal *journal = NULL;
            weir_fault fault = {0};
            s.disk->calls_left = term == 6 ? 0 : disk_random(s.disk) % 120 + 1;
            weir_err err = side_reopen(&s, sync, term, &journal, &fault);
            if (err == WEIR_OK) {
                assert_true(weir_journal_last(journal) >= durable);
                durable = weir_journal_durable(journal);
                side_work(&s, journal, &durable, 80);
                weir_journal_abandon(journal);
            } else {
                if (!s.disk->off) {
                    print_error("seed %llu: %s: %s\n", (unsigned long long)seed, weir_err_name(err),
                                fault.text);
                }
                assert_true(s.disk->off);
            }
            disk_cut(s.disk);
        }
        carried += s.carried;
        side_destroy(&s);
    }
    assert_true(carried > 100); /* the unproven tail often had such units */
}

static void a_crash_without_a_power_cut_keeps_what_was_written(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 100; seed++) {
        side s = {.disk = disk_create(seed)};
        uint64_t durable = 0;
        for (uint64_t term = 1; term < 5; term++) {
            weir_journal *journal = NULL;
            weir_fault fault = {0};
            assert_int_equal(side_reopen(&s, WEIR_SYNC_INLINE, term, &journal, &fault), WEIR_OK);
            assert_true(weir_journal_last(journal) >= durable);
            side_work(&s, journal, &durable, 80);
            durable = weir_journal_written(journal);
            weir_journal_abandon(journal);
            disk_restart(s.disk);
        }
        side_destroy(&s);
    }
}

/* Unit 2 refers to bytes that a failed power supply took; units 1 and 3 are whole. */
static weir_err lose_bytes(bool proved, side *s, weir_journal **journal, weir_fault *fault)
{
    assert_int_equal(side_reopen(s, WEIR_SYNC_INLINE, 1, journal, fault), WEIR_OK);
    side_unit(s, *journal, 0);
    side_unit(s, *journal, 100);
    side_unit(s, *journal, 0); /* all in one block */
    assert_int_equal(weir_journal_flush(*journal, proved), WEIR_OK);
    if (proved) {
        assert_int_equal(weir_journal_mark(*journal), WEIR_OK);
    }
    weir_journal_abandon(*journal);
    disk_restart(s->disk);
    weir_file *file = side_open(s->disk, 1, WEIR_OPEN_WRITE);
    struct iovec part = {(uint8_t[1]){0xff}, 1};
    assert_int_equal(disk_file_write(&s->disk->env, file, &part, 1, 50), WEIR_OK);
    disk_file_close(&s->disk->env, file);
    return side_reopen(s, WEIR_SYNC_INLINE, 2, journal, fault);
}

static void a_unit_without_its_bytes_is_cut_with_all_behind_it(void **state)
{
    side s = {.disk = disk_create(1)};
    weir_journal *journal = NULL;
    weir_fault fault = {0};
    (void)state;
    assert_int_equal(lose_bytes(false, &s, &journal, &fault), WEIR_OK);
    assert_int_equal(weir_journal_last(journal), 1); /* the block's first unit is kept */
    side_unit(&s, journal, 70);
    assert_int_equal(weir_journal_close(journal), WEIR_OK);
    disk_restart(s.disk);
    assert_int_equal(side_reopen(&s, WEIR_SYNC_INLINE, 3, &journal, &fault), WEIR_OK);
    assert_int_equal(weir_journal_last(journal), 2);
    weir_journal_abandon(journal);
    side_destroy(&s);
}

static void below_a_mark_it_is_damage_and_nothing_changes(void **state)
{
    side s = {.disk = disk_create(2)};
    weir_journal *journal = NULL;
    weir_fault fault = {0};
    (void)state;
    assert_int_equal(lose_bytes(true, &s, &journal, &fault), WEIR_DAMAGED);
    assert_non_null(strstr(fault.text, "missing"));
    weir_file *file = side_open(s.disk, 1, WEIR_OPEN_WRITE);
    struct iovec part = {(uint8_t[1]){side_byte(2, 50)}, 1};
    assert_int_equal(disk_file_write(&s.disk->env, file, &part, 1, 50), WEIR_OK);
    disk_file_close(&s.disk->env, file);
    assert_int_equal(side_reopen(&s, WEIR_SYNC_INLINE, 3, &journal, &fault), WEIR_OK);
    assert_int_equal(weir_journal_last(journal), 3);
    weir_journal_abandon(journal);
    side_destroy(&s);
}

static void a_failed_sync_of_the_other_file_acknowledges_nothing(void **state)
{
    (void)state;
    for (int mode = WEIR_SYNC_INLINE; mode <= WEIR_SYNC_THREAD; mode++) {
        side s = {.disk = disk_create(3)};
        weir_journal *journal = NULL;
        weir_fault fault = {0};
        assert_int_equal(side_reopen(&s, (weir_sync_mode)mode, 1, &journal, &fault), WEIR_OK);
        disk_jobs_run(&s.disk->env);
        (void)weir_journal_poll(journal);
        side_unit(&s, journal, 100);
        s.disk->fail_sync_in = 1; /* the side file's: it comes before the journal's */
        (void)weir_journal_flush(journal, true);
        disk_jobs_run(&s.disk->env);
        assert_int_equal(weir_journal_poll(journal), WEIR_READ_ONLY);
        assert_int_equal(weir_journal_durable(journal), 0);
        weir_journal_abandon(journal);
        disk_restart(s.disk);
        assert_int_equal(side_reopen(&s, WEIR_SYNC_INLINE, 2, &journal, &fault), WEIR_OK);
        assert_int_equal(weir_journal_last(journal), 1); /* still readable: carried over, synced */
        assert_int_equal(s.carried, 1);
        weir_journal_abandon(journal);
        disk_cut(s.disk);
        assert_int_equal(side_reopen(&s, WEIR_SYNC_INLINE, 3, &journal, &fault), WEIR_OK);
        assert_int_equal(weir_journal_last(journal), 1);
        weir_journal_abandon(journal);
        side_destroy(&s);
    }
}

static void no_room_for_the_bytes_holds_the_block_back(void **state)
{
    side s = {.disk = disk_create(4), .write_err = WEIR_DISK_FULL};
    weir_journal *journal = NULL;
    weir_fault fault = {0};
    (void)state;
    assert_int_equal(side_reopen(&s, WEIR_SYNC_INLINE, 1, &journal, &fault), WEIR_OK);
    disk_jobs_run(&s.disk->env);
    (void)weir_journal_poll(journal);
    side_unit(&s, journal, 100);
    assert_int_equal(weir_journal_flush(journal, true), WEIR_DISK_FULL);
    assert_int_equal(weir_journal_room(journal, 10), WEIR_DISK_FULL);
    assert_int_equal(weir_journal_written(journal), 0);
    s.write_err = WEIR_OK;
    assert_int_equal(weir_journal_poll(journal), WEIR_DISK_FULL); /* not at every turn */
    s.disk->now_ns += 1000000000;
    assert_int_equal(weir_journal_poll(journal), WEIR_OK);
    assert_int_equal(weir_journal_durable(journal), 1);
    assert_int_equal(weir_journal_close(journal), WEIR_OK);
    side_destroy(&s);
}

static void bytes_that_cannot_be_opened_to_be_synced_are_waited_for(void **state)
{
    (void)state;
    for (int mode = WEIR_SYNC_INLINE; mode <= WEIR_SYNC_THREAD; mode++) {
        side s = {.disk = disk_create(4), .sync_err = WEIR_NO_MEMORY};
        weir_journal *journal = NULL;
        weir_fault fault = {0};
        assert_int_equal(side_reopen(&s, (weir_sync_mode)mode, 1, &journal, &fault), WEIR_OK);
        disk_jobs_run(&s.disk->env);
        (void)weir_journal_poll(journal);
        side_unit(&s, journal, 100);
        (void)weir_journal_flush(journal, true);
        disk_jobs_run(&s.disk->env);
        assert_int_equal(weir_journal_poll(journal), WEIR_DISK_FULL);
        assert_true(weir_journal_lacks_memory(journal));
        assert_int_equal(weir_journal_written(journal), 1);
        assert_int_equal(weir_journal_durable(journal), 0);
        s.sync_err = WEIR_OK;
        assert_int_equal(weir_journal_poll(journal), WEIR_DISK_FULL); /* not at every turn */
        s.disk->now_ns += 1000000000;
        (void)weir_journal_poll(journal);
        disk_jobs_run(&s.disk->env);
        assert_int_equal(weir_journal_poll(journal), WEIR_OK);
        assert_int_equal(weir_journal_durable(journal), 1);
        assert_int_equal(weir_journal_close(journal), WEIR_OK);
        side_destroy(&s);
    }
}

int main(void)
{
    weir_log_sink(log_quiet, NULL);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_power_cut_at_any_call_leaves_every_unit_with_its_bytes),
        cmocka_unit_test(a_crash_without_a_power_cut_keeps_what_was_written),
        cmocka_unit_test(a_unit_without_its_bytes_is_cut_with_all_behind_it),
        cmocka_unit_test(below_a_mark_it_is_damage_and_nothing_changes),
        cmocka_unit_test(a_failed_sync_of_the_other_file_acknowledges_nothing),
        cmocka_unit_test(no_room_for_the_bytes_holds_the_block_back),
        cmocka_unit_test(bytes_that_cannot_be_opened_to_be_synced_are_waited_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
