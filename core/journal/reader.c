/* core/journal/reader.c - reads blocks of one journal file through a window of memory.
 *
 *   file    |......[ window ]..........|
 *                  ^ start  ^ start + len, moved forward when a span is asked for outside it
 *
 * The window is at least 1 MiB, so small blocks cost one read in many, and grows to the largest
 * block. A block's length is believed, and memory taken for it, only when its magic, journal id and
 * generation fit and it ends inside the file. */
#include "core/journal/reader.h"

#include "core/base/varint.h"

#include <stdlib.h>
#include <string.h>

enum { WINDOW_BYTES = 1 << 20, BLOCK_ID_AT = 24 };

static void reader_close(weir_journal_reader *reader)
{
    if (reader->file != NULL) {
        reader->dir->env->ops->file_close(reader->dir->env, reader->file);
        reader->file = NULL;
    }
    reader->len = 0;
    reader->start = 0;
}

void weir_journal_reader_fini(weir_journal_reader *reader)
{
    reader_close(reader);
    free(reader->ptr);
    reader->ptr = NULL;
    reader->capacity = 0;
}

weir_err weir_journal_reader_open(weir_journal_reader *reader, uint64_t number)
{
    weir_env *env = reader->dir->env;
    char path[WEIR_JOURNAL_PATH_MAX];
    reader_close(reader);
    weir_journal_path(reader->dir, (weir_journal_name){number, WEIR_JOURNAL_WAL}, path);
    weir_err err = env->ops->file_open(env, path, WEIR_OPEN_READ, &reader->file);
    if (err != WEIR_OK) {
        reader->file = NULL;
        return err;
    }
    reader->number = number;
    return env->ops->file_size(env, reader->file, &reader->bytes);
}

static weir_err window_grow(weir_journal_reader *reader, size_t len)
{
    if (len <= reader->capacity) {
        return WEIR_OK;
    }
    uint8_t *grown = realloc(reader->ptr, len);
    if (grown == NULL) {
        return WEIR_NO_MEMORY;
    }
    reader->ptr = grown;
    reader->capacity = len;
    return WEIR_OK;
}

/* To `want` bytes from position on, fewer only at the end of the file; reads what it does not have. */
static weir_err window_move(weir_journal_reader *reader, uint64_t position, size_t want)
{
    weir_env *env = reader->dir->env;
    size_t got = 0;
    weir_err err = window_grow(reader, want);
    if (err != WEIR_OK) {
        return err;
    }
    bool inside = position >= reader->start && position < reader->start + reader->len;
    size_t skip = inside ? (size_t)(position - reader->start) : reader->len;
    size_t kept = reader->len - skip;
    memmove(reader->ptr, reader->ptr + skip, kept);
    err = env->ops->file_read_stream(env, reader->file, reader->ptr + kept, want - kept,
                                     position + kept, &got);
    reader->start = position;
    reader->len = err == WEIR_OK ? kept + got : 0;
    return err;
}

weir_err weir_journal_reader_span(weir_journal_reader *reader, uint64_t position, size_t len,
                                  weir_bytes *bytes)
{
    if (position < reader->start || position + len > reader->start + reader->len) {
        weir_err err = window_move(reader, position, len > WINDOW_BYTES ? len : WINDOW_BYTES);
        if (err != WEIR_OK) {
            return err;
        }
    }
    size_t skip = (size_t)(position - reader->start);
    size_t have = reader->len - skip;
    *bytes = (weir_bytes){reader->ptr + skip, have < len ? have : len};
    return WEIR_OK;
}

weir_err weir_journal_reader_block(weir_journal_reader *reader, uint64_t journal_id,
                                   uint64_t position, uint64_t end, weir_journal_block *block)
{
    weir_bytes bytes;
    weir_journal_block head;
    weir_err err =
        weir_journal_reader_span(reader, position, WEIR_JOURNAL_BLOCK_HEAD_BYTES, &bytes);
    if (err != WEIR_OK) {
        return err;
    }
    if (weir_journal_block_peek(bytes, journal_id, reader->number, &head) != WEIR_OK ||
        position + head.span_bytes > end) {
        return WEIR_DAMAGED;
    }
    err = weir_journal_reader_span(reader, position, head.span_bytes, &bytes);
    if (err != WEIR_OK) {
        return err;
    }
    err = weir_journal_block_decode(bytes, journal_id, reader->number, block);
    return err == WEIR_MORE ? WEIR_DAMAGED : err;
}

weir_err weir_journal_reader_block_any(weir_journal_reader *reader, uint64_t position,
                                       weir_journal_block *block)
{
    weir_bytes bytes;
    weir_err err =
        weir_journal_reader_span(reader, position, WEIR_JOURNAL_BLOCK_HEAD_BYTES, &bytes);
    if (err != WEIR_OK) {
        return err;
    }
    if (bytes.len < WEIR_JOURNAL_BLOCK_HEAD_BYTES) {
        return WEIR_DAMAGED;
    }
    uint64_t journal_id = weir_get_u64(bytes.ptr + BLOCK_ID_AT);
    return weir_journal_reader_block(reader, journal_id, position, reader->bytes, block);
}
