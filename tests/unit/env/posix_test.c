/* tests/unit/env/posix_test.c - the real table: files, directories, locks, clock and chance [E1].
 */
#include "core/env/env.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SPANS_COUNT = 3000 }; /* more than one system call takes */

static weir_env *ENV;
static char DIRECTORY[64];
static char PATH[2][128];

static int place_make(void **state)
{
    (void)state;
    strcpy(DIRECTORY, "/tmp/weir-env-XXXXXX");
    if (mkdtemp(DIRECTORY) == NULL || weir_env_posix_create(&ENV) != WEIR_OK) {
        return -1;
    }
    (void)snprintf(PATH[0], sizeof(PATH[0]), "%s/a", DIRECTORY);
    (void)snprintf(PATH[1], sizeof(PATH[1]), "%s/b", DIRECTORY);
    return 0;
}

static int place_remove(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        (void)unlink(PATH[i]);
        (void)rmdir(PATH[i]);
    }
    weir_env_posix_destroy(ENV);
    return rmdir(DIRECTORY);
}

static weir_file *opened(const char *path, unsigned flags)
{
    weir_file *file = NULL;
    assert_int_equal(ENV->ops->file_open(ENV, path, flags, &file), WEIR_OK);
    return file;
}

static void opening_tells_missing_from_existing(void **state)
{
    (void)state;
    weir_file *file = NULL;
    assert_int_equal(ENV->ops->file_open(ENV, PATH[0], WEIR_OPEN_READ, &file), WEIR_NOT_FOUND);
    assert_int_equal(errno, ENOENT);
    assert_null(file);
    const unsigned create = WEIR_OPEN_WRITE | WEIR_OPEN_CREATE | WEIR_OPEN_EXCLUSIVE;
    ENV->ops->file_close(ENV, opened(PATH[0], create));
    assert_int_equal(ENV->ops->file_open(ENV, PATH[0], create, &file), WEIR_EXISTS);
    assert_int_equal(errno, EEXIST);
    assert_int_equal(ENV->ops->file_open(ENV, DIRECTORY, WEIR_OPEN_WRITE, &file), WEIR_IO);
    assert_int_equal(errno, EISDIR);
    ENV->ops->file_close(ENV, NULL);
}

static void only_the_owner_may_read_what_is_made(void **state)
{
    (void)state;
    struct stat status;
    ENV->ops->file_close(ENV, opened(PATH[0], WEIR_OPEN_WRITE | WEIR_OPEN_CREATE));
    assert_int_equal(ENV->ops->dir_make(ENV, PATH[1]), WEIR_OK);
    assert_int_equal(stat(PATH[0], &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    assert_int_equal(stat(PATH[1], &status), 0);
    assert_int_equal(status.st_mode & 0777, 0700);
}

static void a_descriptor_does_not_pass_to_other_programs(void **state)
{
    (void)state;
    weir_file *file = opened(PATH[0], WEIR_OPEN_WRITE | WEIR_OPEN_CREATE);
    weir_event *event = NULL;
    assert_int_equal(ENV->ops->event_open(ENV, &event), WEIR_OK);
    for (int fd = 3; fd < 64; fd++) {
        struct stat wanted, found;
        assert_int_equal(stat(PATH[0], &wanted), 0);
        if (fstat(fd, &found) == 0 && found.st_ino == wanted.st_ino &&
            found.st_dev == wanted.st_dev) {
            assert_true((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
        }
    }
    assert_true((fcntl(ENV->ops->event_fd(ENV, event), F_GETFD) & FD_CLOEXEC) != 0);
    ENV->ops->event_close(ENV, event);
    ENV->ops->file_close(ENV, file);
}

static void what_is_written_in_spans_is_read_back(void **state)
{
    (void)state;
    static struct iovec iov[SPANS_COUNT];
    static uint8_t bytes[SPANS_COUNT], back[SPANS_COUNT + 10];
    size_t len = 0, got = 0;
    for (int i = 0; i < SPANS_COUNT; i++) {
        bytes[i] = (uint8_t)(i * 31);
        iov[i] =
            (struct iovec){&bytes[len], i % 5 == 0 ? 0 : 1}; /* some are empty, the first too */
        len += iov[i].iov_len;
    }
    weir_file *file = opened(PATH[0], WEIR_OPEN_WRITE | WEIR_OPEN_CREATE);
    assert_int_equal(ENV->ops->file_write(ENV, file, iov, SPANS_COUNT, 100), WEIR_OK);
    assert_int_equal(ENV->ops->file_write(ENV, file, iov, 0, 0), WEIR_OK);
    assert_int_equal(ENV->ops->file_write(ENV, file, iov, 1, 0), WEIR_OK);
    assert_int_equal(ENV->ops->file_sync(ENV, file), WEIR_OK);
    assert_int_equal(ENV->ops->file_read(ENV, file, back, sizeof(back), 100, &got), WEIR_OK);
    assert_int_equal(got, len);
    assert_memory_equal(back, bytes, len);
    assert_int_equal(ENV->ops->file_read(ENV, file, back, 10, 100 + len, &got), WEIR_OK);
    assert_int_equal(got, 0);
    ENV->ops->file_close(ENV, file);
}

/* Many spans, over pages that are there already, and an end inside a page; then a stream's next
 * part. */
static void a_stream_is_read_back_as_any_other_bytes(void **state)
{
    (void)state;
    enum { SPAN = 409, SPANS = 1100, FROM = 100 }; /* more than one system call takes */
    static uint8_t bytes[2][SPANS * SPAN], back[2 * SPANS * SPAN];
    struct iovec iov[SPANS + 1];
    size_t got = 0;
    weir_file *file = opened(PATH[0], WEIR_OPEN_WRITE | WEIR_OPEN_CREATE);
    for (int part = 0; part < 2; part++) {
        for (size_t i = 0; i < sizeof(bytes[part]); i++) {
            bytes[part][i] = (uint8_t)(i * 7 + i / 251 + (size_t)part);
        }
        iov[0] = (struct iovec){bytes[part], 0};
        for (int i = 0; i < SPANS; i++) {
            iov[i + 1] = (struct iovec){&bytes[part][i * SPAN], SPAN};
        }
        uint64_t at = FROM + (uint64_t)part * sizeof(bytes[part]);
        assert_int_equal(ENV->ops->file_write_stream(ENV, file, iov, SPANS + 1, at), WEIR_OK);
    }
    assert_int_equal(ENV->ops->file_read_stream(ENV, file, back, sizeof(back), FROM, &got),
                     WEIR_OK);
    assert_int_equal(got, sizeof(back));
    assert_memory_equal(back + sizeof(bytes[0]), bytes[1], sizeof(bytes[1]));
    assert_int_equal(ENV->ops->file_read_stream(ENV, file, back, 10, FROM + sizeof(back), &got),
                     WEIR_OK);
    assert_int_equal(got, 0);
    memset(back, 0, sizeof(back));
    assert_int_equal(ENV->ops->file_write_stream(ENV, file, iov, 0, 0), WEIR_OK);
    assert_int_equal(ENV->ops->file_sync(ENV, file), WEIR_OK);
    assert_int_equal(ENV->ops->file_read(ENV, file, back, sizeof(back), FROM, &got), WEIR_OK);
    assert_int_equal(got, sizeof(back));
    assert_memory_equal(back, bytes[0], sizeof(bytes[0]));
    assert_memory_equal(back + sizeof(bytes[0]), bytes[1], sizeof(bytes[1]));
    ENV->ops->file_close(ENV, file);
    file = opened("/dev/full", WEIR_OPEN_WRITE);
    assert_int_equal(ENV->ops->file_write_stream(ENV, file, iov, 2, 0), WEIR_DISK_FULL);
    ENV->ops->file_close(ENV, file);
}

static void a_file_open_for_reading_refuses_writes(void **state)
{
    (void)state;
    ENV->ops->file_close(ENV, opened(PATH[0], WEIR_OPEN_WRITE | WEIR_OPEN_CREATE));
    weir_file *file = opened(PATH[0], WEIR_OPEN_READ);
    struct iovec iov = {(void *)"x", 1};
    assert_int_equal(ENV->ops->file_write(ENV, file, &iov, 1, 0), WEIR_IO);
    assert_int_equal(errno, EBADF);
    assert_int_equal(ENV->ops->file_allocate(ENV, file, 0, 10), WEIR_IO);
    assert_int_equal(errno, EBADF);
    ENV->ops->file_close(ENV, file);
}

static void a_full_disk_is_told_apart(void **state)
{
    (void)state;
    weir_file *file = opened("/dev/full", WEIR_OPEN_WRITE);
    struct iovec iov = {(void *)"x", 1};
    assert_int_equal(ENV->ops->file_write(ENV, file, &iov, 1, 0), WEIR_DISK_FULL);
    assert_int_equal(errno, ENOSPC);
    ENV->ops->file_close(ENV, file);
}

/* The system takes what lies below the limit and then refuses: that is no success of either. */
static void a_write_that_is_cut_short_is_not_a_success(void **state)
{
    (void)state;
    static uint8_t bytes[6000], back[6000];
    struct rlimit kept, limit;
    size_t got = 0;
    memset(bytes, 'x', sizeof(bytes));
    struct iovec iov[2] = {{bytes, 2500}, {bytes + 2500, 3500}};
    weir_file *file = opened(PATH[0], WEIR_OPEN_WRITE | WEIR_OPEN_CREATE);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &kept), 0);
    limit = kept;
    limit.rlim_cur = 4096;
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    weir_err cut = ENV->ops->file_write(ENV, file, iov, 2, 0);
    int reason = errno;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &kept), 0);
    (void)signal(SIGXFSZ, handler);
    assert_int_equal(cut, WEIR_IO);
    assert_int_equal(reason, EFBIG);
    assert_int_equal(ENV->ops->file_read(ENV, file, back, sizeof(back), 0, &got), WEIR_OK);
    assert_int_equal(got, 4096);
    assert_int_equal(ENV->ops->file_write(ENV, file, iov, 2, 0), WEIR_OK);
    assert_int_equal(ENV->ops->file_read(ENV, file, back, sizeof(back), 0, &got), WEIR_OK);
    assert_int_equal(got, sizeof(back));
    assert_memory_equal(back, bytes, sizeof(bytes));
    ENV->ops->file_close(ENV, file);
}

/* It passes: nothing was done, and the same call may be made again. */
static void without_a_descriptor_an_opening_may_be_tried_again(void **state)
{
    (void)state;
    struct rlimit kept, limit;
    weir_file *file = opened(PATH[0], WEIR_OPEN_WRITE | WEIR_OPEN_CREATE);
    weir_file *more = NULL;
    int next = dup(0);
    (void)close(next); /* the next descriptor this process would get */
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &kept), 0);
    limit = kept;
    limit.rlim_cur = (rlim_t)next;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    weir_err opening = ENV->ops->file_open(ENV, PATH[0], WEIR_OPEN_READ, &more);
    weir_err syncing = ENV->ops->dir_sync(ENV, "/tmp");
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &kept), 0);
    assert_int_equal(opening, WEIR_NO_MEMORY);
    assert_int_equal(syncing, WEIR_NO_MEMORY);
    assert_null(more);
    assert_int_equal(ENV->ops->file_open(ENV, PATH[0], WEIR_OPEN_READ, &more), WEIR_OK);
    ENV->ops->file_close(ENV, more);
    ENV->ops->file_close(ENV, file);
}

static uint64_t size_of(weir_file *file)
{
    uint64_t bytes = UINT64_MAX;
    assert_int_equal(ENV->ops->file_size(ENV, file, &bytes), WEIR_OK);
    return bytes;
}

static void size_follows_allocation_and_truncation(void **state)
{
    (void)state;
    weir_file *file = opened(PATH[0], WEIR_OPEN_WRITE | WEIR_OPEN_CREATE);
    assert_int_equal(size_of(file), 0);
    assert_int_equal(ENV->ops->file_allocate(ENV, file, 0, 65536), WEIR_OK);
    assert_int_equal(size_of(file), 65536);
    assert_int_equal(ENV->ops->file_allocate(ENV, file, 0, 0), WEIR_OK);
    assert_int_equal(ENV->ops->file_truncate(ENV, file, 10), WEIR_OK);
    assert_int_equal(size_of(file), 10);
    ENV->ops->file_close(ENV, file);
    file = opened(PATH[0], WEIR_OPEN_WRITE | WEIR_OPEN_TRUNCATE);
    assert_int_equal(size_of(file), 0);
    ENV->ops->file_close(ENV, file);
}

static void a_lock_holds_against_another_open_until_close(void **state)
{
    (void)state;
    weir_file *first = opened(PATH[0], WEIR_OPEN_WRITE | WEIR_OPEN_CREATE);
    weir_file *second = opened(PATH[0], WEIR_OPEN_WRITE);
    assert_int_equal(ENV->ops->file_lock(ENV, first), WEIR_OK);
    assert_int_equal(ENV->ops->file_lock(ENV, second), WEIR_LOCKED);
    assert_int_equal(errno, EWOULDBLOCK);
    ENV->ops->file_close(ENV, opened(PATH[0], WEIR_OPEN_READ)); /* drops no one's lock */
    assert_int_equal(ENV->ops->file_lock(ENV, second), WEIR_LOCKED);
    ENV->ops->file_close(ENV, first);
    assert_int_equal(ENV->ops->file_lock(ENV, second), WEIR_OK);
    ENV->ops->file_close(ENV, second);
}

static void making_a_directory_that_exists_is_fine(void **state)
{
    (void)state;
    assert_int_equal(ENV->ops->dir_make(ENV, PATH[0]), WEIR_OK);
    assert_int_equal(ENV->ops->dir_make(ENV, PATH[0]), WEIR_OK);
    ENV->ops->file_close(ENV, opened(PATH[1], WEIR_OPEN_WRITE | WEIR_OPEN_CREATE));
    assert_int_equal(ENV->ops->dir_make(ENV, PATH[1]), WEIR_EXISTS);
    assert_int_equal(errno, EEXIST);
    assert_int_equal(ENV->ops->dir_sync(ENV, PATH[0]), WEIR_OK);
    assert_int_equal(ENV->ops->dir_sync(ENV, PATH[1]), WEIR_IO);
    assert_int_equal(errno, ENOTDIR);
}

typedef struct listing {
    int count;
    int stop_after;
    char names[4][16];
} listing;

static bool list_name(void *arg, const char *name)
{
    listing *into = arg;
    assert_true(into->count < 4);
    (void)snprintf(into->names[into->count++], sizeof(into->names[0]), "%s", name);
    return into->count != into->stop_after;
}

static void listing_gives_every_name_until_told_to_stop(void **state)
{
    (void)state;
    listing all = {0}, one = {.stop_after = 1}, none = {0};
    ENV->ops->file_close(ENV, opened(PATH[0], WEIR_OPEN_WRITE | WEIR_OPEN_CREATE));
    assert_int_equal(ENV->ops->dir_make(ENV, PATH[1]), WEIR_OK);
    assert_int_equal(ENV->ops->dir_list(ENV, DIRECTORY, list_name, &all), WEIR_OK);
    assert_int_equal(all.count, 2);
    assert_int_equal(all.names[0][0] + all.names[1][0], 'a' + 'b');
    assert_int_equal(ENV->ops->dir_list(ENV, DIRECTORY, list_name, &one), WEIR_OK);
    assert_int_equal(one.count, 1);
    assert_int_equal(ENV->ops->dir_list(ENV, PATH[1], list_name, &none), WEIR_OK);
    assert_int_equal(none.count, 0);
    assert_int_equal(ENV->ops->dir_list(ENV, "/tmp/weir-env-none", list_name, &none),
                     WEIR_NOT_FOUND);
}

static void names_are_moved_and_removed(void **state)
{
    (void)state;
    ENV->ops->file_close(ENV, opened(PATH[0], WEIR_OPEN_WRITE | WEIR_OPEN_CREATE));
    assert_int_equal(ENV->ops->rename(ENV, PATH[0], PATH[1]), WEIR_OK);
    assert_int_equal(ENV->ops->rename(ENV, PATH[0], PATH[1]), WEIR_NOT_FOUND);
    assert_int_equal(ENV->ops->dir_remove(ENV, DIRECTORY), WEIR_IO); /* not empty */
    assert_int_equal(errno, ENOTEMPTY);
    assert_int_equal(ENV->ops->unlink(ENV, PATH[1]), WEIR_OK);
    assert_int_equal(ENV->ops->unlink(ENV, PATH[1]), WEIR_NOT_FOUND);
    assert_int_equal(errno, ENOENT);
    assert_int_equal(ENV->ops->dir_make(ENV, PATH[0]), WEIR_OK);
    assert_int_equal(ENV->ops->dir_remove(ENV, PATH[0]), WEIR_OK);
    assert_int_equal(ENV->ops->dir_remove(ENV, PATH[0]), WEIR_NOT_FOUND);
}

static void free_space_is_told_for_a_directory_that_exists(void **state)
{
    (void)state;
    uint64_t bytes = 0;
    assert_int_equal(ENV->ops->space_free(ENV, DIRECTORY, &bytes), WEIR_OK);
    assert_true(bytes > 0);
    assert_int_equal(ENV->ops->space_free(ENV, PATH[0], &bytes), WEIR_NOT_FOUND);
}

static void clocks_run_forward_and_chance_differs(void **state)
{
    (void)state;
    uint64_t first_ns = ENV->ops->monotonic_ns(ENV);
    assert_true(ENV->ops->monotonic_ns(ENV) >= first_ns);
    assert_true(ENV->ops->wall_ms(ENV) > 1600000000000);
    uint8_t one[1000] = {0}, two[1000] = {0};
    ENV->ops->random(ENV, one, sizeof(one));
    ENV->ops->random(ENV, two, sizeof(two));
    assert_memory_not_equal(one, two, sizeof(one));
    ENV->ops->random(ENV, one, 0);
    assert_int_equal(ENV->ops->process_id(ENV), getpid());
}

#define PLACED(test) cmocka_unit_test_setup_teardown(test, place_make, place_remove)

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLACED(opening_tells_missing_from_existing),
        PLACED(only_the_owner_may_read_what_is_made),
        PLACED(a_descriptor_does_not_pass_to_other_programs),
        PLACED(what_is_written_in_spans_is_read_back),
        PLACED(a_stream_is_read_back_as_any_other_bytes),
        PLACED(a_file_open_for_reading_refuses_writes),
        PLACED(a_full_disk_is_told_apart),
        PLACED(a_write_that_is_cut_short_is_not_a_success),
        PLACED(without_a_descriptor_an_opening_may_be_tried_again),
        PLACED(size_follows_allocation_and_truncation),
        PLACED(a_lock_holds_against_another_open_until_close),
        PLACED(making_a_directory_that_exists_is_fine),
        PLACED(listing_gives_every_name_until_told_to_stop),
        PLACED(names_are_moved_and_removed),
        PLACED(free_space_is_told_for_a_directory_that_exists),
        PLACED(clocks_run_forward_and_chance_differs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
