/* core/base/topic.c - the options of a topic as a table: names, bounds, defaults, and the words of
 * `cleanup`.
 *
 * Everything comes from WEIR_TOPIC_SETTINGS_LIST, so that what weir.yaml, the command line, weir.v1
 * and the journal know is the same. A value of 0 stands for the default wherever it is kept, so
 * that a topic that was told nothing follows the program. */
#include "weir/topic.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const weir_topic_setting SETTINGS[] = {
#define SETTING_ROW(field, tag, value, endless, least, most, unit, help)                           \
    {#field, tag, value, endless, least, most, unit, help, offsetof(weir_topic_options, field)},
    WEIR_TOPIC_SETTINGS_LIST(SETTING_ROW)
#undef SETTING_ROW
};

const weir_topic_setting *weir_topic_settings(size_t *count)
{
    *count = sizeof(SETTINGS) / sizeof(SETTINGS[0]);
    return SETTINGS;
}

int64_t weir_topic_setting_get(const weir_topic_options *options, const weir_topic_setting *setting)
{
    int64_t value;
    memcpy(&value, (const uint8_t *)options + setting->at, sizeof(value));
    return value;
}

void weir_topic_setting_put(weir_topic_options *options, const weir_topic_setting *setting,
                            int64_t value)
{
    memcpy((uint8_t *)options + setting->at, &value, sizeof(value));
}

bool weir_topic_setting_fits(const weir_topic_setting *setting, int64_t value)
{
    if (value == 0 || (value == WEIR_UNLIMITED && setting->endless)) {
        return true;
    }
    return value >= setting->least && value <= setting->most;
}

int64_t weir_topic_setting_kept(const weir_topic_setting *setting, int64_t value)
{
    return value == 0 && setting->least == 1 ? 1 : value;
}

static const char *const UNSETTLED[] = {"default", "expire", "keep"};

const char *weir_topic_setting_word(const weir_topic_setting *setting, int64_t value)
{
    bool words = setting->at == offsetof(weir_topic_options, retention_unsettled);
    return words && (value == WEIR_UNSETTLED_EXPIRE || value == WEIR_UNSETTLED_KEEP)
               ? UNSETTLED[value]
               : NULL;
}

/* INVALID: it is none of the setting's words. */
static weir_err word_parse(const weir_topic_setting *setting, const char *text, int64_t *value)
{
    for (int64_t i = setting->least; i <= setting->most; i++) {
        if (strcmp(text, weir_topic_setting_word(setting, i)) == 0) {
            *value = i;
            return WEIR_OK;
        }
    }
    return WEIR_INVALID;
}

weir_err weir_topic_setting_parse(const weir_topic_setting *setting, const char *text,
                                  int64_t *value)
{
    char *end = NULL;
    if (weir_topic_setting_word(setting, setting->least) != NULL) {
        return word_parse(setting, text, value);
    }
    if (setting->endless && (strcmp(text, "unlimited") == 0 || strcmp(text, "-1") == 0)) {
        *value = WEIR_UNLIMITED;
        return WEIR_OK;
    }
    if (text[0] < '0' || text[0] > '9') {
        return WEIR_INVALID;
    }
    errno = 0;
    long long number = strtoll(text, &end, 10);
    if (errno != 0 || *end != '\0' || !weir_topic_setting_fits(setting, number)) {
        return WEIR_INVALID;
    }
    *value = weir_topic_setting_kept(setting, number);
    return WEIR_OK;
}

void weir_topic_setting_bounds(const weir_topic_setting *setting, char text[WEIR_TOPIC_BOUNDS_MAX])
{
    int64_t least = setting->least == 1 ? 0 : setting->least;
    if (weir_topic_setting_word(setting, setting->least) != NULL) {
        (void)snprintf(text, WEIR_TOPIC_BOUNDS_MAX, "expire or keep");
        return;
    }
    (void)snprintf(text, WEIR_TOPIC_BOUNDS_MAX, "%lld to %lld %s%s", (long long)least,
                   (long long)setting->most, setting->unit,
                   setting->endless ? ", or unlimited (-1)" : "");
}

static const char *const CLEANUPS[] = {
    [WEIR_CLEANUP_DEFAULT] = "default",
    [WEIR_CLEANUP_DELETE] = "delete",
    [WEIR_CLEANUP_COMPACT] = "compact",
    [WEIR_CLEANUP_COMPACT_DELETE] = "compact,delete",
};

static const char *const KINDS[] = {
    [WEIR_KIND_DEFAULT] = "default",
    [WEIR_KIND_LOG] = "log",
    [WEIR_KIND_QUEUE] = "queue",
};

const char *weir_topic_kind_name(weir_topic_kind kind)
{
    return (unsigned)kind < sizeof(KINDS) / sizeof(KINDS[0]) ? KINDS[kind] : "unknown";
}

weir_err weir_topic_kind_parse(weir_bytes text, weir_topic_kind *kind)
{
    for (unsigned i = WEIR_KIND_LOG; i <= WEIR_KIND_QUEUE; i++) {
        if (weir_bytes_equal(text, weir_bytes_of(KINDS[i]))) {
            *kind = (weir_topic_kind)i;
            return WEIR_OK;
        }
    }
    return WEIR_INVALID;
}

const char *weir_cleanup_name(weir_cleanup cleanup)
{
    return (unsigned)cleanup < sizeof(CLEANUPS) / sizeof(CLEANUPS[0]) ? CLEANUPS[cleanup]
                                                                      : "unknown";
}

weir_err weir_cleanup_parse(weir_bytes text, weir_cleanup *cleanup)
{
    if (weir_bytes_equal(text, WEIR_TEXT("delete,compact"))) {
        *cleanup = WEIR_CLEANUP_COMPACT_DELETE;
        return WEIR_OK;
    }
    for (unsigned i = WEIR_CLEANUP_DELETE; i <= WEIR_CLEANUP_COMPACT_DELETE; i++) {
        if (weir_bytes_equal(text, weir_bytes_of(CLEANUPS[i]))) {
            *cleanup = (weir_cleanup)i;
            return WEIR_OK;
        }
    }
    return WEIR_INVALID;
}
