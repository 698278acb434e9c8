/* core/engine/snapshot.h - what a checkpoint's payload is written and read with: objects of tagged
 * fields. Only for the files of this room; snapshot.c draws the bytes and says how to add a field.
 */
#ifndef WEIR_CORE_ENGINE_SNAPSHOT_H
#define WEIR_CORE_ENGINE_SNAPSHOT_H

#include "core/engine/ops.h"

#include "core/base/buffer.h"
#include "core/base/varint.h"

/* ---- Bytes out ----------------------------------------------------------------------------------
 * The first error stays: one look at the end of an object. */

typedef struct weir_writer {
    weir_buffer *out;
    weir_err err;
} weir_writer;

static inline void weir_writer_bytes(weir_writer *to, const void *bytes, size_t len)
{
    if (to->err == WEIR_OK && len > 0) {
        to->err = weir_buffer_append(to->out, bytes, len);
    }
}

static inline void weir_writer_u8(weir_writer *to, uint8_t value)
{
    weir_writer_bytes(to, &value, 1);
}

static inline void weir_writer_u16(weir_writer *to, uint16_t value)
{
    uint8_t bytes[2];
    weir_put_u16(bytes, value);
    weir_writer_bytes(to, bytes, sizeof(bytes));
}

static inline void weir_writer_u32(weir_writer *to, uint32_t value)
{
    uint8_t bytes[4];
    weir_put_u32(bytes, value);
    weir_writer_bytes(to, bytes, sizeof(bytes));
}

static inline void weir_writer_u64(weir_writer *to, uint64_t value)
{
    uint8_t bytes[8];
    weir_put_u64(bytes, value);
    weir_writer_bytes(to, bytes, sizeof(bytes));
}

/* ---- Bytes in -----------------------------------------------------------------------------------
 * A reader remembers that it ran out, and gives zeros from then on. */

typedef struct weir_reader {
    weir_bytes rest;
    bool failed;
} weir_reader;

weir_bytes weir_reader_bytes(weir_reader *from, size_t len);

static inline uint8_t weir_reader_u8(weir_reader *from)
{
    weir_bytes bytes = weir_reader_bytes(from, 1);
    return from->failed ? 0 : bytes.ptr[0];
}

static inline uint16_t weir_reader_u16(weir_reader *from)
{
    weir_bytes bytes = weir_reader_bytes(from, 2);
    return from->failed ? 0 : weir_get_u16(bytes.ptr);
}

static inline uint32_t weir_reader_u32(weir_reader *from)
{
    weir_bytes bytes = weir_reader_bytes(from, 4);
    return from->failed ? 0 : weir_get_u32(bytes.ptr);
}

static inline uint64_t weir_reader_u64(weir_reader *from)
{
    weir_bytes bytes = weir_reader_bytes(from, 8);
    return from->failed ? 0 : weir_get_u64(bytes.ptr);
}

/* ---- Objects ------------------------------------------------------------------------------------
 */

/* A topic while its fields are read, before it exists. */
typedef struct weir_topic_draft {
    weir_bytes name;
    weir_topic_options options;
    uint64_t deleted_unit; /* of one that is no more */
    weir_bytes epochs;
} weir_topic_draft;

/* A retained value's; the bytes are the reader's. */
typedef struct weir_retained_draft {
    weir_bytes name;
    weir_bytes topic;
    uint32_t topic_id;
    uint32_t partition;
    weir_bytes batch;
} weir_retained_draft;

/* One tagged field of an object. `put` writes its bytes, or none: the field is then left out, and
 * whoever reads keeps what the object begins with. `take` gets all bytes of one that is there; what
 * it leaves is DAMAGED, and so is a reader that failed. What stands behind `object`:
 *
 *            put                    take
 *   engine     weir_engine            weir_engine
 *   topic      const weir_topic       weir_topic_draft
 *   partition  const weir_partition   weir_partition, fields with lower tags already read
 *   retained   const weir_retained    weir_retained_draft
 *   producer   const weir_producer    weir_producer
 *   publishing const weir_publishing  its draft (snapshot_producers.c) */
typedef struct weir_snapshot_field {
    uint16_t tag; /* rising in a table, and in the bytes */
    bool required;
    void (*put)(weir_engine *engine, const void *object, weir_writer *to);
    weir_err (*take)(weir_engine *engine, void *object, weir_reader *from);
} weir_snapshot_field;

#define WEIR_FIELDS(table) (table), sizeof(table) / sizeof((table)[0])

/* snapshot_fields.c: a table for each kind that snapshot.c reads and writes. */
typedef struct weir_snapshot_fields {
    const weir_snapshot_field *fields;
    size_t count;
} weir_snapshot_fields;
extern const weir_snapshot_fields weir_snapshot_engine_fields;
extern const weir_snapshot_fields weir_snapshot_topic_fields;
extern const weir_snapshot_fields weir_snapshot_partition_fields;
extern const weir_snapshot_fields weir_snapshot_topic_gone_fields;
extern const weir_snapshot_fields weir_snapshot_retained_fields;
#define WEIR_FIELDS_OF(table) (table).fields, (table).count

/* snapshot.c. An object: begin, its identity, its fields, end (with what begin gave). */
size_t weir_snapshot_begin(weir_writer *to, weir_snapshot_kind kind, uint64_t unit);
void weir_snapshot_put_fields(weir_engine *engine, const void *object,
                              const weir_snapshot_field *fields, size_t count, weir_writer *to);
void weir_snapshot_end(weir_writer *to, size_t begin);
/* All fields of `body`, in the order of their tags, and each that is required. */
weir_err weir_snapshot_take_fields(weir_engine *engine, void *object,
                                   const weir_snapshot_field *fields, size_t count,
                                   weir_reader *body);

/* snapshot_producers.c: the rows of its two kinds */
void weir_snapshot_producer_put(weir_engine *engine, const weir_saved *saved, uint64_t unit,
                                weir_writer *to);
weir_err weir_snapshot_producer_take(weir_engine *engine, uint64_t unit, weir_reader *body);
weir_err weir_snapshot_producer_forget(weir_engine *engine, uint64_t unit, weir_reader *identity);
void weir_snapshot_publishing_put(weir_engine *engine, const weir_saved *saved, uint64_t unit,
                                  weir_writer *to);
weir_err weir_snapshot_publishing_take(weir_engine *engine, uint64_t unit, weir_reader *body);
weir_err weir_snapshot_publishing_forget(weir_engine *engine, uint64_t unit, weir_reader *identity);

/* group_save.c: the rows of groups and of their parts; and all of them */
void weir_snapshot_put_groups(weir_engine *engine, uint64_t unit, weir_writer *to);
void weir_snapshot_group_put(weir_engine *engine, const weir_saved *saved, uint64_t unit,
                             weir_writer *to);
weir_err weir_snapshot_group_take(weir_engine *engine, uint64_t unit, weir_reader *body);
weir_err weir_snapshot_group_forget(weir_engine *engine, uint64_t unit, weir_reader *identity);
void weir_snapshot_group_part_put(weir_engine *engine, const weir_saved *saved, uint64_t unit,
                                  weir_writer *to);
weir_err weir_snapshot_group_part_take(weir_engine *engine, uint64_t unit, weir_reader *body);
weir_err weir_snapshot_group_part_forget(weir_engine *engine, uint64_t unit, weir_reader *identity);

/* queue_save.c */
void weir_snapshot_settlement_put(weir_engine *engine, const weir_saved *saved, uint64_t unit,
                                  weir_writer *to);
weir_err weir_snapshot_settlement_take(weir_engine *engine, uint64_t unit, weir_reader *body);
weir_err weir_snapshot_settlement_forget(weir_engine *engine, uint64_t unit, weir_reader *identity);
void weir_snapshot_put_settlement(weir_engine *engine, const weir_group_part *part, uint64_t unit,
                                  weir_writer *to); /* all its pages */

/* snapshot.c. What saved.c writes a payload with: its beginning, then objects. `unit`: they are as
 * they were after it. */
void weir_snapshot_put_version(weir_writer *to);
void weir_snapshot_put_engine(weir_engine *engine, uint64_t unit, weir_writer *to);
void weir_snapshot_put(weir_engine *engine, weir_snapshot_kind kind, const weir_saved *saved,
                       uint64_t unit, weir_writer *to);
void weir_snapshot_put_gone(weir_snapshot_kind kind, weir_bytes identity, uint64_t unit,
                            weir_writer *to);

/* Versions 1 and 2 (snapshot_old.c). `from` stands behind the version. */
weir_err weir_snapshot_old_decode(weir_engine *engine, uint16_t version, weir_reader *from);

/* snapshot_life.c */
void weir_snapshot_put_settings(weir_engine *engine, const void *object, weir_writer *to);
weir_err weir_snapshot_take_settings(weir_engine *engine, void *object, weir_reader *from);
void weir_snapshot_put_epochs(weir_engine *engine, const void *object, weir_writer *to);
weir_err weir_snapshot_take_epochs(weir_engine *engine, void *object, weir_reader *from);
weir_err weir_snapshot_epochs_set(weir_topic *topic, weir_bytes epochs);
void weir_snapshot_put_compacted(weir_engine *engine, const void *object, weir_writer *to);
weir_err weir_snapshot_take_compacted(weir_engine *engine, void *object, weir_reader *from);
void weir_snapshot_put_trims(weir_engine *engine, const void *object, weir_writer *to);
weir_err weir_snapshot_take_trims(weir_engine *engine, void *object, weir_reader *from);

/* fates.c: of the partition of `__fates`, lines that are in no record yet */
void weir_snapshot_put_fates(weir_engine *engine, const void *object, weir_writer *to);
weir_err weir_snapshot_take_fates(weir_engine *engine, void *object, weir_reader *from);

/* Shared by both readers. */
void weir_snapshot_segment_take(weir_reader *from, bool has_term, weir_segment_state *state);
weir_err weir_snapshot_segment_add(weir_engine *engine, weir_partition *partition,
                                   const weir_segment_state *state, bool last);
weir_err weir_snapshot_retained_add(weir_engine *engine, uint32_t topic_id, weir_bytes topic,
                                    uint32_t partition, weir_bytes batch, const weir_bytes *name);
weir_err weir_snapshot_options_check(const weir_engine *engine, uint32_t id, weir_bytes name,
                                     const weir_topic_options *options);

#endif
