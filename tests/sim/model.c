/* tests/sim/model.c - the oracle: a plain picture of what was sent, answered and seen.
 *
 *   sends     by number; a record carries its number in a header
 *   topics    what was answered about them, and what is under way
 *   logs      offset -> send, as answers and readers told; how safe each is known to be
 *
 * Happy path: every answer and every record seen binds a send to an offset, and every binding is
 * compared with the ones before. A crash makes what is open uncertain; the recovery is then read whole
 * and decides it for good. What is retained is in model_retained.c. The rules [P1] to [P13] stand in model.h. */
#include "tests/sim/model.h"

#include "core/base/assert.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LOOKED_AT_WHOLE = 8192, LOOKED_AT_EVERY = 1600 }; /* a multiple of 64 */

static const char *const KEYS[MODEL_KEYS] = {
    NULL, "", "a", "b", "dev1/temp", "dev2/temp", "dev2", "g", "h/i/j", "z",
};

void model_fail(sim_model *model, const char *format, ...)
{
    va_list arguments;
    if (model->failed) {
        return; /* the first one counts */
    }
    model->failed = true;
    va_start(arguments, format);
    (void)vsnprintf(model->fault, sizeof(model->fault), format, arguments);
    va_end(arguments);
}

void model_init(sim_model *model)
{
    memset(model, 0, sizeof(*model));
    for (uint32_t i = 0; i < MODEL_TOPICS; i++) {
        (void)snprintf(model->topics[i].name, sizeof(model->topics[i].name), "t%u", i);
        for (uint32_t key = 0; key < MODEL_KEYS; key++) {
            model->retained[i][key].send = MODEL_NONE;
        }
    }
    for (uint32_t i = 0; i < MODEL_PORTS; i++) {
        for (uint32_t key = 0; key < MODEL_KEYS; key++) {
            model->live[i][key].send = MODEL_NONE;
        }
    }
}

static void log_reset(model_log *log)
{
    free(log->slots);
    *log = (model_log){0};
}

void model_fini(sim_model *model)
{
    for (uint32_t i = 0; i < MODEL_TOPICS; i++) {
        for (uint32_t p = 0; p < MODEL_PARTITIONS; p++) {
            log_reset(&model->topics[i].logs[p]);
        }
    }
    free(model->sends);
}

/* ---- Bytes
 * --------------------------------------------------------------------------------------------- */

weir_bytes model_key(uint8_t key)
{
    return KEYS[key] == NULL ? WEIR_BYTES_NULL
                             : (weir_bytes){(const uint8_t *)KEYS[key], strlen(KEYS[key])};
}

size_t model_value(uint32_t send, int32_t value_bytes, uint8_t *out)
{
    if (value_bytes > 0 && out != NULL) {
        memset(out, 'a' + (int)(send % 26), (size_t)value_bytes);
        for (int32_t i = 0; i + 4 <= value_bytes; i += 64) {
            memcpy(out + i, &send, 4);
        }
    }
    return value_bytes > 0 ? (size_t)value_bytes : 0;
}

static bool value_right(uint32_t send, int32_t value_bytes, weir_bytes value)
{
    if (value_bytes < 0) {
        return value.ptr == NULL;
    }
    if (value.ptr == NULL || value.len != (size_t)value_bytes) {
        return false;
    }
    uint8_t fill = (uint8_t)('a' + (int)(send % 26));
    uint8_t part[64];
    memset(part, fill, sizeof(part));
    memcpy(part, &send, 4);
    size_t stride = value.len > LOOKED_AT_WHOLE ? LOOKED_AT_EVERY : 64;
    for (size_t i = 0; i < value.len; i += stride) {
        size_t len = value.len - i < 64 ? value.len - i : 64;
        part[0] = len < 4 ? fill : (uint8_t)send;
        part[1] = len < 4 ? fill : (uint8_t)(send >> 8);
        part[2] = len < 4 ? fill : (uint8_t)(send >> 16);
        if (memcmp(value.ptr + i, part, len) != 0) {
            return false;
        }
    }
    return true;
}

size_t model_name(const sim_model *model, const model_send *send, uint8_t *out, size_t size)
{
    const char *key = KEYS[send->key];
    int len = 0;
    if (send->topic == MODEL_TOPICS) {
        len = snprintf((char *)out, size, "live/p%u/k%u", send->port, send->key);
    } else {
        len = snprintf((char *)out, size, "%s%s%s", model->topics[send->topic].name,
                       key != NULL ? "/" : "", key != NULL ? key : "");
    }
    return (size_t)len;
}

uint32_t model_topic_of(const sim_model *model, weir_bytes name)
{
    for (uint32_t i = 0; i < MODEL_TOPICS; i++) {
        if (weir_bytes_equal(weir_bytes_of(model->topics[i].name), name)) {
            return i;
        }
    }
    return MODEL_NONE;
}

/* ---- Logs
 * ------------------------------------------------------------------------------------------------ */

static model_slot *slot_at(model_log *log, int64_t offset)
{
    if (offset >= log->capacity) {
        int64_t capacity = offset + 1 > 2 * log->capacity ? offset + 64 : 2 * log->capacity;
        log->slots = realloc(log->slots, (size_t)capacity * sizeof(*log->slots));
        WEIR_ASSERT(log->slots != NULL);
        log->capacity = capacity;
    }
    while (log->count <= offset) {
        log->slots[log->count++] = (model_slot){.send = MODEL_NONE};
    }
    return &log->slots[offset];
}

static const char *where(const sim_model *model, const model_send *send)
{
    return send->topic < MODEL_TOPICS ? model->topics[send->topic].name : "live";
}

/* A send lies at an offset, as safe as `level`. */
static void bind(sim_model *model, uint32_t number, uint32_t partition, int64_t offset,
                 weir_level level)
{
    model_send *send = &model->sends[number];
    model_log *log = &model->topics[send->topic].logs[partition];
    model_slot *slot = slot_at(log, offset);
    if (slot->send != MODEL_NONE && slot->send != number) {
        model_fail(model, "[P2] %s/%u offset %" PRId64 " has record %u, and had record %u",
                   where(model, send), partition, offset, number, slot->send);
    }
    if (send->offset >= 0 && (send->offset != offset || send->partition != (int32_t)partition)) {
        model_fail(model,
                   "[P3] record %u is at %s/%u offset %" PRId64 ", and was at %d offset %" PRId64,
                   number, where(model, send), partition, offset, send->partition, send->offset);
    }
    slot->send = number;
    slot->safe = slot->safe > level ? slot->safe : (uint8_t)level;
    send->partition = (int32_t)partition;
    send->offset = offset;
}

/* ---- Clients
 * --------------------------------------------------------------------------------------------- */

uint32_t model_sends(sim_model *model, model_send send)
{
    if (model->send_count == model->send_capacity) {
        model->send_capacity = model->send_capacity * 2 + 1024;
        model->sends = realloc(model->sends, model->send_capacity * sizeof(*model->sends));
        WEIR_ASSERT(model->sends != NULL);
    }
    send.state = SENT_OPEN;
    send.partition = -1;
    send.offset = -1;
    send.incarnation =
        send.topic < MODEL_TOPICS ? model->topics[send.topic].incarnation : send.incarnation;
    model->sends[model->send_count] = send;
    return model->send_count++;
}

static bool level_right(const model_topic *topic, weir_level level)
{
    return level == topic->options.level || level == topic->level_next ||
           (level >= topic->level_low && level <= WEIR_LEVEL_DISK);
}

static void acked(sim_model *model, uint32_t number, const weir_published *published)
{
    model_send *send = &model->sends[number];
    send->state = SENT_ACKED;
    send->level = published->level;
    if (published->live) {
        if (send->topic != MODEL_TOPICS && !send->loose) {
            model_fail(model, "[P7] record %u for %s was published live", number,
                       where(model, send));
        }
        return;
    }
    if (send->topic == MODEL_TOPICS) {
        model_fail(model, "[P7] record %u for a live name was stored", number);
        return;
    }
    const model_topic *topic = &model->topics[send->topic];
    if (send->loose) {
        return;
    }
    if (!level_right(topic, published->level)) {
        model_fail(model, "[P6] record %u for %s was acknowledged at level %d, which is %d", number,
                   topic->name, published->level, topic->options.level);
    }
    if (published->duplicate && published->offset < 0) {
        return; /* stored before, nobody knows where */
    }
    if (published->partition >= MODEL_PARTITIONS || published->offset < 0) {
        model_fail(model, "[P2] record %u was acknowledged at partition %u offset %" PRId64, number,
                   published->partition, published->offset);
        return;
    }
    bind(model, number, published->partition, published->offset + send->batch_index,
         published->level);
}

void model_answered(sim_model *model, uint32_t number, const weir_completion *done)
{
    uint32_t count = model->sends[number].batch_count > 0 ? model->sends[number].batch_count : 1;
    for (uint32_t i = 0; i < count; i++) {
        model_send *send = &model->sends[number + i];
        if (send->state != SENT_OPEN && !(send->again && send->state == SENT_MAYBE)) {
            continue;
        }
        if (done->err == WEIR_OK) {
            acked(model, number + i, &done->published);
        } else if (!send->again && weir_err_class_of(done->err) != WEIR_CLASS_STORAGE) {
            send->state = SENT_REFUSED;
        } else {
            send->state = SENT_MAYBE;
        }
    }
}

void model_refused(sim_model *model, uint32_t number, const weir_completion *done)
{
    if (done->err == WEIR_OK) {
        model_fail(model, "[P6] record %u is acknowledged, and asked for no answer", number);
    } else if (weir_err_class_of(done->err) != WEIR_CLASS_STORAGE) {
        model->sends[number].state = SENT_REFUSED;
    }
}

void model_loosen(sim_model *model, uint32_t topic)
{
    for (uint32_t i = 0; i < model->send_count; i++) {
        model_send *send = &model->sends[i];
        bool open = send->state == SENT_OPEN || (send->state == SENT_MAYBE && send->offset < 0);
        send->loose |= send->topic == topic && open;
    }
    model_retained_unknown(model, topic, false);
}

/* ---- Topics
 * ---------------------------------------------------------------------------------------------- */

void model_topic_created(sim_model *model, uint32_t index, const weir_topic_options *options,
                         uint32_t id)
{
    model_topic *topic = &model->topics[index];
    topic->exists = TOPIC_YES;
    topic->id = id;
    topic->options = *options;
    topic->level_low = options->level;
    topic->level_next = WEIR_LEVEL_DEFAULT;
    topic->partitions_next = 0;
}

void model_topic_deleted(sim_model *model, uint32_t index)
{
    model_topic *topic = &model->topics[index];
    model_loosen(model, index);
    model_retained_unknown(model, index, true);
    topic->exists = TOPIC_NO;
    topic->incarnation++;
    topic->id = 0;
    topic->grown = false;
    model->trims_gone |= topic->trims;
    topic->trims = false;
    topic->removes = false;
    topic->keeps = false;
    topic->compacts = false;
    topic->holes = false;
    for (uint32_t p = 0; p < MODEL_PARTITIONS; p++) {
        log_reset(&topic->logs[p]);
    }
}

void model_topic_level(sim_model *model, uint32_t index, weir_level level)
{
    model_topic *topic = &model->topics[index];
    topic->options.level = level;
    topic->level_changed = true;
    topic->level_low = topic->level_low < level ? topic->level_low : level;
    topic->level_next = WEIR_LEVEL_DEFAULT;
}

void model_topic_trimmed(sim_model *model, uint32_t index, uint32_t partition, int64_t before)
{
    model_log *log = &model->topics[index].logs[partition];
    log->start_safe = before > log->start_safe ? before : log->start_safe;
    log->start = log->start_safe > log->start ? log->start_safe : log->start;
}

void model_topic_partitions(sim_model *model, uint32_t index, uint32_t partitions)
{
    model_topic *topic = &model->topics[index];
    topic->options.partitions = partitions;
    topic->partitions_next = 0;
    topic->grown = true;
}

static const weir_topic_info *info_of(const weir_topics *topics, const char *name)
{
    for (uint32_t i = 0; i < topics->count; i++) {
        if (strcmp(topics->topics[i].name, name) == 0) {
            return &topics->topics[i];
        }
    }
    return NULL;
}

static void topic_settle(sim_model *model, uint32_t index, const weir_topic_info *info)
{
    model_topic *topic = &model->topics[index];
    if (info == NULL) {
        if (topic->exists == TOPIC_DELETING) {
            model_topic_deleted(model, index);
        }
        topic->exists = TOPIC_NO;
        return;
    }
    if (topic->exists == TOPIC_CREATING) {
        model_topic_created(model, index, &info->options, info->id);
    }
    topic->exists = TOPIC_YES;
    if (info->options.level == topic->level_next) {
        model_topic_level(model, index, topic->level_next);
    }
    if (info->options.partitions == topic->partitions_next) {
        model_topic_partitions(model, index, topic->partitions_next);
    }
    topic->level_next = WEIR_LEVEL_DEFAULT;
    topic->partitions_next = 0;
}

static void topic_compare(sim_model *model, const model_topic *topic, const weir_topic_info *info)
{
    bool level =
        info->options.level == topic->options.level || info->options.level == topic->level_next;
    bool partitions = info->options.partitions == topic->options.partitions ||
                      info->options.partitions == topic->partitions_next;
    bool kind = info->options.kind == topic->options.kind;
    if (!level || !partitions || !kind || info->id != topic->id) {
        model_fail(model,
                   "[P7] topic %s is id %u kind %d level %d partitions %u, should be id %u kind %d "
                   "level %d partitions %u",
                   topic->name, info->id, info->options.kind, info->options.level,
                   info->options.partitions, topic->id, topic->options.kind, topic->options.level,
                   topic->options.partitions);
    }
}

void model_topics(sim_model *model, const weir_topics *topics, bool settle)
{
    for (uint32_t i = 0; i < MODEL_TOPICS; i++) {
        const model_topic *topic = &model->topics[i];
        const weir_topic_info *info = info_of(topics, topic->name);
        bool wrong =
            topic->exists == TOPIC_YES ? info == NULL : topic->exists == TOPIC_NO && info != NULL;
        if (wrong) {
            model_fail(model, "[P7] topic %s is %s", topic->name,
                       info == NULL ? "gone" : "there, and was deleted or never created");
            return;
        }
        if (topic->exists == TOPIC_YES) {
            topic_compare(model, topic, info);
        }
        if (settle) {
            topic_settle(model, i, info);
        }
    }
    if (topics->count > MODEL_TOPICS + 1) { /* and that of the dead letters */
        model_fail(model, "[P7] %u topics, more than were ever created", topics->count);
    }
}

/* ---- Readers
 * --------------------------------------------------------------------------------------------- */

uint32_t model_number(const weir_record *record)
{
    weir_header header;
    uint32_t number = MODEL_NONE;
    if (weir_record_header(record, "n", &header) && header.value.len == sizeof(number)) {
        memcpy(&number, header.value.ptr, sizeof(number));
    }
    return number;
}

/* `live`: the key is the whole name. */
bool model_bytes_right(const sim_model *model, uint32_t number, const weir_record *record,
                       bool live)
{
    const model_send *send = &model->sends[number];
    uint8_t name[64];
    weir_bytes key = model_key(send->key);
    if (live) {
        key = (weir_bytes){name, model_name(model, send, name, sizeof(name))};
    }
    return weir_bytes_equal(record->key, key) && record->attributes == send->attributes &&
           value_right(number, send->value_bytes, record->value);
}

/* A name under a topic that is created or deleted meanwhile may be live. */
static bool may_be_seen(const sim_model *model, const model_send *send, uint32_t topic)
{
    bool here = send->topic == topic && (topic == MODEL_TOPICS || send->loose ||
                                         send->incarnation == model->topics[topic].incarnation);
    bool live = topic == MODEL_TOPICS && send->loose;
    return (here || live) && send->state != SENT_REFUSED && send->state != SENT_LOST;
}

uint32_t model_seen(sim_model *model, uint32_t topic, uint32_t partition, const weir_record *record)
{
    uint32_t number = model_number(record);
    if (number >= model->send_count) {
        model_fail(model, "[P3] a record of topic %u at offset %" PRId64 " that nobody sent", topic,
                   record->offset);
        return MODEL_NONE;
    }
    const model_send *send = &model->sends[number];
    if (!may_be_seen(model, send, topic)) {
        model_fail(model,
                   "[P3] record %u (topic %u, state %d, incarnation %u) is seen in topic %u "
                   "incarnation %u at offset %" PRId64,
                   number, send->topic, send->state, send->incarnation, topic,
                   topic < MODEL_TOPICS ? model->topics[topic].incarnation : 0, record->offset);
        return MODEL_NONE;
    }
    if (!model_bytes_right(model, number, record, topic == MODEL_TOPICS)) {
        model_fail(model, "[P3] record %u at offset %" PRId64 " has not the bytes it was sent with",
                   number, record->offset);
        return MODEL_NONE;
    }
    if (topic < MODEL_TOPICS && partition < MODEL_PARTITIONS) {
        bind(model, number, partition, record->offset, model->topics[topic].level_low);
        model->topics[topic].logs[partition].slots[record->offset].seen = model->reading;
    }
    return number;
}

int64_t model_known_end(const sim_model *model, uint32_t topic, uint32_t partition)
{
    const model_log *log = &model->topics[topic].logs[partition];
    if (model->topics[topic].level_changed) {
        return log->end;
    }
    return log->count > log->end ? log->count : log->end;
}

void model_told(sim_model *model, uint32_t index, uint32_t partition, int64_t start, int64_t end,
                int64_t least)
{
    model_topic *topic = &model->topics[index];
    model_log *log = &topic->logs[partition];
    if (start > end || (start > log->start && !topic->trims)) {
        model_fail(model, "[P10] %s/%u is told to start at %" PRId64 ", started at %" PRId64,
                   topic->name, partition, start, log->start);
    }
    if (end < least) {
        model_fail(model, "[P6] %s/%u is told to end at %" PRId64 ", and %" PRId64 " was known",
                   topic->name, partition, end, least);
    }
    log->start = start > log->start ? start : log->start;
    log->end = end > log->end ? end : log->end;
}

void model_bounds(sim_model *model, uint32_t index, uint32_t partition, int64_t start, int64_t end)
{
    model_topic *topic = &model->topics[index];
    model_log *log = &topic->logs[partition];
    if (start < log->start || start > end || (start > log->start && !topic->trims)) {
        model_fail(model, "[P10] %s/%u starts at %" PRId64 ", started at %" PRId64, topic->name,
                   partition, start, log->start);
    }
    if (end < log->end) {
        model_fail(model, "[P1] %s/%u ends at %" PRId64 ", should reach %" PRId64, topic->name,
                   partition, end, log->end);
    }
    log->start = start;
    log->end = end;
}

/* `thins`: of what was settled nothing is told. */
static bool batch_whole(const sim_model *model, const model_log *log, int64_t offset, bool thins)
{
    const model_send *send = &model->sends[log->slots[offset].send];
    if (send->batch_index + 1 >= send->batch_count) {
        return true;
    }
    uint32_t next = offset + 1 < log->count ? log->slots[offset + 1].send : MODEL_NONE;
    bool gone = thins && next == MODEL_NONE; /* its group knows whether it may be */
    return offset + 1 < log->end && (gone || next == log->slots[offset].send + 1);
}

/* [P11] The newest record of each key is there, unless it is a tombstone. */
static void compacted_check(sim_model *model, const model_topic *topic, uint32_t partition,
                            const model_log *log)
{
    bool met[MODEL_KEYS] = {true}; /* records without a key are no key's newest */
    for (int64_t offset = log->end - 1; offset >= log->start && !model->gaps; offset--) {
        const model_slot *slot = offset < log->count ? &log->slots[offset] : NULL;
        const model_send *send =
            slot != NULL && slot->send != MODEL_NONE ? &model->sends[slot->send] : NULL;
        if (send == NULL) {
            return; /* whatever key it had */
        }
        if (!met[send->key] && send->value_bytes >= 0 && slot->seen != model->reading) {
            model_fail(model,
                       "[P11] %s/%u: record %u at offset %" PRId64
                       " is its key's newest, and is gone",
                       topic->name, partition, slot->send, offset);
            return;
        }
        met[send->key] = true;
    }
}

void model_read_whole(sim_model *model, uint32_t index, uint32_t partition, bool recovered)
{
    model_topic *topic = &model->topics[index];
    model_log *log = &topic->logs[partition];
    bool thins = topic->options.kind == WEIR_KIND_QUEUE;
    uint32_t last[MODEL_PORTS] = {0};
    for (int64_t offset = log->start; offset < log->end && !model->failed; offset++) {
        uint32_t number = offset < log->count ? log->slots[offset].send : MODEL_NONE;
        if (number == MODEL_NONE) {
            topic->holes |= thins;
            if (!model->gaps && !topic->compacts && !thins) {
                model_fail(model, "[P2] %s/%u has no record at offset %" PRId64, topic->name,
                           partition, offset);
            }
            continue;
        }
        const model_send *send = &model->sends[number];
        if (!send->again && !send->loose && number < last[send->port]) {
            model_fail(model, "[P4] %s/%u: record %u at offset %" PRId64 " comes after record %u",
                       topic->name, partition, number, offset, last[send->port]);
        }
        last[send->port] = send->again || send->loose ? last[send->port] : number;
        if (!topic->compacts && !model->gaps && !batch_whole(model, log, offset, thins)) {
            model_fail(model, "[P5] %s/%u: the batch of record %u is cut after offset %" PRId64,
                       topic->name, partition, number, offset);
        }
    }
    if (!model->failed && topic->compacts) {
        compacted_check(model, topic, partition, log);
    }
    if (!model->failed && recovered && log->end > 0) {
        (void)slot_at(log, log->end - 1);
        model_retained_reckon(model, index, log);
    }
}

/* ---- Crashes
 * --------------------------------------------------------------------------------------------- */

uint32_t model_open(const sim_model *model)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < model->send_count; i++) {
        count += model->sends[i].state == SENT_OPEN ? 1 : 0;
    }
    return count;
}

static void log_crashed(model_log *log, weir_level survives)
{
    log->start = log->start_safe;
    log->end = log->start;
    for (int64_t offset = log->start; offset < log->count; offset++) {
        if (log->slots[offset].safe >= survives) {
            log->end = offset + 1; /* a prefix survives: all before it as well */
        }
    }
}

void model_interval_begins(sim_model *model)
{
    for (uint32_t i = 0; i < MODEL_TOPICS * MODEL_PARTITIONS; i++) {
        model_log *log = &model->topics[i / MODEL_PARTITIONS].logs[i % MODEL_PARTITIONS];
        log->interval_end = log->count;
    }
}

/* Slots that became known on the way may have been acknowledged on the way. */
uint64_t model_interval_passed(sim_model *model)
{
    uint64_t count = 0;
    for (uint32_t i = 0; i < MODEL_TOPICS * MODEL_PARTITIONS; i++) {
        model_log *log = &model->topics[i / MODEL_PARTITIONS].logs[i % MODEL_PARTITIONS];
        for (int64_t offset = log->start; offset < log->interval_end; offset++) {
            bool safer = log->slots[offset].safe == WEIR_LEVEL_OS;
            log->slots[offset].safe = safer ? WEIR_LEVEL_DISK : log->slots[offset].safe;
            count += safer ? 1 : 0;
        }
    }
    return count;
}

void model_crashed(sim_model *model, weir_level survives)
{
    model->survives = survives;
    for (uint32_t i = 0; i < model->send_count; i++) {
        model_send *send = &model->sends[i];
        send->state = send->state == SENT_OPEN ? SENT_MAYBE : send->state;
    }
    for (uint32_t i = 0; i < MODEL_TOPICS; i++) {
        for (uint32_t p = 0; p < MODEL_PARTITIONS; p++) {
            log_crashed(&model->topics[i].logs[p], survives);
        }
    }
}

static void log_recovered(sim_model *model, model_log *log)
{
    while (log->count > log->end) {
        const model_slot *slot = &log->slots[--log->count];
        if (slot->send != MODEL_NONE) {
            model->acknowledged_lost += model->sends[slot->send].state == SENT_ACKED ? 1 : 0;
            model->sends[slot->send].state = SENT_LOST;
        }
    }
    log->start_safe = log->start;
    for (int64_t offset = log->start; offset < log->count; offset++) {
        log->slots[offset].safe = WEIR_LEVEL_DISK;
    }
}

void model_recovered(sim_model *model)
{
    for (uint32_t i = 0; i < MODEL_TOPICS; i++) {
        model->topics[i].level_low = model->topics[i].options.level;
        model->topics[i].level_changed = false;
        for (uint32_t p = 0; p < MODEL_PARTITIONS; p++) {
            log_recovered(model, &model->topics[i].logs[p]);
        }
    }
    for (uint32_t i = 0; i < model->send_count; i++) {
        model_send *send = &model->sends[i];
        const model_topic *of = send->topic < MODEL_TOPICS ? &model->topics[send->topic] : NULL;
        if (of != NULL && (of->compacts || of->holes) && send->offset < 0) {
            continue; /* it may be there under a newer one, and come back with the old segment */
        }
        if (send->state == SENT_MAYBE && send->topic < MODEL_TOPICS) {
            send->state = send->offset >= 0 ? SENT_ACKED : SENT_LOST;
            model->uncertain_kept += send->offset >= 0 ? 1 : 0;
            model->uncertain_lost += send->offset >= 0 ? 0 : 1;
        } else if (send->state == SENT_MAYBE) {
            send->state = SENT_LOST; /* what is retained was compared before */
        }
    }
}
