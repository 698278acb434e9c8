/* core/engine/group_options.c - what a group is told: checked, filled in, compared, kept.
 *
 *   words:  | topics, a span each | name | dead letter | filter | topic names |
 *
 * A group keeps its options with every default filled in, so that a default that changes with a
 * version changes no group. */
#include "core/engine/group.h"

#include "core/base/trie.h"

#include <stdlib.h>
#include <string.h>

static uint8_t model_bit(weir_model model)
{
    return model == WEIR_MODEL_QUEUE ? 2 : 1;
}

/* The value that is asked for; 0: none is, unless *there. */
static int64_t asked_value(const weir_group_options *options, const weir_group_setting *setting,
                           bool *there)
{
    int64_t value = weir_group_setting_get(options, setting);
    *there = value != 0;
    return value == WEIR_GROUP_ZERO && weir_group_setting_has_zero(setting) ? 0 : value;
}

/* Whether each setting that is there is one of this model's, and within its bounds. */
static weir_err settings_check(const weir_group_options *options, weir_model model)
{
    size_t count = 0;
    const weir_group_setting *settings = weir_group_settings(&count);
    for (size_t i = 0; i < count; i++) {
        bool there = false;
        int64_t value = asked_value(options, &settings[i], &there);
        if ((there && (settings[i].models & model_bit(model)) == 0) ||
            !weir_group_setting_fits(&settings[i], value)) {
            return WEIR_INVALID;
        }
    }
    return WEIR_OK;
}

static weir_err mode_check(weir_model model, weir_mode mode)
{
    if (mode == WEIR_MODE_EXACTLY_ONCE) {
        return WEIR_NOT_OFFERED;
    }
    return mode == WEIR_MODE_CLIENT_COMMIT && model != WEIR_MODEL_STREAM ? WEIR_INVALID : WEIR_OK;
}

/* Some topics, each once, or a filter. */
static weir_err reads_check(const weir_group_options *options)
{
    if (options->topic_count == 0) {
        return options->filter.ptr == NULL ? WEIR_INVALID : weir_filter_check(options->filter);
    }
    for (uint32_t i = 0; i < options->topic_count; i++) {
        for (uint32_t k = 0; k < i; k++) {
            if (weir_bytes_equal(options->topics[i], options->topics[k])) {
                return WEIR_INVALID;
            }
        }
    }
    return WEIR_OK;
}

weir_err weir_group_options_fill(weir_group_options *options)
{
    size_t count = 0;
    const weir_group_setting *settings = weir_group_settings(&count);
    weir_model model = options->model == WEIR_MODEL_DEFAULT ? WEIR_MODEL_STREAM : options->model;
    weir_mode mode = options->mode == WEIR_MODE_DEFAULT ? WEIR_MODE_AT_LEAST_ONCE : options->mode;
    weir_err err = mode_check(model, mode);
    err = err == WEIR_OK ? settings_check(options, model) : err;
    err = err == WEIR_OK ? reads_check(options) : err;
    if (err != WEIR_OK) {
        return err;
    }
    options->model = model;
    options->mode = mode;
    options->start = options->start == WEIR_PLACE_DEFAULT ? WEIR_PLACE_BEGINNING : options->start;
    options->removed =
        options->removed == WEIR_PLACE_DEFAULT ? WEIR_PLACE_BEGINNING : options->removed;
    for (size_t i = 0; i < count; i++) {
        bool there = false;
        int64_t value = asked_value(options, &settings[i], &there);
        if ((settings[i].models & model_bit(model)) != 0) {
            weir_group_setting_put(options, &settings[i], there ? value : settings[i].fallback);
        }
    }
    return WEIR_OK;
}

static bool topics_equal(const weir_group_options *a, const weir_group_options *b)
{
    bool equal = a->topic_count == b->topic_count;
    for (uint32_t i = 0; i < a->topic_count && equal; i++) {
        bool found = false;
        for (uint32_t k = 0; k < b->topic_count && !found; k++) {
            found = weir_bytes_equal(a->topics[i], b->topics[k]);
        }
        equal = found;
    }
    return equal;
}

bool weir_group_options_allow(const weir_group_options *asked, const weir_group_options *is)
{
    size_t count = 0;
    const weir_group_setting *settings = weir_group_settings(&count);
    bool same =
        (asked->model == WEIR_MODEL_DEFAULT || asked->model == is->model) &&
        (asked->mode == WEIR_MODE_DEFAULT || asked->mode == is->mode) &&
        (asked->start == WEIR_PLACE_DEFAULT || asked->start == is->start) &&
        (asked->removed == WEIR_PLACE_DEFAULT || asked->removed == is->removed) &&
        (asked->dead_letter.ptr == NULL || weir_bytes_equal(asked->dead_letter, is->dead_letter)) &&
        (asked->filter.ptr == NULL || weir_bytes_equal(asked->filter, is->filter)) &&
        (asked->topic_count == 0 || topics_equal(asked, is));
    for (size_t i = 0; i < count && same; i++) {
        bool there = false;
        int64_t value = asked_value(asked, &settings[i], &there);
        same = !there || value == weir_group_setting_get(is, &settings[i]);
    }
    return same;
}

weir_err weir_group_options_merge(weir_group_options *into, const weir_group_options *change)
{
    size_t count = 0;
    const weir_group_setting *settings = weir_group_settings(&count);
    weir_mode mode = change->mode == WEIR_MODE_DEFAULT ? into->mode : change->mode;
    bool never = (change->model != WEIR_MODEL_DEFAULT && change->model != into->model) ||
                 (change->filter.ptr != NULL && !weir_bytes_equal(change->filter, into->filter)) ||
                 (change->topic_count > 0 && !topics_equal(change, into));
    weir_err err = never ? WEIR_INVALID : mode_check(into->model, mode);
    err = err == WEIR_OK ? settings_check(change, into->model) : err;
    if (err != WEIR_OK) {
        return err;
    }
    into->mode = mode;
    into->start = change->start != WEIR_PLACE_DEFAULT ? change->start : into->start;
    into->removed = change->removed != WEIR_PLACE_DEFAULT ? change->removed : into->removed;
    if (change->dead_letter.ptr != NULL) { /* an empty one: none from now on */
        into->dead_letter = change->dead_letter.len > 0 ? change->dead_letter : WEIR_BYTES_NULL;
    }
    for (size_t i = 0; i < count; i++) {
        bool there = false;
        int64_t value = asked_value(change, &settings[i], &there);
        if (there) {
            weir_group_setting_put(into, &settings[i], value);
        }
    }
    return WEIR_OK;
}

/* ---- Words ------------------------------------------------------------------------------------ */

static weir_bytes word_put(uint8_t **at, weir_bytes word)
{
    weir_bytes put = {word.ptr == NULL ? NULL : *at, word.len};
    if (word.len > 0) {
        memcpy(*at, word.ptr, word.len);
    }
    *at += word.len;
    return put;
}

weir_err weir_group_words_set(weir_group *group, weir_bytes name, const weir_group_options *options)
{
    size_t array = options->topic_count * sizeof(weir_bytes);
    size_t bytes = array + name.len + options->dead_letter.len + options->filter.len;
    for (uint32_t i = 0; i < options->topic_count; i++) {
        bytes += options->topics[i].len;
    }
    uint8_t *words = malloc(bytes + 1);
    if (words == NULL) {
        return WEIR_NO_MEMORY;
    }
    weir_bytes *topics = (weir_bytes *)(void *)words;
    uint8_t *at = words + array;
    weir_group_options kept = *options;
    weir_bytes kept_name = word_put(&at, name);
    kept.dead_letter = word_put(&at, options->dead_letter);
    kept.filter = word_put(&at, options->filter);
    for (uint32_t i = 0; i < options->topic_count; i++) {
        topics[i] = word_put(&at, options->topics[i]);
    }
    kept.topics = options->topic_count > 0 ? topics : NULL;
    free(group->words); /* what was given may have stood there until now */
    group->words = words;
    group->options = kept;
    group->name = kept_name.ptr;
    group->name_bytes = (uint32_t)kept_name.len;
    return WEIR_OK;
}

bool weir_group_reads(const weir_group *group, weir_bytes topic, bool is_queue)
{
    const weir_group_options *options = &group->options;
    if (is_queue != group->of_queue_topic) {
        return false; /* a queue topic has one group, and filters pass it by */
    }
    if (options->topic_count == 0) {
        return weir_filter_reaches(options->filter, topic);
    }
    for (uint32_t i = 0; i < options->topic_count; i++) {
        if (weir_bytes_equal(options->topics[i], topic)) {
            return true;
        }
    }
    return false;
}
