/* core/journal/checkpoint_files.h - the folder of checkpoints as its two files share it: checkpoint.c
 * (bytes, loading), checkpoint_write.c (writing, removing). Only for them. */
#ifndef WEIR_CORE_JOURNAL_CHECKPOINT_FILES_H
#define WEIR_CORE_JOURNAL_CHECKPOINT_FILES_H

#include "core/journal/checkpoint.h"

enum {
    WEIR_CHECKPOINT_HEAD_BYTES = 128,
    WEIR_CHECKPOINT_DIR_BYTES_MAX = 3900,
    WEIR_CHECKPOINT_PATH_BYTES = WEIR_CHECKPOINT_DIR_BYTES_MAX + 64,
};

#define WEIR_CHECKPOINT_EXTENSION     ".checkpoint"
#define WEIR_CHECKPOINT_EXTENSION_NEW ".new"

typedef struct weir_checkpoint_name {
    uint64_t number;
    uint64_t term;
    enum { WEIR_CHECKPOINT_UNREAD, WEIR_CHECKPOINT_GOOD, WEIR_CHECKPOINT_BAD } found;
    bool wanted;          /* a removal's mark */
    weir_checkpoint head; /* once it was read; without payload */
    uint32_t crc;
    uint32_t version;
    uint64_t payload_bytes;
    uint32_t payload_crc;
} weir_checkpoint_name;

typedef struct weir_checkpoint_names {
    weir_checkpoint_name *names; /* newest first */
    size_t count;
    size_t capacity;
    bool no_memory;
} weir_checkpoint_names;

void weir_checkpoint_path(const char *dir, uint64_t number, uint64_t term, const char *extension,
                          char out[WEIR_CHECKPOINT_PATH_BYTES]);
bool weir_checkpoint_name_parse(const char *text, const char *extension, weir_checkpoint_name *out);
weir_err weir_checkpoint_names_read(weir_env *env, const char *dir, weir_checkpoint_names *names);
int weir_checkpoint_newest_first(const void *left, const void *right);
void weir_checkpoint_head_encode(const weir_checkpoint *checkpoint, uint64_t payload_bytes,
                                 uint32_t payload_crc, uint8_t out[WEIR_CHECKPOINT_HEAD_BYTES]);

/* Reads one file's head, and all of it to check its sum when `whole`; once. OK, DAMAGED (or it is
 * not there), VERSION; IO and NO_MEMORY say nothing about the file. */
weir_err weir_checkpoint_name_read(weir_env *env, const char *dir, weir_checkpoint_name *name,
                                   bool whole);
/* The chain that ends with names[at]: every file there and good, as far as `whole` says (of the term
 * `trusted` the head is enough). *links: how many; their places, the base last, are put into
 * chain[] when it is not NULL (names.count places). Errors as above. */
weir_err weir_checkpoint_chain_find(weir_env *env, const char *dir, weir_checkpoint_names *names,
                                    size_t at, uint64_t trusted, size_t *chain, size_t *links);

#endif
