/* core/base/group.c - the words of consumer groups: names of models, modes, places, fates,
 * and the table of settings. Pure; the tables stand in include/weir/group.h. */
#include "weir/group.h"

#include "core/base/utf8.h"

#include <string.h>

/* ---- Names ------------------------------------------------------------------------------------ */

static const char *const MODELS[] = {"default", "stream", "queue"};
static const char *const MODES[] = {"default", "at-most-once", "at-least-once", "exactly-once",
                                    "client-commit"};
static const char *const PLACES[] = {"default", "beginning", "end", "error"};
static const char *const OVERFLOWS[] = {"default", "refuse", "drop-oldest", "dead-letter"};
#define FATE_NAME(name, wire, text) wire,
static const char *const FATES[] = {"pending", WEIR_FATE_LIST(FATE_NAME)};
#undef FATE_NAME
#define STANDING_NAME(name, wire, text) wire,
static const char *const STANDINGS[] = {"none", WEIR_STANDING_LIST(STANDING_NAME)};
#undef STANDING_NAME

enum {
    MODEL_COUNT = sizeof(MODELS) / sizeof(MODELS[0]),
    MODE_COUNT = sizeof(MODES) / sizeof(MODES[0]),
    OVERFLOW_COUNT = sizeof(OVERFLOWS) / sizeof(OVERFLOWS[0]),
    PLACE_COUNT = sizeof(PLACES) / sizeof(PLACES[0]),
};

static const char *name_of(const char *const *names, unsigned count, unsigned value)
{
    return value < count ? names[value] : "unknown";
}

/* INVALID: it is none of them, from `least` on. */
static weir_err parse(const char *const *names, unsigned least, unsigned count, weir_bytes text,
                      unsigned *value)
{
    for (unsigned i = least; i < count; i++) {
        if (text.len == strlen(names[i]) && memcmp(text.ptr, names[i], text.len) == 0) {
            *value = i;
            return WEIR_OK;
        }
    }
    return WEIR_INVALID;
}

const char *weir_model_name(weir_model model)
{
    return name_of(MODELS, MODEL_COUNT, (unsigned)model);
}

weir_err weir_model_parse(weir_bytes text, weir_model *model)
{
    unsigned value = 0;
    weir_err err = parse(MODELS, 1, MODEL_COUNT, text, &value);
    *model = err == WEIR_OK ? (weir_model)value : *model;
    return err;
}

const char *weir_mode_name(weir_mode mode)
{
    return name_of(MODES, MODE_COUNT, (unsigned)mode);
}

weir_err weir_mode_parse(weir_bytes text, weir_mode *mode)
{
    unsigned value = 0;
    weir_err err = parse(MODES, 1, MODE_COUNT, text, &value);
    *mode = err == WEIR_OK ? (weir_mode)value : *mode;
    return err;
}

const char *weir_group_place_name(weir_group_place place)
{
    return name_of(PLACES, PLACE_COUNT, (unsigned)place);
}

weir_err weir_group_place_parse(weir_bytes text, weir_group_place *place)
{
    unsigned value = 0;
    weir_err err = parse(PLACES, 1, PLACE_COUNT, text, &value);
    *place = err == WEIR_OK ? (weir_group_place)value : *place;
    return err;
}

const char *weir_fate_name(weir_fate fate)
{
    return name_of(FATES, WEIR_FATE_COUNT, (unsigned)fate);
}

weir_err weir_fate_parse(weir_bytes text, weir_fate *fate)
{
    unsigned value = 0;
    weir_err err = parse(FATES, 0, WEIR_FATE_COUNT, text, &value);
    *fate = err == WEIR_OK ? (weir_fate)value : *fate;
    return err;
}

const char *weir_standing_name(weir_standing_kind kind)
{
    return name_of(STANDINGS, WEIR_STANDING_COUNT, (unsigned)kind);
}

weir_err weir_standing_parse(weir_bytes text, weir_standing_kind *kind)
{
    unsigned value = 0;
    weir_err err = parse(STANDINGS, 1, WEIR_STANDING_COUNT, text, &value);
    *kind = err == WEIR_OK ? (weir_standing_kind)value : *kind;
    return err;
}

weir_err weir_group_name_check(weir_bytes name)
{
    if (name.len == 0 || name.len > WEIR_GROUP_BYTES_MAX || name.ptr[0] == '$' ||
        !weir_utf8_valid_name(name)) {
        return WEIR_NAME_INVALID;
    }
    for (size_t i = 0; i < name.len; i++) {
        if (name.ptr[i] == '+' || name.ptr[i] == '#' || name.ptr[i] == '/') {
            return WEIR_NAME_INVALID;
        }
    }
    return WEIR_OK;
}

/* ---- Settings --------------------------------------------------------------------------------- */

#define SETTING_ROW(field, tag, models, value, endless, least, most, unit, help)                   \
    {#field,  (tag),  (models), (value), (endless) != 0,                                           \
     (least), (most), (unit),   (help),  offsetof(weir_group_options, field)},
static const weir_group_setting SETTINGS[] = {WEIR_GROUP_SETTINGS_LIST(SETTING_ROW)};
#undef SETTING_ROW

const weir_group_setting *weir_group_settings(size_t *count)
{
    *count = sizeof(SETTINGS) / sizeof(SETTINGS[0]);
    return SETTINGS;
}

int64_t weir_group_setting_get(const weir_group_options *options, const weir_group_setting *setting)
{
    int64_t value = 0;
    memcpy(&value, (const uint8_t *)options + setting->at, sizeof(value));
    return value;
}

void weir_group_setting_put(weir_group_options *options, const weir_group_setting *setting,
                            int64_t value)
{
    memcpy((uint8_t *)options + setting->at, &value, sizeof(value));
}

bool weir_group_setting_fits(const weir_group_setting *setting, int64_t value)
{
    return value == 0 || (setting->endless && value == -1) ||
           (value >= setting->least && value <= setting->most);
}

/* The one setting that is told in words. */
static bool has_words(const weir_group_setting *setting)
{
    return setting->at == offsetof(weir_group_options, overflow);
}

const char *weir_group_setting_word(const weir_group_setting *setting, int64_t value)
{
    bool known = has_words(setting) && value > 0 && value < OVERFLOW_COUNT;
    return known ? OVERFLOWS[value] : NULL;
}

weir_err weir_group_setting_parse(const weir_group_setting *setting, weir_bytes text,
                                  int64_t *value)
{
    unsigned found = 0;
    weir_err err =
        has_words(setting) ? parse(OVERFLOWS, 1, OVERFLOW_COUNT, text, &found) : WEIR_INVALID;
    *value = err == WEIR_OK ? (int64_t)found : *value;
    return err;
}
