/* core/journal/recover_file.c - what a recovery leaves behind: a fresh file that ends the chain, and the files that
 * are kept.
 *
 *   last file:  | head | proven units |P| units above every mark | torn
 *   new file:                         <-ends at P- | head | those units again | room to write
 *   others:     in the chain: kept; spares of the right size: kept; whatever no chain can name: removed
 *
 * Happy path: the new file's room is taken before anything is replayed, since whoever applies units may
 * write segments meanwhile, and on a full disk would use up what the start needs most. Then where the
 * proven part ends is found, what stands behind it is written to the new file and
 * synced, then the head, which is what makes the new file count. The rules [R1] to [R9] stand in recover.c.
 *
 * Failures: nothing of the old chain was changed, so the next recovery finds what this one found. */
#include "core/journal/recover_parts.h"

#include "core/base/log.h"

#include <stdlib.h>
#include <string.h>

enum { NEW_FILE_ROOM_BYTES = 64 * 1024 };

static weir_err last_open(weir_recovery *r)
{
    uint64_t number = r->links[r->link_count - 1].head.number;
    weir_err err = weir_journal_reader_open(&r->reader, number);
    return err == WEIR_OK ? WEIR_OK : weir_recovery_unreadable(r, err, number, 0);
}

/* Where the last block whose units are all proven to be synced ends in the last file, and the sequence and first
 * unit of what follows: what the new file begins with. A block without units behind it was written by
 * an idle journal, and nothing ever synced it: [R7]. */
static weir_err unproven_find(weir_recovery *r, uint64_t *position, weir_journal_head *head)
{
    const weir_chain_link *link = &r->links[r->link_count - 1];
    uint64_t at = WEIR_JOURNAL_PAGE_BYTES;
    *position = at;
    head->first_sequence = link->head.first_sequence;
    head->first_unit = r->last + 1;
    if (r->blocks_mark <= link->head.durable) { /* [R8] */
        head->first_unit = link->head.first_unit;
        r->mark = r->mark_without;
        return last_open(r);
    }
    if (r->mark >= r->last) {
        *position = r->units_end;
        head->first_sequence = r->units_sequence;
        return last_open(r);
    }
    weir_err err = last_open(r);
    if (err != WEIR_OK) {
        return err;
    }
    while (at < link->end) {
        weir_journal_block block;
        err = weir_journal_reader_block(&r->reader, r->journal->journal_id, at, link->end, &block);
        if (err != WEIR_OK) {
            break;
        }
        at += block.span_bytes;
        if (block.unit_count > 0 && block.first_unit + block.unit_count - 1 > r->mark) {
            head->first_unit = block.first_unit;
            return WEIR_OK;
        }
        if (block.unit_count > 0) {
            *position = at;
            head->first_sequence = block.sequence + 1;
        }
    }
    return err == WEIR_OK ? WEIR_OK : weir_recovery_unreadable(r, err, link->head.number, at);
}

/* The block at *at, which moves behind it, and how it is carried over. */
static weir_err unproven_next(weir_recovery *r, uint64_t *at, uint64_t end,
                              weir_journal_block *block, weir_journal_block *carried,
                              uint64_t *span, bool *same)
{
    const weir_journal *journal = r->journal;
    weir_err err = weir_journal_reader_block(&r->reader, journal->journal_id, *at, end, block);
    *at += err == WEIR_OK ? block->span_bytes : 0;
    return err == WEIR_OK ? weir_journal_carry_block(&journal->beside, block, r->last, NULL,
                                                     carried, span, same)
                          : err;
}

/* How much room the blocks from position on take in the new file. */
static weir_err unproven_span(weir_recovery *r, uint64_t from, uint64_t end, uint64_t *bytes)
{
    *bytes = 0;
    for (uint64_t at = from; at < end;) {
        weir_journal_block block;
        weir_journal_block carried;
        uint64_t span;
        bool same;
        uint64_t position = at;
        weir_err err = unproven_next(r, &at, end, &block, &carried, &span, &same);
        if (err != WEIR_OK) {
            return weir_recovery_unreadable(r, err, r->reader.number, position);
        }
        *bytes += span;
    }
    return WEIR_OK;
}

/* A block that is not carried over as it stands, in memory of its own. */
static weir_err block_rebuild(weir_recovery *r, const weir_journal_block *block, uint64_t span,
                              uint64_t sequence, uint64_t generation, uint8_t **out)
{
    weir_journal *journal = r->journal;
    weir_journal_block carried;
    bool same;
    uint8_t *made = malloc((size_t)span);
    weir_err err = made == NULL ? WEIR_NO_MEMORY
                                : weir_journal_carry_block(&journal->beside, block, r->last, made,
                                                           &carried, &span, &same);
    if (err != WEIR_OK) {
        free(made);
        return err;
    }
    carried.sequence = sequence;
    carried.durable = r->mark;
    (void)weir_journal_block_encode(made, journal->journal_id, generation, &carried);
    *out = made;
    return WEIR_OK;
}

/* Copies the blocks with units from position on; the journal's position and sequence follow. */
static weir_err unproven_copy(weir_recovery *r, uint64_t from, uint64_t end, uint64_t generation)
{
    weir_journal *journal = r->journal;
    for (uint64_t at = from; at < end;) {
        weir_journal_block block;
        weir_journal_block carried;
        uint64_t span;
        bool same;
        uint8_t *made = NULL;
        weir_err err = unproven_next(r, &at, end, &block, &carried, &span, &same);
        if (err == WEIR_OK && span == 0) {
            continue;
        }
        uint8_t *ptr = r->reader.ptr + (at - block.span_bytes - r->reader.start);
        if (err == WEIR_OK && !same) {
            err = block_rebuild(r, &block, span, journal->sequence_next, generation,
                                &made); /* [R6] */
            ptr = made;
        } else if (err == WEIR_OK) {
            block.sequence = journal->sequence_next;
            block.durable = r->mark;
            (void)weir_journal_block_encode(ptr, journal->journal_id, generation, &block);
        }
        if (err != WEIR_OK) {
            return weir_recovery_unreadable(r, err, r->reader.number, at);
        }
        struct iovec part = {ptr, (size_t)span};
        err =
            journal->env->ops->file_write(journal->env, journal->file, &part, 1, journal->position);
        free(made);
        if (err != WEIR_OK) {
            return weir_recovery_unwritable(r, err, generation);
        }
        journal->sequence_next++;
        journal->position += span;
    }
    return WEIR_OK;
}

/* Blocks, sync, head, sync: [R1]. */
static weir_err new_file_fill(weir_recovery *r, const weir_journal_head *head, uint64_t from,
                              uint64_t end)
{
    weir_journal *journal = r->journal;
    weir_env *env = journal->env;
    uint8_t page[WEIR_JOURNAL_PAGE_BYTES];
    weir_err err = unproven_copy(r, from, end, head->number);
    if (err != WEIR_OK) {
        return err;
    }
    err = env->ops->file_sync(env, journal->file);
    if (err == WEIR_OK) {
        struct iovec part = {page, sizeof(page)};
        weir_journal_head_encode(head, page);
        err = env->ops->file_write(env, journal->file, &part, 1, 0);
    }
    err = err != WEIR_OK ? err : env->ops->file_sync(env, journal->file);
    return err != WEIR_OK ? weir_recovery_unwritable(r, err, head->number) : WEIR_OK;
}

static uint64_t new_file_bytes(const weir_journal *journal, uint64_t copied_bytes)
{
    uint64_t least = WEIR_JOURNAL_PAGE_BYTES + copied_bytes + NEW_FILE_ROOM_BYTES;
    uint64_t bytes = journal->file_bytes < WEIR_JOURNAL_SMALL_FILE_BYTES
                         ? journal->file_bytes
                         : WEIR_JOURNAL_SMALL_FILE_BYTES;
    return copied_bytes > 0 && least > bytes ? least : bytes;
}

/* Where there is no room, that of a file goes to it that nobody names: what an earlier start had begun, or
 * a spare. While an older owner may be alive it may be his. */
static weir_err begin_instead(weir_recovery *r, uint64_t number, uint64_t bytes)
{
    const weir_journal *journal = r->journal;
    weir_err err = WEIR_DISK_FULL;
    for (size_t i = r->listing.count; i > 0 && err == WEIR_DISK_FULL && !journal->taken_over; i--) {
        const weir_journal_name *name = &r->listing.names[i - 1];
        char path[WEIR_JOURNAL_PATH_MAX];
        weir_journal_path(&journal->dir, *name, path);
        if (name->kind != WEIR_JOURNAL_WAL &&
            journal->env->ops->unlink(journal->env, path) == WEIR_OK) {
            err = weir_journal_file_begin(&journal->dir, number, bytes, &r->begun);
        }
    }
    return err;
}

void weir_recovery_file_begin(weir_recovery *r)
{
    weir_journal *journal = r->journal;
    uint64_t number = journal->number_next;
    uint64_t bytes = new_file_bytes(journal, 0);
    weir_err err = weir_journal_file_begin(&journal->dir, number, bytes, &r->begun);
    err = err == WEIR_DISK_FULL ? begin_instead(r, number, bytes) : err;
    if (err == WEIR_OK) {
        r->begun_number = number;
        journal->number_next++;
    }
}

void weir_recovery_file_give_up(weir_recovery *r)
{
    if (r->begun != NULL) {
        weir_journal_file_give_up(&r->journal->dir, r->begun_number, r->begun);
        r->begun = NULL;
    }
}

/* Fills and names what was begun, or all at once. */
static weir_err new_file_open(weir_recovery *r, const weir_journal_head *head)
{
    weir_journal *journal = r->journal;
    weir_file *begun = r->begun;
    r->begun = NULL;
    if (begun == NULL) {
        return weir_journal_file_create(&journal->dir, head->number, head->file_bytes, true,
                                        &journal->file);
    }
    weir_err err =
        weir_journal_file_end(&journal->dir, head->number, head->file_bytes, true, begun);
    journal->file = err == WEIR_OK ? begun : NULL;
    return err;
}

/* What the new head says about the files before. A last file of which nothing is kept is left out,
 * so that a gateway that is started again and again leaves no row of empty files. */
static void previous_tell(weir_recovery *r, uint64_t kept_end, weir_journal_head *head)
{
    const weir_chain_link *link = &r->links[r->link_count - 1];
    head->previous_number = link->head.number;
    head->previous_end = kept_end;
    if (kept_end == WEIR_JOURNAL_PAGE_BYTES) {
        head->previous_number = link->head.previous_number;
        head->previous_end = link->head.previous_end;
        r->link_count--;
    }
}

weir_err weir_recovery_file_make(weir_recovery *r)
{
    weir_journal *journal = r->journal;
    uint64_t from = 0;
    uint64_t end = 0;
    uint64_t bytes = 0;
    weir_journal_head head = {
        .journal_id = journal->journal_id,
        .number = r->begun != NULL ? r->begun_number : journal->number_next++, /* [R4] */
        .first_unit = r->last + 1,
        .first_sequence = r->sequence,
        .durable = r->last, /* [R2] */
        .term = journal->term,
    };
    if (r->link_count > 0) {
        weir_err err = unproven_find(r, &from, &head);
        if (err != WEIR_OK) {
            return err;
        }
        end = r->links[r->link_count - 1].end;
        err = unproven_span(r, from, end, &bytes);
        if (err != WEIR_OK) {
            return err;
        }
        previous_tell(r, from, &head);
    }
    head.file_bytes = new_file_bytes(journal, bytes);
    weir_err err = new_file_open(r, &head);
    if (err != WEIR_OK) {
        return weir_recovery_unwritable(r, err, head.number);
    }
    journal->position = WEIR_JOURNAL_PAGE_BYTES;
    journal->sequence_next = head.first_sequence;
    err = new_file_fill(r, &head, from, end);
    if (err != WEIR_OK) {
        return err;
    }
    return weir_recovery_link_add(r, &(weir_chain_link){.head = head, .bytes = head.file_bytes});
}

weir_err weir_recovery_files_adopt(weir_recovery *r)
{
    weir_journal *journal = r->journal;
    for (size_t i = 0; i < r->link_count; i++) {
        if (weir_journal_files_reserve(journal) != WEIR_OK) {
            return weir_recovery_unreadable(r, WEIR_NO_MEMORY, 0, 0);
        }
        journal->files[journal->file_count++] = (weir_journal_file){
            .number = r->links[i].head.number,
            .bytes = r->links[i].bytes,
            .first_unit = r->links[i].head.first_unit,
            .ours = i + 1 == r->link_count,
        };
    }
    journal->counts.files_created = 1;
    journal->last = r->last;
    journal->written = r->last;
    journal->durable = r->last;
    journal->last_mark = r->last;
    return WEIR_OK;
}

static bool in_chain(const weir_recovery *r, uint64_t number)
{
    for (size_t i = 0; i < r->link_count; i++) {
        if (r->links[i].head.number == number) {
            return true;
        }
    }
    return false;
}

/* A spare of the right size is kept: it was synced before it got its name. */
static bool spare_adopt(weir_recovery *r, weir_journal_name name)
{
    weir_journal *journal = r->journal;
    weir_env *env = journal->env;
    char path[WEIR_JOURNAL_PATH_MAX];
    weir_file *file;
    uint64_t bytes = 0;
    if (name.kind != WEIR_JOURNAL_SPARE) {
        return false;
    }
    weir_journal_path(&journal->dir, name, path);
    if (env->ops->file_open(env, path, WEIR_OPEN_READ, &file) != WEIR_OK) {
        return false;
    }
    weir_err err = env->ops->file_size(env, file, &bytes);
    env->ops->file_close(env, file);
    if (err == WEIR_OK && journal->reserve == 0 && bytes == journal->reserve_bytes) {
        journal->reserve = name.number;
        journal->reserve_size = bytes;
        return true;
    }
    if (err != WEIR_OK || bytes != journal->file_bytes ||
        journal->spare_count == WEIR_JOURNAL_SPARES_MAX) {
        return false;
    }
    journal->spares[journal->spare_count++] = name.number;
    return true;
}

/* [R3]; while an older owner may be alive its files are left alone. */
void weir_recovery_leftovers_remove(weir_recovery *r)
{
    weir_journal *journal = r->journal;
    for (size_t i = 0; i < r->listing.count && !journal->taken_over; i++) {
        weir_journal_name name = r->listing.names[i];
        bool wal = name.kind == WEIR_JOURNAL_WAL;
        bool unread = wal && r->older_unreadable && name.number < r->links[0].head.number;
        if ((wal && in_chain(r, name.number)) || unread || spare_adopt(r, name)) {
            continue;
        }
        char path[WEIR_JOURNAL_PATH_MAX];
        weir_journal_path(&journal->dir, name, path);
        weir_err err = journal->env->ops->unlink(journal->env, path);
        if (err != WEIR_OK && err != WEIR_NOT_FOUND) { /* begin_instead may have been here */
            weir_log(WEIR_LOG_WARN, "journal", "file=%s left behind: it could not be removed",
                     path);
        }
    }
}
