/* core/journal/journal.c - the journal's life, and units on their way into the waiting block.
 *
 *   begin, entry, entry, end -> [ head room | unit | unit | ... ] -> writer.c -> the disk
 *
 * Units are laid down once, in the bytes that are written: two buffers take turns, so units are
 * added to one while the other is on its way. room() is where refusals come from: it has the memory
 * ready before anything is decided, so that begin to end cannot fail behind it.
 *
 * Three numbers only rise: durable <= written <= last. close() brings them together and leaves a
 * mark that says so; abandon() leaves everything as a crash would.
 *
 * [J1] durable moves to u only when a sync that began after the write of u ended has succeeded, and
 *      before it one of all that units up to u refer to.
 * [J2] Every block's mark is at most what was durable when it was written.
 * [J3] After a failed write or sync nothing is written, synced or acknowledged any more.
 * [J4] The file being written is never released.
 * [J5] On a full disk a unit that frees none leaves the reserve's last part as it is. */
#include "core/journal/internal.h"

#include "core/base/assert.h"
#include "core/base/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Room in a buffer beyond what room() was asked for: heads of a unit's entries. */
enum { ROOM_SLACK_BYTES = 4096, UNIT_BYTES_MAX = 1 << 30 };

/* Of the reserve, one part in so many is its last; WEIR_JOURNAL_LAST_BYTES_MAX at most. */
enum { LAST_PART = 4 };

/* So long no file is made beforehand after one was given. */
static const uint64_t GIVEN_NS = UINT64_C(2) * 1000 * 1000 * 1000;

/* What a unit is for: on a full disk the last two use the reserve, the last one all of it. */
typedef enum unit_use { USE_PLAIN, USE_SETTLES, USE_FREES } unit_use;

/* Memory. */

void weir_journal_buffer_fini(weir_journal_buffer *buffer)
{
    free(buffer->ptr);
    *buffer = (weir_journal_buffer){0};
}

weir_err weir_journal_buffer_reserve(weir_journal_buffer *buffer, size_t more)
{
    size_t used = buffer->len == 0 ? WEIR_JOURNAL_BLOCK_HEAD_BYTES : buffer->len;
    size_t need =
        used + more + WEIR_JOURNAL_PAGE_BYTES; /* the padding comes out of the last page */
    if (need <= buffer->capacity) {
        return WEIR_OK;
    }
    size_t capacity = need > buffer->capacity * 2 ? need : buffer->capacity * 2;
    capacity = (capacity + WEIR_JOURNAL_PAGE_BYTES - 1) / WEIR_JOURNAL_PAGE_BYTES *
               WEIR_JOURNAL_PAGE_BYTES;
    uint8_t *grown = aligned_alloc(WEIR_JOURNAL_PAGE_BYTES, capacity);
    if (grown == NULL) {
        return WEIR_NO_MEMORY;
    }
    if (buffer->len > 0) {
        memcpy(grown, buffer->ptr, buffer->len);
    }
    free(buffer->ptr);
    buffer->ptr = grown;
    buffer->capacity = capacity;
    return WEIR_OK;
}

weir_err weir_journal_files_reserve(weir_journal *journal)
{
    if (journal->file_count < journal->file_capacity) {
        return WEIR_OK;
    }
    size_t capacity =
        journal->file_capacity == 0 ? WEIR_JOURNAL_FILES_START : journal->file_capacity * 2;
    weir_journal_file *grown = realloc(journal->files, capacity * sizeof(*grown));
    if (grown == NULL) {
        return WEIR_NO_MEMORY;
    }
    journal->files = grown;
    journal->file_capacity = capacity;
    return WEIR_OK;
}

/* Life. */

static weir_err config_check(const weir_journal_config *config, weir_fault *fault)
{
    bool good = config->file_bytes >= WEIR_JOURNAL_FILE_BYTES_MIN &&
                config->file_bytes % WEIR_JOURNAL_PAGE_BYTES == 0 &&
                config->pending_bytes_max > 0 &&
                config->pending_bytes_max <= WEIR_JOURNAL_PENDING_BYTES_MAX &&
                config->reserve_bytes % WEIR_JOURNAL_PAGE_BYTES == 0 &&
                config->reserve_bytes <= config->file_bytes && config->term <= UINT32_MAX &&
                strlen(config->dir) <= WEIR_JOURNAL_DIR_MAX;
    if (good) {
        return WEIR_OK;
    }
    *fault = (weir_fault){.err = WEIR_INVALID};
    (void)snprintf(
        fault->text, sizeof(fault->text),
        "the journal's file size must be a multiple of 4096 of at least 64 KiB, and what "
        "may wait at most 1 GiB");
    return WEIR_INVALID;
}

static weir_journal *journal_create(const weir_journal_config *config)
{
    weir_journal *journal = calloc(1, sizeof(*journal));
    if (journal == NULL) {
        return NULL;
    }
    journal->env = config->env;
    journal->dir.env = config->env;
    (void)snprintf(journal->dir.path, sizeof(journal->dir.path), "%s", config->dir);
    journal->file_bytes = config->file_bytes;
    journal->reserve_bytes = config->reserve_bytes;
    journal->pending_bytes_max = config->pending_bytes_max;
    journal->term = config->term;
    journal->room_first = config->room_first;
    journal->taken_over = config->taken_over;
    journal->damage = config->damage;
    journal->unit_least = config->unit_least;
    journal->sync_mode = config->sync;
    journal->wake = config->wake;
    journal->wake_arg = config->wake_arg;
    journal->beside = config->beside;
    journal->active = &journal->buffers[0];
    journal->write.journal = journal;
    journal->prepare.journal = journal;
    return journal;
}

static void journal_destroy(weir_journal *journal)
{
    if (journal->file != NULL) {
        journal->env->ops->file_close(journal->env, journal->file);
    }
    weir_journal_buffer_fini(&journal->buffers[0]);
    weir_journal_buffer_fini(&journal->buffers[1]);
    weir_journal_buffer_fini(&journal->mark);
    free(journal->files);
    free(journal);
}

weir_err weir_journal_open(const weir_journal_config *config, uint64_t from_unit,
                           weir_err (*replay)(void *arg, const weir_journal_unit *unit,
                                              weir_fault *fault),
                           void *arg, weir_journal **journal, weir_fault *fault)
{
    weir_fault unwanted;
    fault = fault != NULL ? fault : &unwanted;
    weir_err err = config_check(config, fault);
    if (err != WEIR_OK) {
        return err;
    }
    weir_journal *made = journal_create(config);
    if (made == NULL || weir_journal_buffer_reserve(&made->mark, 0) != WEIR_OK) {
        *fault = (weir_fault){.err = WEIR_NO_MEMORY};
        (void)snprintf(fault->text, sizeof(fault->text),
                       "there is no memory to open the journal; give the gateway more");
        err = WEIR_NO_MEMORY;
    } else {
        err = weir_journal_recover(made, from_unit, replay, arg, fault);
    }
    if (err != WEIR_OK) {
        if (made != NULL) {
            journal_destroy(made);
        }
        return err;
    }
    weir_journal_prepare_start(made);
    *journal = made;
    return WEIR_OK;
}

void weir_journal_abandon(weir_journal *journal)
{
    if (journal == NULL) {
        return;
    }
    if (journal->lanes_used) {
        journal->env->ops->lanes_drain(journal->env); /* jobs and what they wake stay until then */
    }
    journal_destroy(journal);
}

weir_err weir_journal_close(weir_journal *journal)
{
    if (journal == NULL) {
        return WEIR_OK;
    }
    weir_err err = weir_journal_flush(journal, true);
    while (weir_journal_busy(journal)) {
        journal->env->ops->lanes_drain(journal->env);
        err = weir_journal_poll(journal);
    }
    if (err == WEIR_OK && journal->last_mark < journal->durable) {
        (void)weir_journal_mark_write(journal, true);
        while (journal->busy) {
            journal->env->ops->lanes_drain(journal->env);
            (void)weir_journal_poll(journal);
        }
        err = weir_journal_state(journal);
    }
    weir_journal_abandon(journal);
    return err;
}

/* Units. */

/* How much more the file being written takes once all that waits is in it. */
static uint64_t file_room(const weir_journal *journal)
{
    uint64_t room = journal->files[journal->file_count - 1].bytes - journal->position;
    uint64_t on_its_way = journal->busy && journal->write.buffer != NULL
                              ? weir_journal_block_span(journal->write.buffer->len)
                              : 0;
    uint64_t waiting = on_its_way + weir_journal_block_span(journal->active->len);
    return room > waiting ? room - waiting : 0;
}

/* Whether the reserve takes all that waits, and so much more. */
static bool reserve_takes(const weir_journal *journal, uint64_t need)
{
    uint64_t span = weir_journal_block_span(journal->active->len + need);
    return journal->reserve != 0 && WEIR_JOURNAL_PAGE_BYTES + span <= journal->reserve_size;
}

/* The reserve's last part, which is left to units that free disk. */
static uint64_t last_part(const weir_journal *journal)
{
    uint64_t part = journal->reserve_bytes / LAST_PART;
    part = part < WEIR_JOURNAL_LAST_BYTES_MAX ? part : WEIR_JOURNAL_LAST_BYTES_MAX;
    return part / WEIR_JOURNAL_PAGE_BYTES * WEIR_JOURNAL_PAGE_BYTES;
}

/* Whether a unit fits though no file can be made [J5]. */
static bool full_takes(const weir_journal *journal, uint64_t need, unit_use use)
{
    uint64_t kept = use == USE_FREES ? 0 : last_part(journal);
    if (use == USE_PLAIN) {
        return need <= file_room(journal);
    }
    if (journal->reserve_taken) { /* the file being written is what became of it */
        return need + kept <= file_room(journal);
    }
    return need <= file_room(journal) || reserve_takes(journal, need + kept);
}

static weir_err room(weir_journal *journal, uint64_t bytes, unit_use use)
{
    if (journal->failed) {
        return WEIR_READ_ONLY;
    }
    if (bytes > journal->pending_bytes_max) {
        return WEIR_TOO_LARGE;
    }
    uint64_t need = bytes + WEIR_JOURNAL_UNIT_HEAD_BYTES + ROOM_SLACK_BYTES;
    bool full = journal->disk_full && journal->spare_count == 0 && !full_takes(journal, need, use);
    if (journal->blocked || full || (journal->reserve_taken && use == USE_PLAIN)) {
        return WEIR_DISK_FULL;
    }
    if (journal->active->unit_count > 0 &&
        journal->active->len + bytes > journal->pending_bytes_max) {
        return WEIR_AGAIN;
    }
    return weir_journal_buffer_reserve(journal->active, (size_t)need);
}

weir_err weir_journal_room(weir_journal *journal, uint64_t bytes)
{
    return room(journal, bytes, USE_PLAIN);
}

weir_err weir_journal_room_reserve(weir_journal *journal, uint64_t bytes)
{
    return room(journal, bytes, USE_SETTLES);
}

weir_err weir_journal_room_last(weir_journal *journal, uint64_t bytes)
{
    return room(journal, bytes, USE_FREES);
}

uint64_t weir_journal_reserve_left(const weir_journal *journal)
{
    uint64_t left = journal->reserve != 0 ? journal->reserve_size - WEIR_JOURNAL_PAGE_BYTES : 0;
    return journal->reserve_taken ? left + file_room(journal) : left;
}

bool weir_journal_behind(const weir_journal *journal, uint64_t bytes)
{
    return journal->active->unit_count > 0 &&
           journal->active->len + bytes > journal->pending_bytes_max;
}

void weir_journal_begin(weir_journal *journal, int64_t engine_ms)
{
    WEIR_ASSERT(!journal->unit_open);
    weir_journal_buffer *buffer = journal->active;
    journal->unit_open = true;
    journal->entry_count = 0;
    journal->unit_engine_ms = engine_ms;
    journal->unit_failed =
        weir_journal_buffer_reserve(buffer, WEIR_JOURNAL_UNIT_HEAD_BYTES) != WEIR_OK;
    if (!journal->unit_failed) {
        journal->unit_at = buffer->len == 0 ? WEIR_JOURNAL_BLOCK_HEAD_BYTES : buffer->len;
        buffer->len = journal->unit_at + WEIR_JOURNAL_UNIT_HEAD_BYTES;
    }
}

uint8_t *weir_journal_entry_add(weir_journal *journal, uint16_t type, uint8_t version, size_t len)
{
    WEIR_ASSERT(journal->unit_open);
    weir_journal_buffer *buffer = journal->active;
    if (journal->unit_failed || len > UNIT_BYTES_MAX ||
        buffer->len - journal->unit_at + len > UNIT_BYTES_MAX ||
        weir_journal_buffer_reserve(buffer, WEIR_JOURNAL_ENTRY_HEAD_BYTES + len) != WEIR_OK) {
        journal->unit_failed = true; /* all or nothing: end() takes it back */
        return NULL;
    }
    uint8_t *at = buffer->ptr + buffer->len;
    weir_journal_entry_encode(at, type, version, (uint32_t)len);
    buffer->len += WEIR_JOURNAL_ENTRY_HEAD_BYTES + len;
    journal->entry_count++;
    return at + WEIR_JOURNAL_ENTRY_HEAD_BYTES;
}

static void unit_take_back(weir_journal *journal)
{
    weir_journal_buffer *buffer = journal->active;
    if (buffer->unit_count == 0) {
        buffer->len = 0;
    } else if (buffer->len > journal->unit_at) {
        buffer->len = journal->unit_at;
    }
}

uint64_t weir_journal_end(weir_journal *journal)
{
    WEIR_ASSERT(journal->unit_open);
    weir_journal_buffer *buffer = journal->active;
    journal->unit_open = false;
    if (journal->unit_failed || journal->entry_count == 0) {
        unit_take_back(journal);
        return journal->last;
    }
    uint64_t number = journal->last + 1;
    size_t entries_at = journal->unit_at + WEIR_JOURNAL_UNIT_HEAD_BYTES;
    weir_journal_unit unit = {
        .number = number,
        .term = journal->term,
        .engine_ms = journal->unit_engine_ms,
        .entries = {buffer->ptr + entries_at, buffer->len - entries_at},
    };
    weir_journal_unit_encode(buffer->ptr + journal->unit_at, &unit, journal->entry_count);
    if (buffer->unit_count++ == 0) {
        buffer->first_unit = number;
    }
    journal->last = number;
    journal->counts.units++;
    return number;
}

/* Release. */

/* A released file becomes a spare when it may be written again, and is removed when not. */
static void file_release(weir_journal *journal, const weir_journal_file *file)
{
    weir_env *env = journal->env;
    char path[WEIR_JOURNAL_PATH_MAX];
    weir_journal_path(&journal->dir, (weir_journal_name){file->number, WEIR_JOURNAL_WAL}, path);
    bool recycle =
        (file->ours || !journal->taken_over) && file->bytes == journal->file_bytes &&
        journal->spare_count + (journal->prepare.running ? 1 : 0) < WEIR_JOURNAL_SPARES_MAX;
    if (recycle) {
        char spare[WEIR_JOURNAL_PATH_MAX];
        uint64_t number = journal->number_next++;
        weir_journal_path(&journal->dir, (weir_journal_name){number, WEIR_JOURNAL_SPARE}, spare);
        if (env->ops->rename(env, path, spare) == WEIR_OK) {
            journal->spares[journal->spare_count++] = number;
            journal->counts.files_recycled++;
            journal->disk_full = false;
            return;
        }
    }
    if (env->ops->unlink(env, path) != WEIR_OK) {
        weir_log(WEIR_LOG_WARN, "journal", "file=%s left behind: it could not be removed", path);
    }
}

bool weir_journal_spare_give(weir_journal *journal)
{
    char path[WEIR_JOURNAL_PATH_MAX];
    size_t kept = journal->reserve_bytes > 0 && journal->reserve == 0 ? 1 : 0;
    if (journal->failed || journal->spare_count <= kept) {
        return false;
    }
    uint64_t number = journal->spares[--journal->spare_count];
    weir_journal_path(&journal->dir, (weir_journal_name){number, WEIR_JOURNAL_SPARE}, path);
    journal->retry_at_ns = journal->env->ops->monotonic_ns(journal->env) + GIVEN_NS;
    return journal->env->ops->unlink(journal->env, path) == WEIR_OK;
}

uint64_t weir_journal_bytes_above(const weir_journal *journal, uint64_t unit)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < journal->file_count; i++) {
        bool last = i + 1 == journal->file_count;
        bytes += last || journal->files[i + 1].first_unit > unit + 1 ? journal->files[i].bytes : 0;
    }
    return bytes;
}

bool weir_journal_releases(const weir_journal *journal, uint64_t unit)
{
    return !journal->failed && journal->file_count > 1 && /* [J4] */
           journal->files[1].first_unit <= unit;
}

void weir_journal_release(weir_journal *journal, uint64_t unit)
{
    size_t count = 0;
    while (!journal->failed && count + 1 < journal->file_count && /* [J4] */
           journal->files[count + 1].first_unit <= unit) {
        file_release(journal, &journal->files[count]);
        count++;
    }
    journal->file_count -= count;
    memmove(journal->files, journal->files + count, journal->file_count * sizeof(*journal->files));
}

/* Queries. */

bool weir_journal_torn(const weir_journal *journal, uint64_t *file_number, uint64_t *position)
{
    *file_number = journal->torn_number;
    *position = journal->torn_position;
    return journal->torn_number != 0;
}

uint64_t weir_journal_last(const weir_journal *journal)
{
    return journal->last;
}

uint64_t weir_journal_written(const weir_journal *journal)
{
    return journal->written;
}

uint64_t weir_journal_durable(const weir_journal *journal)
{
    return journal->durable;
}

uint64_t weir_journal_covered(const weir_journal *journal)
{
    const weir_journal_trailing *trailing = &journal->trailing;
    return trailing->running && trailing->unit > journal->durable ? trailing->unit
                                                                  : journal->durable;
}

bool weir_journal_busy(const weir_journal *journal)
{
    return journal->busy || journal->trailing.running;
}

weir_err weir_journal_state(const weir_journal *journal)
{
    if (journal->failed) {
        return WEIR_READ_ONLY;
    }
    return journal->blocked || journal->sync_waits ? WEIR_DISK_FULL : WEIR_OK;
}

bool weir_journal_lacks_memory(const weir_journal *journal)
{
    return journal->no_memory || journal->sync_waits;
}

void weir_journal_counts_of(const weir_journal *journal, weir_journal_counts *counts)
{
    *counts = journal->counts;
}
