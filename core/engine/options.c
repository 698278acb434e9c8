/* core/engine/options.c - a topic's settings as they lie in the journal and in checkpoints, and the
 * values in force.
 *
 *   settings   field | field | ...         field   tag u16 | bytes u32 | bytes
 *              1..63  a row of WEIR_TOPIC_SETTINGS_LIST, i64      64  cleanup, u8
 *              65     kind, u8: of a queue alone
 *
 * Big-endian. Only what is not 0 is written: 0 stands for the default, which is worked out where it
 * is used and may differ in a later version. Decoding trusts nothing: an unknown tag is VERSION,
 * anything that does not fit DAMAGED. */
#include "core/engine/ops.h"

#include "core/base/varint.h"

enum { TAG_CLEANUP = 64, TAG_KIND = 65, FIELD_HEAD_BYTES = 6, SETTING_BYTES = 8 };

weir_err weir_topic_settings_check(const weir_topic_options *options)
{
    size_t count;
    const weir_topic_setting *rows = weir_topic_settings(&count);
    bool compacts = (options->cleanup & WEIR_CLEANUP_COMPACT) != 0;
    if ((unsigned)options->cleanup > WEIR_CLEANUP_COMPACT_DELETE ||
        (unsigned)options->kind > WEIR_KIND_QUEUE ||
        (options->kind == WEIR_KIND_QUEUE && compacts)) {
        return WEIR_INVALID;
    }
    for (size_t i = 0; i < count; i++) {
        if (!weir_topic_setting_fits(&rows[i], weir_topic_setting_get(options, &rows[i]))) {
            return WEIR_INVALID;
        }
    }
    return WEIR_OK;
}

bool weir_topic_settings_allow(const weir_topic_options *asked, const weir_topic_options *is)
{
    size_t count;
    const weir_topic_setting *rows = weir_topic_settings(&count);
    bool same = asked->cleanup == WEIR_CLEANUP_DEFAULT || asked->cleanup == is->cleanup;
    bool queue = asked->kind == WEIR_KIND_QUEUE;
    same = same && (asked->kind == WEIR_KIND_DEFAULT || queue == weir_topic_is_queue(is));
    for (size_t i = 0; i < count && same; i++) {
        int64_t value = weir_topic_setting_get(asked, &rows[i]);
        same = value == 0 || value == weir_topic_setting_get(is, &rows[i]);
    }
    return same;
}

void weir_topic_settings_merge(weir_topic_options *into, const weir_topic_options *change)
{
    size_t count;
    const weir_topic_setting *rows = weir_topic_settings(&count);
    into->cleanup = change->cleanup != WEIR_CLEANUP_DEFAULT ? change->cleanup : into->cleanup;
    for (size_t i = 0; i < count; i++) {
        int64_t value = weir_topic_setting_get(change, &rows[i]);
        if (value != 0) {
            weir_topic_setting_put(into, &rows[i], value);
        }
    }
}

weir_topic_options weir_topic_in_force(const weir_engine *engine, const weir_topic_options *options)
{
    size_t count;
    const weir_topic_setting *rows = weir_topic_settings(&count);
    weir_topic_options filled = *options;
    filled.kind = weir_topic_is_queue(options) ? WEIR_KIND_QUEUE : WEIR_KIND_LOG;
    if (weir_topic_is_queue(options) && options->retention_ms == 0) {
        filled.retention_ms = WEIR_UNLIMITED; /* a record stays until it is settled */
    }
    for (size_t i = 0; i < count; i++) {
        if (weir_topic_setting_get(&filled, &rows[i]) == 0) {
            weir_topic_setting_put(&filled, &rows[i], rows[i].fallback);
        }
    }
    if (filled.cleanup == WEIR_CLEANUP_DEFAULT) {
        filled.cleanup = WEIR_CLEANUP_DELETE;
    }
    if (filled.segment_bytes == 0) {
        filled.segment_bytes = (int64_t)engine->config.segment_bytes_max;
    }
    return filled;
}

/* ---- Bytes
 * ------------------------------------------------------------------------------------------------
 */

size_t weir_topic_settings_bytes(const weir_topic_options *options)
{
    size_t count;
    const weir_topic_setting *rows = weir_topic_settings(&count);
    size_t bytes = options->cleanup != WEIR_CLEANUP_DEFAULT ? FIELD_HEAD_BYTES + 1 : 0;
    bytes += weir_topic_is_queue(options) ? FIELD_HEAD_BYTES + 1 : 0;
    for (size_t i = 0; i < count; i++) {
        bytes +=
            weir_topic_setting_get(options, &rows[i]) != 0 ? FIELD_HEAD_BYTES + SETTING_BYTES : 0;
    }
    return bytes;
}

static uint8_t *field_head(uint8_t *at, uint16_t tag, uint32_t bytes)
{
    weir_put_u16(at, tag);
    weir_put_u32(at + 2, bytes);
    return at + FIELD_HEAD_BYTES;
}

void weir_topic_settings_encode(const weir_topic_options *options, uint8_t *out)
{
    size_t count;
    const weir_topic_setting *rows = weir_topic_settings(&count);
    for (size_t i = 0; i < count; i++) {
        int64_t value = weir_topic_setting_get(options, &rows[i]);
        if (value != 0) {
            out = field_head(out, rows[i].tag, SETTING_BYTES);
            weir_put_u64(out, (uint64_t)value);
            out += SETTING_BYTES;
        }
    }
    if (options->cleanup != WEIR_CLEANUP_DEFAULT) {
        out = field_head(out, TAG_CLEANUP, 1);
        *out++ = (uint8_t)options->cleanup;
    }
    if (weir_topic_is_queue(options)) {
        out = field_head(out, TAG_KIND, 1);
        *out = (uint8_t)options->kind;
    }
}

static const weir_topic_setting *setting_of(uint16_t tag)
{
    size_t count;
    const weir_topic_setting *rows = weir_topic_settings(&count);
    for (size_t i = 0; i < count; i++) {
        if (rows[i].tag == tag) {
            return &rows[i];
        }
    }
    return NULL;
}

static weir_err field_take(uint16_t tag, weir_bytes body, weir_topic_options *options)
{
    const weir_topic_setting *setting = setting_of(tag);
    if (tag == TAG_CLEANUP) {
        if (body.len != 1 || body.ptr[0] > WEIR_CLEANUP_COMPACT_DELETE) {
            return WEIR_DAMAGED;
        }
        options->cleanup = (weir_cleanup)body.ptr[0];
        return WEIR_OK;
    }
    if (tag == TAG_KIND) {
        if (body.len != 1 || body.ptr[0] != WEIR_KIND_QUEUE) {
            return WEIR_DAMAGED;
        }
        options->kind = WEIR_KIND_QUEUE;
        return WEIR_OK;
    }
    if (setting == NULL) {
        return WEIR_VERSION;
    }
    if (body.len != SETTING_BYTES) {
        return WEIR_DAMAGED;
    }
    int64_t value = (int64_t)weir_get_u64(body.ptr);
    if (!weir_topic_setting_fits(setting, value)) {
        return WEIR_DAMAGED;
    }
    weir_topic_setting_put(options, setting, value);
    return WEIR_OK;
}

weir_err weir_topic_settings_decode(weir_bytes in, weir_topic_options *options)
{
    while (in.len > 0) {
        uint32_t bytes = in.len >= FIELD_HEAD_BYTES ? weir_get_u32(in.ptr + 2) : 0;
        if (in.len < FIELD_HEAD_BYTES || bytes > in.len - FIELD_HEAD_BYTES) {
            return WEIR_DAMAGED;
        }
        weir_bytes body = {in.ptr + FIELD_HEAD_BYTES, bytes};
        weir_err err = field_take(weir_get_u16(in.ptr), body, options);
        if (err != WEIR_OK) {
            return err;
        }
        in = (weir_bytes){body.ptr + bytes, in.len - FIELD_HEAD_BYTES - bytes};
    }
    return WEIR_OK;
}
