/* programs/keys.c - the table of keys as rows, and how the text of a value is read.
 *
 * One reader serves weir.yaml and --set, so a value is right or wrong in both. Failures are
 * sentences that name the key, what was given, and what would be right.
 *
 * [K1] Keys of one section are neighbours in the table: the YAML schema maps a section onto a
 * slice. */
#include "programs/keys.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define OWN_ROW(id, section, key, type, value, least, most, unit, help)                            \
    [WEIR_KEY_##id] = {section,                                                                    \
                       key,                                                                        \
                       sizeof(section) > 1 ? section "." key : key,                                \
                       WEIR_KEY_##type,                                                            \
                       value,                                                                      \
                       least,                                                                      \
                       most,                                                                       \
                       unit,                                                                       \
                       help},
#define LIMIT_ROW(name, value, unit, least, most, metric, meaning, mqtt, weir1)                    \
    [WEIR_KEY_limits_##name] = {"limits", #name, "limits." #name, WEIR_KEY_UINT, #value, least,    \
                                most,     unit,  meaning},

static const weir_key_row rows[WEIR_KEY_COUNT] = {WEIR_KEYS_OWN_LIST(OWN_ROW)
                                                      WEIR_LIMITS_LIST(LIMIT_ROW)};

const weir_key_row *weir_key_row_of(weir_key key)
{
    return &rows[key];
}

bool weir_key_find(const char *name, weir_key *key)
{
    for (size_t i = 0; i < WEIR_KEY_COUNT; i++) {
        if (strcmp(rows[i].name, name) == 0) {
            *key = (weir_key)i;
            return true;
        }
    }
    return false;
}

bool weir_key_section_exists(const char *section)
{
    for (size_t i = 0; i < WEIR_KEY_COUNT; i++) {
        if (strcmp(rows[i].section, section) == 0) {
            return true;
        }
    }
    return false;
}

static unsigned least_of(unsigned a, unsigned b, unsigned c)
{
    unsigned ab = a < b ? a : b;
    return ab < c ? ab : c;
}

unsigned weir_word_distance(const char *a, const char *b)
{
    enum { WORD_MAX = 64 };
    unsigned row[WORD_MAX + 1];
    size_t a_len = strlen(a);
    size_t b_len = strlen(b);
#ifndef WEIR_PLANT_CONFIG /* left out, it is the bug that the fuzzer is tested by */
    if (a_len > WORD_MAX || b_len > WORD_MAX) {
        return WORD_MAX;
    }
#endif
    for (size_t j = 0; j <= b_len; j++) {
        row[j] = (unsigned)j;
    }
    for (size_t i = 1; i <= a_len; i++) {
        unsigned diagonal = row[0];
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= b_len; j++) {
            unsigned above = row[j];
            row[j] = least_of(above + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1]));
            diagonal = above;
        }
    }
    return row[b_len];
}

static void nearer(const char *name, const char *candidate, unsigned *best, const char **near)
{
    unsigned distance = weir_word_distance(candidate, name);
    if (distance < *best) {
        *best = distance;
        *near = candidate;
    }
}

const char *weir_key_near(const char *name)
{
    const char *near = NULL;
    size_t len = strlen(name);
    unsigned best = len < 6 ? 2 : 4; /* further away it is another word */
    for (size_t i = 0; i < WEIR_KEY_COUNT; i++) {
        nearer(name, rows[i].name, &best, &near);
        if (rows[i].section[0] != '\0') {
            nearer(name, rows[i].section, &best, &near);
        }
    }
    return near;
}

static weir_err wrong(const weir_key_row *row, const char *text, const char *right,
                      char sentence[WEIR_KEY_SENTENCE_MAX])
{
    snprintf(sentence, WEIR_KEY_SENTENCE_MAX, "%s: \"%.64s\" is not %s", row->name, text, right);
    return WEIR_INVALID;
}

static weir_err uint_read(const weir_key_row *row, const char *text, uint64_t *number,
                          char sentence[WEIR_KEY_SENTENCE_MAX])
{
    char right[WEIR_KEY_SENTENCE_MAX / 2];
    char *end = NULL;
    uint64_t value;
    snprintf(right, sizeof(right), "a number from %" PRIu64 " to %" PRIu64 "%s%s", row->least,
             row->most, row->unit[0] != '\0' ? " " : "", row->unit);
    if (text[0] < '0' || text[0] > '9') {
        return wrong(row, text, right, sentence);
    }
    errno = 0;
    value = strtoull(text, &end, 10);
    if (errno != 0 || *end != '\0' || value < row->least || value > row->most) {
        return wrong(row, text, right, sentence);
    }
    *number = value;
    return WEIR_OK;
}

static weir_err bool_read(const weir_key_row *row, const char *text, uint64_t *number,
                          char sentence[WEIR_KEY_SENTENCE_MAX])
{
    static const char *const words[] = {"false", "true", "no", "yes", "off", "on", "0", "1"};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (strcasecmp(text, words[i]) == 0) {
            *number = i % 2;
            return WEIR_OK;
        }
    }
    return wrong(row, text, "true or false", sentence);
}

static weir_err text_read(const weir_key_row *row, const char *text,
                          char sentence[WEIR_KEY_SENTENCE_MAX])
{
    if (strlen(text) < row->least) {
        return wrong(row, text, "a text: leave the key out instead", sentence);
    }
    for (const char *at = text; *at != '\0'; at++) {
        if ((unsigned char)*at < 0x20 || *at == 0x7f) {
            return wrong(row, "...", "free of control characters", sentence);
        }
    }
    return WEIR_OK;
}

static weir_err level_read(const weir_key_row *row, const char *text, uint64_t *number,
                           char sentence[WEIR_KEY_SENTENCE_MAX])
{
    weir_level level;
    if (weir_level_parse(weir_bytes_of(text), &level) != WEIR_OK || level == WEIR_LEVEL_DEFAULT) {
        return wrong(row, text, "memory, os or disk", sentence);
    }
    if (level == WEIR_LEVEL_REPLICATED) {
        snprintf(sentence, WEIR_KEY_SENTENCE_MAX,
                 "%s: no backend offers \"replicated\" yet; say memory, os or disk", row->name);
        return WEIR_INVALID;
    }
    *number = level;
    return WEIR_OK;
}

static weir_err sync_read(const weir_key_row *row, const char *text, uint64_t *number,
                          char sentence[WEIR_KEY_SENTENCE_MAX])
{
    static const char *const words[] = {"auto", "inline", "thread"}; /* weir_sync_mode's order */
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (strcmp(text, words[i]) == 0) {
            *number = i;
            return WEIR_OK;
        }
    }
    return wrong(row, text, "auto, inline or thread", sentence);
}

static weir_err io_read(const weir_key_row *row, const char *text, uint64_t *number,
                        char sentence[WEIR_KEY_SENTENCE_MAX])
{
    *number = 0;
    return strcmp(text, "posix") == 0 ? WEIR_OK : wrong(row, text, "posix", sentence);
}

weir_err weir_key_read(const weir_key_row *row, const char *text, uint64_t *number,
                       char sentence[WEIR_KEY_SENTENCE_MAX])
{
    uint64_t value = 0;
    weir_err err = WEIR_INVALID;
    switch (row->type) {
    case WEIR_KEY_UINT:
        err = uint_read(row, text, &value, sentence);
        break;
    case WEIR_KEY_BOOL:
        err = bool_read(row, text, &value, sentence);
        break;
    case WEIR_KEY_TEXT:
        err = text_read(row, text, sentence);
        break;
    case WEIR_KEY_LEVEL:
        err = level_read(row, text, &value, sentence);
        break;
    case WEIR_KEY_SYNC:
        err = sync_read(row, text, &value, sentence);
        break;
    case WEIR_KEY_IO:
        err = io_read(row, text, &value, sentence);
        break;
    }
    if (err == WEIR_OK) {
        *number = value;
    }
    return err;
}
