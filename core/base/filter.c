/* core/base/filter.c - what is a legal topic name or filter, and whether the one matches the other.
 *
 *   filter   site / + / temperature / #        levels between slashes; a level may be empty
 *
 * The rules are MQTT 5.0 section 4.7: + stands for one level, also an empty one; # is last and
 * stands for its parent and everything below; neither stands for a first level that begins with $.
 * Everything here walks two spans once, allocates nothing and changes nothing. The functions that
 * compare expect spans that passed their check; on others the answer is some boolean, never a
 * fault.
 *
 * [F1] The trie's answer is this file's: weir_filter_matches decides what a match is. */
#include "core/base/trie.h"

#include "core/base/utf8.h"

#include <string.h>

/* The level that begins at `start`; the next one, if any, begins at start + len + 1. */
static weir_bytes level_at(weir_bytes text, size_t start)
{
    const uint8_t *first = text.ptr + start;
    size_t rest = text.len - start;
    const uint8_t *slash = rest == 0 ? NULL : memchr(first, '/', rest);
    return (weir_bytes){first, slash == NULL ? rest : (size_t)(slash - first)};
}

static bool level_is(weir_bytes level, char wildcard)
{
    return level.len == 1 && level.ptr[0] == (uint8_t)wildcard;
}

static bool level_has_wildcard(weir_bytes level)
{
    return level.len > 0 &&
           (memchr(level.ptr, '+', level.len) != NULL || memchr(level.ptr, '#', level.len) != NULL);
}

static bool text_is_legal(weir_bytes text)
{
    return text.ptr != NULL && text.len >= 1 && text.len <= WEIR_FILTER_BYTES_MAX &&
           weir_utf8_valid_name(text);
}

weir_err weir_filter_check(weir_bytes filter)
{
    if (!text_is_legal(filter)) {
        return WEIR_NAME_INVALID;
    }
    size_t count = 0;
    for (size_t start = 0; start <= filter.len;) {
        weir_bytes level = level_at(filter, start);
        start += level.len + 1;
        bool last = start > filter.len;
        bool wildcard = level_is(level, '+') || (level_is(level, '#') && last);
        if (++count > WEIR_LEVELS_MAX || (!wildcard && level_has_wildcard(level))) {
            return WEIR_NAME_INVALID;
        }
    }
    return WEIR_OK;
}

weir_err weir_name_check(weir_bytes name)
{
    if (!text_is_legal(name) || weir_filter_has_wildcard(name)) {
        return WEIR_NAME_INVALID;
    }
    size_t count = 1;
    for (size_t i = 0; i < name.len; i++) {
        count += name.ptr[i] == '/';
    }
    return count <= WEIR_LEVELS_MAX ? WEIR_OK : WEIR_NAME_INVALID;
}

bool weir_filter_has_wildcard(weir_bytes filter)
{
    return level_has_wildcard(filter);
}

static bool starts_with_dollar(weir_bytes name)
{
    return name.len > 0 && name.ptr[0] == '$';
}

/* How far filter and name agree, level by level. */
typedef struct agreement {
    bool differ;        /* a level of one does not fit that of the other */
    bool below;         /* # was met: everything from here on fits */
    bool filter_ended;  /* no level of the filter is left */
    bool name_ended;    /* no level of the name is left */
    size_t filter_rest; /* where the filter's next level begins, unless it ended */
} agreement;

static agreement agree(weir_bytes filter, weir_bytes name)
{
    agreement result = {0};
    size_t in_filter = 0, in_name = 0;
    while (in_filter <= filter.len && in_name <= name.len) {
        weir_bytes wanted = level_at(filter, in_filter), found = level_at(name, in_name);
        bool hidden = in_name == 0 && starts_with_dollar(name);
        if (level_is(wanted, '#')) {
            result.below = !hidden;
            result.differ = hidden;
            return result;
        }
        bool fits = level_is(wanted, '+') ? !hidden : weir_bytes_equal(wanted, found);
        if (!fits) {
            result.differ = true;
            return result;
        }
        in_filter += wanted.len + 1;
        in_name += found.len + 1;
    }
    result.filter_ended = in_filter > filter.len;
    result.name_ended = in_name > name.len;
    result.filter_rest = in_filter;
    return result;
}

bool weir_filter_matches(weir_bytes filter, weir_bytes name)
{
    if (filter.ptr == NULL || name.ptr == NULL) {
        return false;
    }
    agreement result = agree(filter, name);
    if (result.below || result.differ) {
        return result.below;
    }
    if (!result.name_ended) {
        return false;
    }
    return result.filter_ended || level_is(level_at(filter, result.filter_rest), '#');
}

bool weir_filter_reaches(weir_bytes filter, weir_bytes prefix)
{
    if (filter.ptr == NULL || prefix.ptr == NULL) {
        return false;
    }
    agreement result = agree(filter, prefix);
    return result.below || (!result.differ && result.name_ended);
}
