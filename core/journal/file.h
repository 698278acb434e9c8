/* core/journal/file.h - the journal's folder: names, and files made ready before they are used.
 *
 * "<16 hex digits>.wal" holds blocks, or is an attempt at one; ".spare" is ready to be renamed to
 * one; ".new" is being filled. All three draw their number from one rising count. */
#ifndef WEIR_CORE_JOURNAL_FILE_H
#define WEIR_CORE_JOURNAL_FILE_H

#include "core/env/env.h"

enum { WEIR_JOURNAL_DIR_MAX = 3900, WEIR_JOURNAL_PATH_MAX = WEIR_JOURNAL_DIR_MAX + 32 };

typedef struct weir_journal_dir {
    weir_env *env;
    char path[WEIR_JOURNAL_DIR_MAX + 1];
} weir_journal_dir;

typedef enum weir_journal_kind {
    WEIR_JOURNAL_WAL,
    WEIR_JOURNAL_SPARE,
    WEIR_JOURNAL_NEW,
    WEIR_JOURNAL_KIND_COUNT
} weir_journal_kind;

typedef struct weir_journal_name {
    uint64_t number;
    weir_journal_kind kind;
} weir_journal_name;

/* What the folder holds, by rising number; names that are not ours are left out. */
typedef struct weir_journal_listing {
    weir_journal_name *names;
    size_t count;
    size_t capacity;
} weir_journal_listing;

void weir_journal_path(const weir_journal_dir *dir, weir_journal_name name,
                       char out[WEIR_JOURNAL_PATH_MAX]);
weir_err weir_journal_listing_read(const weir_journal_dir *dir, weir_journal_listing *listing);
void weir_journal_listing_fini(weir_journal_listing *listing);

/* Makes "<number>.new" of this size, filled with zeros when `zeroed`, syncs it and renames it to
 * ".spare". Blocks: for a background job. On failure nothing is left behind. */
weir_err weir_journal_spare_prepare(const weir_journal_dir *dir, uint64_t number, uint64_t bytes,
                                    bool zeroed);
/* Opens a spare, renames it to "<number>.wal" and syncs the folder. NO_MEMORY: it is a spare yet. */
weir_err weir_journal_spare_use(const weir_journal_dir *dir, uint64_t spare, uint64_t number,
                                weir_file **file);
/* Makes "<number>.wal" of this size from nothing, filled with zeros when `zeroed`, and syncs file and
 * folder: a .wal that is shorter than it should be is damage, never what a crash left. DISK_FULL,
 * NO_MEMORY: nothing is left behind. */
weir_err weir_journal_file_create(const weir_journal_dir *dir, uint64_t number, uint64_t bytes,
                                  bool zeroed, weir_file **file);
/* The same in two steps. begin makes "<number>.new" and takes the room of its bytes; end fills and
 * names it, and if it fails leaves nothing behind and the file closed, as give_up does instead of it.
 * With more bytes than were taken it has to be `zeroed`. */
weir_err weir_journal_file_begin(const weir_journal_dir *dir, uint64_t number, uint64_t bytes,
                                 weir_file **file);
weir_err weir_journal_file_end(const weir_journal_dir *dir, uint64_t number, uint64_t bytes,
                               bool zeroed, weir_file *file);
void weir_journal_file_give_up(const weir_journal_dir *dir, uint64_t number, weir_file *file);

#endif
