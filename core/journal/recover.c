/* core/journal/recover.c - finds the units that are there, and leaves a fresh file to write to.
 *
 *   | 1.wal: units ... |<-ends at- | 2.wal: units ... |<-ends at- | 3.wal: units, torn tail? |
 *                                                                   mark D ... P   end
 *   new file:  <-ends at P- | head | units above D again | ...
 *
 * The newest file with a good head is the chain's last; each head names the file before and where
 * that one ends, and what stands past such an end, or in files outside the chain, is never read: an
 * older owner that wakes up may write there. Blocks are read from the file that holds the first
 * unit asked for, whole units in order, up to the first bad block. In a file that a later one
 * calls longer, that is damage. In the last file it is damage when something proves that the
 * missing units were synced once (a head, a later good block's mark, the caller's first unit), and
 * else the tail that a crash tore, which is cut.
 *
 * What stands above every mark may never have reached the disk even though it can be read (a page
 * whose sync failed stays in memory as if it were clean), so it is written again into the new file.
 *
 * Failures: reading errors and damage change nothing. A crash at any moment of this is followed by
 * another recovery that finds the same or an equally good state:
 *
 * [R1] A new file gets its head only after the blocks behind it are synced; until the head is
 *      there the old file is the chain's last, and no byte of it was changed.
 * [R2] The head's `durable` covers the blocks re-written before it: once the head is known to be
 *      synced they are not written again.
 * [R3] Nothing is removed before the new head is synced; then only what no chain can name. (But
 *      where there is no room for the new file: then it has that of a ".new" or of a spare.)
 * [R4] The new file's number is above every number in the folder: no stale block has its
 *      generation.
 * [R5] A unit counts only when all that it refers to in other files is there and whole; the first
 *      that is not is treated like a bad block: cut with all behind it, or damage when a mark tells
 *      that it was synced.
 * [R6] What units above every mark refer to goes into the new file with them (carry.c): its own
 *      file may never have been synced.
 * [R7] A file ends, for the head that follows it, where its last proven unit does: a mark written
 *      behind it may be torn by a later power cut, and is no damage.
 * [R8] A head that can be read may never have been synced (its writer died in between), and a power
 *      cut would take it and all that only it leads to. It is relied on when a block of its file
 *      knows of a unit that was synced after it; else all of that file is written again.
 * [R9] Damage that is to be lived with (weir_journal_damage) leaves the chain as it is up to the last
 *      whole unit: whoever stops there writes nothing at all, and whoever cuts there writes all of the
 *      chain's last file again, so that nothing is left that tells of more. */
#include "core/journal/recover_parts.h"

#include "core/base/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TERM_SHIFT = 32 };

/* Faults. */

static weir_err fault_fill(weir_recovery *r, weir_err err, uint64_t number, uint64_t position,
                           const char *text)
{
    int os_errno = err == WEIR_IO || err == WEIR_DISK_FULL ? errno : 0;
    *r->fault = (weir_fault){.err = err, .os_errno = os_errno, .position = position};
    char path[WEIR_JOURNAL_PATH_MAX];
    if (number != 0) {
        weir_journal_path(&r->journal->dir, (weir_journal_name){number, WEIR_JOURNAL_WAL}, path);
    } else {
        (void)snprintf(path, sizeof(path), "%s", r->journal->dir.path);
    }
    size_t len = strlen(path);
    size_t skip = len >= sizeof(r->fault->file) ? len - sizeof(r->fault->file) + 1 : 0;
    memcpy(r->fault->file, path + skip, len - skip + 1); /* of a long path the end tells more */
    (void)snprintf(r->fault->text, sizeof(r->fault->text), "%s", text);
    return err;
}

static weir_err damaged(weir_recovery *r, uint64_t number, uint64_t position, const char *what)
{
    char text[WEIR_FAULT_TEXT_MAX];
    const char *dir = r->journal->dir.path; /* "<data>/journal" */
    const char *slash = strrchr(dir, '/');
    (void)snprintf(
        text, sizeof(text),
        "%s; units after %llu cannot be read: restore this file from a backup and start "
        "again, or give up what is lost: `weir log repair --accept-loss --data %.*s`; nothing was "
        "changed",
        what, (unsigned long long)r->last, slash == NULL ? 1 : (int)(slash - dir),
        slash == NULL ? "." : dir);
    r->damaged = true;
    return fault_fill(r, WEIR_DAMAGED, number, position, text);
}

weir_err weir_recovery_unreadable(weir_recovery *r, weir_err err, uint64_t number,
                                  uint64_t position)
{
    return fault_fill(
        r, err, number, position,
        err == WEIR_NO_MEMORY
            ? "there is no memory or file descriptor to read the journal; give the gateway more "
              "(ulimit -n)"
            : "the journal cannot be read; check the disk and the file's owner");
}

weir_err weir_recovery_unwritable(weir_recovery *r, weir_err err, uint64_t number)
{
    return fault_fill(
        r, err, number, 0,
        err == WEIR_DISK_FULL
            ? "there is no room for a new journal file; free some space and start again"
        : err == WEIR_NO_MEMORY
            ? "there is no memory or file descriptor for a new journal file; give the gateway more "
              "(ulimit -n)"
            : "a new journal file cannot be written; check the disk and the folder's "
              "owner");
}

/* The chain. */

static bool listed(const weir_journal_listing *listing, uint64_t number)
{
    for (size_t i = 0; i < listing->count; i++) {
        if (listing->names[i].number == number && listing->names[i].kind == WEIR_JOURNAL_WAL) {
            return true;
        }
    }
    return false;
}

/* DAMAGED without a fault: the file is there and has no good head of its own. */
static weir_err link_read(weir_recovery *r, uint64_t number, weir_chain_link *link)
{
    weir_bytes page;
    weir_err err = weir_journal_reader_open(&r->reader, number);
    if (err == WEIR_OK) {
        err = weir_journal_reader_span(&r->reader, 0, WEIR_JOURNAL_PAGE_BYTES, &page);
    }
    if (err != WEIR_OK) {
        return weir_recovery_unreadable(r, err, number, 0);
    }
    err = weir_journal_head_decode(page, &link->head);
    if (err == WEIR_VERSION) {
        return fault_fill(
            r, WEIR_VERSION, number, 0,
            "this journal was written by a newer version: start that version; nothing "
            "was changed");
    }
    link->bytes = r->reader.bytes;
    link->end = 0;
    bool own = err == WEIR_OK && link->head.number == number && link->head.first_unit > 0;
    return own ? WEIR_OK : WEIR_DAMAGED;
}

weir_err weir_recovery_link_add(weir_recovery *r, const weir_chain_link *link)
{
    weir_chain_link *grown = realloc(r->links, (r->link_count + 1) * sizeof(*grown));
    if (grown == NULL) {
        return weir_recovery_unreadable(r, WEIR_NO_MEMORY, link->head.number, 0);
    }
    r->links = grown;
    r->links[r->link_count++] = *link;
    return WEIR_OK;
}

/* The newest file with a good head and a number below that. EMPTY: there is none. */
static weir_err last_find(weir_recovery *r, uint64_t below)
{
    for (size_t i = r->listing.count; i > 0; i--) {
        weir_chain_link link;
        if (r->listing.names[i - 1].kind != WEIR_JOURNAL_WAL ||
            r->listing.names[i - 1].number >= below) {
            continue;
        }
        weir_err err = link_read(r, r->listing.names[i - 1].number, &link);
        if (err == WEIR_OK) {
            r->journal->journal_id = link.head.journal_id;
            return weir_recovery_link_add(r, &link);
        }
        if (err != WEIR_DAMAGED) {
            return err;
        }
    }
    return WEIR_EMPTY;
}

/* Adds the files before, newest first, as far as they are there. */
static weir_err previous_find(weir_recovery *r)
{
    for (;;) {
        weir_journal_head after = r->links[r->link_count - 1].head;
        weir_chain_link link;
        if (after.previous_number == 0 || !listed(&r->listing, after.previous_number)) {
            return WEIR_OK;
        }
        weir_err err = link_read(r, after.previous_number, &link);
        if (err != WEIR_OK && err != WEIR_DAMAGED) {
            return err;
        }
        bool good = err == WEIR_OK && link.head.journal_id == after.journal_id &&
                    link.head.number < after.number && after.previous_end <= link.bytes;
        if (!good && after.first_unit <= r->from_unit) {
            r->older_unreadable = true;
            return WEIR_OK;
        }
        if (!good) {
            return damaged(r, after.previous_number, 0, "the head of this journal file is damaged");
        }
        link.end = after.previous_end;
        err = weir_recovery_link_add(r, &link);
        if (err != WEIR_OK) {
            return err;
        }
    }
}

/* The chain that ends before a file whose head is damaged; no other fault takes the place of that
 * one's. */
static weir_err chain_before(weir_recovery *r, uint64_t number)
{
    weir_fault first = *r->fault;
    weir_err err = WEIR_DAMAGED;
    while (err == WEIR_DAMAGED) {
        r->link_count = 0;
        err = last_find(r, number);
        err = err == WEIR_OK ? previous_find(r) : err;
        number = err == WEIR_DAMAGED ? r->links[r->link_count - 1].head.previous_number : number;
    }
    if (err == WEIR_OK || err == WEIR_EMPTY) {
        *r->fault = first;
    }
    return err;
}

static weir_err chain_find(weir_recovery *r)
{
    weir_err err = last_find(r, UINT64_MAX);
    err = err == WEIR_OK ? previous_find(r) : err;
    if (err == WEIR_DAMAGED && r->journal->damage != WEIR_JOURNAL_REFUSE) {
        err = chain_before(r, r->links[r->link_count - 1].head.previous_number);
        err = err == WEIR_EMPTY ? WEIR_DAMAGED : err;
    }
    for (size_t i = 0; i < r->link_count / 2; i++) {
        weir_chain_link swapped = r->links[i];
        r->links[i] = r->links[r->link_count - 1 - i];
        r->links[r->link_count - 1 - i] = swapped;
    }
    return err;
}

/* Reading. */

/* EMPTY: what it refers to is not there. */
static weir_err unit_replay(weir_recovery *r, const weir_journal_unit *unit)
{
    const weir_journal_beside *beside = &r->journal->beside;
    weir_err err = WEIR_OK;
    if (beside->find != NULL) {
        err = beside->find(beside->arg, unit, r->fault);
    }
    return err == WEIR_OK ? r->replay(r->arg, unit, r->fault) : err;
}

/* Sets r->cut at the first unit that refers to what is not there. */
static weir_err units_replay(weir_recovery *r, const weir_journal_block *block, uint64_t number,
                             uint64_t position)
{
    weir_bytes rest = block->units;
    weir_journal_unit unit;
    while (weir_journal_unit_next(&rest, &unit) == WEIR_OK) {
        if (unit.number >= r->from_unit) {
            weir_err err = unit_replay(r, &unit);
            r->cut = err == WEIR_EMPTY;
            if (err != WEIR_OK && err != WEIR_EMPTY && r->fault->err == WEIR_OK) {
                return fault_fill(r, err, number, position,
                                  "a unit of the journal cannot be applied; start the version that "
                                  "wrote it; nothing was changed");
            }
            if (err != WEIR_OK) {
                r->refused = !r->cut;
                return r->cut ? WEIR_OK : err;
            }
        }
        r->last = unit.number;
    }
    return WEIR_OK;
}

/* Reads one file's blocks up to `end`; *position is where it stopped. OK: all of it, or as far as
 * blocks are good and what they refer to is there; of the last block it may be that only some units
 * count. */
static weir_err blocks_replay(weir_recovery *r, uint64_t end, uint64_t *position)
{
    weir_journal_block block;
    *position = WEIR_JOURNAL_PAGE_BYTES;
    r->units_end = *position;
    r->units_sequence = r->sequence;
    r->blocks_mark = 0;
    while (*position < end && !r->cut) {
        weir_err err =
            weir_journal_reader_block(&r->reader, r->journal->journal_id, *position, end, &block);
        bool next = err == WEIR_OK && block.sequence == r->sequence &&
                    (block.unit_count == 0 || block.first_unit == r->last + 1);
        if (err == WEIR_DAMAGED || (err == WEIR_OK && !next)) {
            return WEIR_OK;
        }
        err = err != WEIR_OK ? weir_recovery_unreadable(r, err, r->reader.number, *position)
                             : units_replay(r, &block, r->reader.number, *position);
        if (err != WEIR_OK) {
            return err;
        }
        r->blocks_mark = block.durable > r->blocks_mark ? block.durable : r->blocks_mark;
        if (r->cut && r->last < block.first_unit) {
            break;
        }
        r->sequence++;
        *position += block.span_bytes;
        if (block.unit_count > 0) {
            r->units_end = *position;
            r->units_sequence = r->sequence;
        }
    }
    return WEIR_OK;
}

/* [R5] Above every mark it would have been a torn tail. */
static const char MISSING_TEXT[] = "records that were safely stored beside the journal are missing";

static weir_err link_replay(weir_recovery *r, weir_chain_link *link, bool is_last)
{
    uint64_t number = link->head.number;
    if (link->head.first_unit != r->last + 1 || link->head.first_sequence != r->sequence) {
        return damaged(r, number, 0, "this journal file does not follow the one before it");
    }
    r->mark_without = r->mark;
    r->mark = link->head.durable > r->mark ? link->head.durable : r->mark;
    weir_err err = weir_journal_reader_open(&r->reader, number);
    if (err != WEIR_OK) {
        return weir_recovery_unreadable(r, err, number, 0);
    }
    uint64_t position;
    r->read++;
    err = blocks_replay(r, is_last ? r->reader.bytes : link->end, &position);
    r->mark = r->blocks_mark > r->mark ? r->blocks_mark : r->mark;
    r->mark_without = r->blocks_mark > r->mark_without ? r->blocks_mark : r->mark_without;
    bool whole = is_last || position == link->end;
    link->end = position;
    if (err == WEIR_OK && !is_last && r->cut) {
        return damaged(r, number, position, MISSING_TEXT);
    }
    if (err == WEIR_OK && !whole) {
        return damaged(r, number, position, "a block of the journal is damaged");
    }
    return err;
}

/* Begins with the newest file whose first unit is not above the first one asked for. */
static weir_err chain_replay(weir_recovery *r)
{
    size_t start = r->link_count;
    while (start > 0 && r->links[start - 1].head.first_unit > r->from_unit) {
        start--;
    }
    if (start == 0) {
        r->last = r->from_unit - 1;
        return damaged(r, r->links[0].head.number, 0,
                       "the journal begins after the first unit that is needed");
    }
    start--;
    r->read = start;
    r->last = r->links[start].head.first_unit - 1;
    r->sequence = r->links[start].head.first_sequence;
    for (size_t i = start; i < r->link_count; i++) {
        weir_err err = link_replay(r, &r->links[i], i + 1 == r->link_count);
        if (err != WEIR_OK) {
            return err;
        }
    }
    return WEIR_OK;
}

/* Torn tail or damage. */

/* The least unit in it that the owner of this file wrote: not one that a recovery wrote again. */
static uint64_t own_least(const weir_recovery *r, const weir_journal_block *block, uint64_t least)
{
    weir_bytes rest = block->units;
    weir_journal_unit unit;
    while (weir_journal_unit_next(&rest, &unit) == WEIR_OK) {
        if (unit.term == r->reader.number >> TERM_SHIFT && unit.number < least) {
            least = unit.number;
        }
    }
    return least;
}

/* Looks at every page from position on for good blocks of this journal whose mark proves that the
 * unit after the last was synced once, or in a later file a unit of its owner's, and so its head:
 * DAMAGED. An owner that was replaced may have written units of the same numbers. Counts the good
 * blocks that do not in *cut. */
static weir_err proof_search(weir_recovery *r, bool later, uint64_t position, uint64_t *cut)
{
    uint64_t own = UINT64_MAX;
    for (; position + WEIR_JOURNAL_BLOCK_HEAD_BYTES <= r->reader.bytes;
         position += WEIR_JOURNAL_PAGE_BYTES) {
        weir_journal_block block;
        weir_err err = weir_journal_reader_block(&r->reader, r->journal->journal_id, position,
                                                 r->reader.bytes, &block);
        if (err == WEIR_OK && (block.durable > r->last || block.durable >= own)) {
            return WEIR_DAMAGED;
        }
        if (err != WEIR_OK && err != WEIR_DAMAGED) {
            return err;
        }
        own = later && err == WEIR_OK ? own_least(r, &block, own) : own;
        *cut += err == WEIR_OK ? 1 : 0;
    }
    return WEIR_OK;
}

/* A .wal has its whole size before it has its name. */
static const char SHORT_TEXT[] = "this journal file was cut short";

static weir_err later_search(weir_recovery *r, uint64_t last_number, uint64_t *cut)
{
    for (size_t i = 0; i < r->listing.count; i++) {
        weir_journal_name name = r->listing.names[i];
        if (name.kind != WEIR_JOURNAL_WAL || name.number <= last_number) {
            continue;
        }
        weir_err err = weir_journal_reader_open(&r->reader, name.number);
        if (err == WEIR_OK && r->reader.bytes < WEIR_JOURNAL_PAGE_BYTES) {
            return damaged(r, name.number, r->reader.bytes, SHORT_TEXT);
        }
        err = err != WEIR_OK ? err : proof_search(r, true, WEIR_JOURNAL_PAGE_BYTES, cut);
        if (err != WEIR_OK) {
            return err;
        }
    }
    return WEIR_OK;
}

static weir_err tail_judge(weir_recovery *r)
{
#ifdef WEIR_PLANT_CUT_DAMAGE /* a bug on purpose, by which the simulation is tested */
    return r->from_unit > r->last + 1 ? WEIR_DAMAGED : WEIR_OK;
#endif
    const weir_chain_link *link = &r->links[r->link_count - 1];
    uint64_t number = link->head.number;
    uint64_t cut = 0;
    weir_journal_block head;
    weir_bytes bytes;
    if (r->mark > r->last || r->from_unit > r->last + 1) {
        return damaged(r, number, link->end,
                       r->cut ? MISSING_TEXT : "units that were safely stored are missing here");
    }
    if (link->bytes < link->head.file_bytes) {
        return damaged(r, number, link->bytes, SHORT_TEXT);
    }
    weir_err err =
        weir_journal_reader_span(&r->reader, link->end, WEIR_JOURNAL_BLOCK_HEAD_BYTES, &bytes);
    bool torn = err == WEIR_OK &&
                weir_journal_block_peek(bytes, r->journal->journal_id, number, &head) == WEIR_OK;
    err = err != WEIR_OK ? err : proof_search(r, false, link->end, &cut);
    err = err != WEIR_OK ? err : later_search(r, number, &cut);
    if (err == WEIR_DAMAGED && r->damaged) {
        return err;
    }
    if (err == WEIR_DAMAGED) {
        return damaged(r, number, link->end,
                       r->cut ? MISSING_TEXT : "a block of the journal is damaged");
    }
    if (err != WEIR_OK) {
        return weir_recovery_unreadable(r, err, r->reader.number, 0);
    }
    if (torn || cut > 0 || r->cut) {
        r->journal->torn_number = number;
        r->journal->torn_position = link->end;
        weir_log(WEIR_LOG_INFO, "journal",
                 "torn tail %s file=%016llx position=%llu last_unit=%llu blocks_after=%llu: "
                 "nothing in it had been acknowledged as synced",
                 r->journal->damage == WEIR_JOURNAL_LOOK ? "found" : "cut",
                 (unsigned long long)number, (unsigned long long)link->end,
                 (unsigned long long)r->last, (unsigned long long)cut);
    }
    return WEIR_OK;
}

/* Living with damage. */

static void journal_id_make(weir_journal *journal)
{
    while (journal->journal_id == 0) {
        journal->env->ops->random(journal->env, &journal->journal_id, sizeof(journal->journal_id));
    }
}

static bool lives_on(const weir_recovery *r, weir_err err)
{
    return err == WEIR_DAMAGED && r->damaged && !r->refused &&
           r->journal->damage != WEIR_JOURNAL_REFUSE;
}

/* From here on the chain is what was read of it: [R9]. DAMAGED: that is too little. */
static weir_err damage_settle(weir_recovery *r)
{
    if (r->from_unit > r->last + 1) {
        r->read = 0; /* what was read ends before the first unit that is needed */
    }
    r->link_count = r->read;
    if (r->read == 0) {
        r->last = r->from_unit - 1;
        r->sequence = 1;
        r->older_unreadable = false;
        journal_id_make(r->journal);
    }
    r->mark = r->mark < r->last ? r->mark : r->last;
    r->mark_without = r->mark_without < r->last ? r->mark_without : r->last;
    r->blocks_mark = 0;
    if (r->last == 0) {
        (void)snprintf(r->fault->text, sizeof(r->fault->text),
                       "no unit of the journal can be read: restore the data directory from a "
                       "backup; nothing was changed");
        return WEIR_DAMAGED;
    }
    if (r->last < r->journal->unit_least) {
        (void)snprintf(
            r->fault->text, sizeof(r->fault->text),
            "units after %llu cannot be read, and the checkpoint counts on some of them: "
            "restore the data directory from a backup; nothing was changed",
            (unsigned long long)r->last);
        return WEIR_DAMAGED;
    }
    return WEIR_OK;
}

/* Nothing is written, now or later. */
static void stop(const weir_recovery *r)
{
    weir_journal *journal = r->journal;
    journal->failed = true;
    journal->last = r->last;
    journal->written = r->last;
    journal->durable = r->last;
    journal->last_mark = r->last;
}

/* No file has a good head: a new journal, unless something says that there was one. */
static weir_err nothing_judge(weir_recovery *r)
{
    if (r->from_unit > 1) {
        r->last = r->from_unit - 1;
        return damaged(r, 0, 0, "the journal is missing");
    }
    for (size_t i = 0; i < r->listing.count; i++) {
        if (r->listing.names[i].kind != WEIR_JOURNAL_WAL) {
            continue;
        }
        uint64_t number = r->listing.names[i].number;
        uint64_t position = WEIR_JOURNAL_PAGE_BYTES;
        weir_journal_block block;
        weir_err err = weir_journal_reader_open(&r->reader, number);
        if (err == WEIR_OK && r->reader.bytes < WEIR_JOURNAL_PAGE_BYTES) {
            return damaged(r, number, r->reader.bytes, SHORT_TEXT);
        }
        err = err != WEIR_OK ? err : weir_journal_reader_block_any(&r->reader, position, &block);
        if (err == WEIR_OK) {
            return damaged(r, number, 0, "the head of this journal file is damaged");
        }
        if (err != WEIR_DAMAGED) {
            return weir_recovery_unreadable(r, err, number, position);
        }
    }
    journal_id_make(r->journal);
    r->sequence = 1;
    return WEIR_OK;
}

/* Taking over. */

static uint64_t number_first(const weir_recovery *r)
{
    uint64_t first = (r->journal->term << TERM_SHIFT) + 1; /* other owners' names are others */
    if (r->listing.count > 0) {
        uint64_t highest = r->listing.names[r->listing.count - 1].number;
        first = highest >= first ? highest + 1 : first;
    }
    return first;
}

/* Makes the folder's own name durable. */
static weir_err parent_sync(const weir_journal *journal)
{
    char parent[WEIR_JOURNAL_DIR_MAX + 1];
    memcpy(parent, journal->dir.path, sizeof(parent));
    char *slash = strrchr(parent, '/');
    if (slash == NULL) {
        return journal->env->ops->dir_sync(journal->env, ".");
    }
    slash[slash == parent ? 1 : 0] = '\0';
    return journal->env->ops->dir_sync(journal->env, parent);
}

static weir_err folder_open(weir_recovery *r)
{
    weir_journal *journal = r->journal;
    bool looks = journal->damage == WEIR_JOURNAL_LOOK;
    weir_err err = looks ? WEIR_OK : journal->env->ops->dir_make(journal->env, journal->dir.path);
    err = err != WEIR_OK ? err : weir_journal_listing_read(&journal->dir, &r->listing);
    if (err == WEIR_OK && r->listing.count == 0 && !looks) {
        err = parent_sync(journal);
    }
    if (err != WEIR_OK) {
        return fault_fill(
            r, err, 0, 0,
            "the journal's folder cannot be used; check that it exists and who owns it");
    }
    journal->number_next = number_first(r);
    return WEIR_OK;
}

static weir_err recover(weir_recovery *r)
{
    weir_err err = folder_open(r);
    if (err != WEIR_OK) {
        return err;
    }
    if (r->journal->room_first && r->journal->damage != WEIR_JOURNAL_LOOK) {
        weir_recovery_file_begin(r);
    }
    err = chain_find(r);
    if (err == WEIR_EMPTY) {
        err = nothing_judge(r);
    } else if (err == WEIR_OK) {
        err = chain_replay(r);
        err = err == WEIR_OK && r->damaged ? WEIR_DAMAGED : err;
        err = err != WEIR_OK ? err : tail_judge(r);
    }
    if (lives_on(r, err)) {
        err = damage_settle(r);
    }
    weir_journal_damage damage = r->journal->damage;
    if (err == WEIR_OK &&
        (damage == WEIR_JOURNAL_LOOK || (damage == WEIR_JOURNAL_STOP && r->damaged))) {
        stop(r);
        return WEIR_OK;
    }
    err = err != WEIR_OK ? err : weir_recovery_file_make(r);
    err = err != WEIR_OK ? err : weir_recovery_files_adopt(r);
    if (err == WEIR_OK) {
        weir_recovery_leftovers_remove(r);
    }
    return err;
}

weir_err weir_journal_recover(weir_journal *journal, uint64_t from_unit,
                              weir_err (*replay)(void *arg, const weir_journal_unit *unit,
                                                 weir_fault *fault),
                              void *arg, weir_fault *fault)
{
    weir_recovery r = {
        .journal = journal,
        .from_unit = from_unit == 0 ? 1 : from_unit,
        .replay = replay,
        .arg = arg,
        .fault = fault,
        .reader = {.dir = &journal->dir},
    };
    *fault = (weir_fault){0};
    weir_err err = recover(&r);
    weir_recovery_file_give_up(&r);
    weir_journal_reader_fini(&r.reader);
    weir_journal_listing_fini(&r.listing);
    free(r.links);
    return err;
}
