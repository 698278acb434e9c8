/* core/base/err.c - the words of include/weir/base.h: names, sentences and classes of errors, the
 * names of levels, the version, and spans of bytes.
 *
 * Everything comes from WEIR_ERR_LIST or from one table here, so a code cannot exist without its
 * name. A value outside the lists gets a name that says so; nothing here fails otherwise. */
#include "weir/base.h"

#include <string.h>

typedef struct err_entry {
    const char *name;
    const char *text;
    weir_err_class class;
} err_entry;

static const err_entry ERRORS[WEIR_ERR_COUNT] = {
#define ERR_ENTRY(code, wire, class, text) [WEIR_##code] = {wire, text, WEIR_CLASS_##class},
    WEIR_ERR_LIST(ERR_ENTRY)
#undef ERR_ENTRY
};

static const char *const LEVELS[WEIR_LEVEL_COUNT] = {
    [WEIR_LEVEL_DEFAULT] = "default",
    [WEIR_LEVEL_MEMORY] = "memory",
    [WEIR_LEVEL_OS] = "os",
    [WEIR_LEVEL_DISK] = "disk",
    [WEIR_LEVEL_REPLICATED] = "replicated",
};

static const err_entry *err_find(weir_err err)
{
    static const err_entry UNKNOWN = {"unknown", "A code this version does not know.",
                                      WEIR_CLASS_STORAGE};
    return (unsigned)err < WEIR_ERR_COUNT ? &ERRORS[err] : &UNKNOWN;
}

const char *weir_err_name(weir_err err)
{
    return err_find(err)->name;
}

const char *weir_err_text(weir_err err)
{
    return err_find(err)->text;
}

weir_err_class weir_err_class_of(weir_err err)
{
    return err_find(err)->class;
}

const char *weir_version(void)
{
    return WEIR_VERSION_TEXT;
}

weir_bytes weir_bytes_of(const char *text)
{
    return text == NULL ? WEIR_BYTES_NULL : (weir_bytes){(const uint8_t *)text, strlen(text)};
}

bool weir_bytes_equal(weir_bytes a, weir_bytes b)
{
    if (a.ptr == NULL || b.ptr == NULL) {
        return a.ptr == b.ptr;
    }
    return a.len == b.len && memcmp(a.ptr, b.ptr, a.len) == 0;
}

const char *weir_level_name(weir_level level)
{
    return (unsigned)level < WEIR_LEVEL_COUNT ? LEVELS[level] : "unknown";
}

weir_err weir_level_parse(weir_bytes text, weir_level *level)
{
    for (int i = 0; i < WEIR_LEVEL_COUNT; i++) {
        if (weir_bytes_equal(text, weir_bytes_of(LEVELS[i]))) {
            *level = (weir_level)i;
            return WEIR_OK;
        }
    }
    return WEIR_INVALID;
}
