/* adapters/proto/weir1/session_group_why.c - what the errors of group create and alter mean: each cause
 * has a sentence of its own that says what to do.
 *
 *     what is asked --> | invalid: the first cause that it has | not_found: the topics that it names |
 *
 * The engine answers with a class alone, and a session sees what is asked and not what is there. Of a
 * group that is made the causes are told in the order in which the engine looks; of one that is altered
 * a sentence holds for whatever the group is. Happy path: the operation succeeds, and nothing of this is
 * said. Failure: without memory the error's own sentence is. */
#include "adapters/proto/weir1/session_private.h"

#include "core/base/letters.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_TOLD_MAX = WEIR_TOPIC_BYTES_MAX, NAMES_TOLD_MAX = 200 };

static void tell(char text[WEIR_V1_WHY_MAX], const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void tell(char text[WEIR_V1_WHY_MAX], const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, WEIR_V1_WHY_MAX, format, arguments);
    va_end(arguments);
}

static int width(weir_bytes name)
{
    return name.len > NAME_TOLD_MAX ? NAME_TOLD_MAX : (int)name.len;
}

static const char *chars(weir_bytes name)
{
    return name.ptr == NULL ? "" : (const char *)name.ptr;
}

/* ---- INVALID ---------------------------------------------------------------------------------- */

/* The first setting of queues that is asked for; NULL: there is none. */
static const char *queue_setting(const weir_group_options *options)
{
    size_t count;
    const weir_group_setting *rows = weir_group_settings(&count);
    for (size_t i = 0; i < count; i++) {
        if (rows[i].models == 2 && weir_group_setting_get(options, &rows[i]) != 0) {
            return rows[i].name;
        }
    }
    return NULL;
}

/* A topic that is named twice; null: each is once. */
static weir_bytes topic_twice(const weir_group_options *options)
{
    for (uint32_t i = 0; i < options->topic_count; i++) {
        for (uint32_t k = 0; k < i; k++) {
            if (weir_bytes_equal(options->topics[i], options->topics[k])) {
                return options->topics[i];
            }
        }
    }
    return WEIR_BYTES_NULL;
}

static bool has_limits(const weir_group_options *options)
{
    return options->max_records > 0 || options->max_bytes > 0;
}

static bool to_letters(const weir_group_options *options)
{
    return options->overflow == WEIR_OVERFLOW_DEAD_LETTER;
}

static bool refuses(const weir_group_options *options)
{
    return !to_letters(options) && options->overflow != WEIR_OVERFLOW_DROP_OLDEST;
}

/* Model, mode and what it reads. False: they can be. */
static bool create_kind(const weir_group_options *options, char text[WEIR_V1_WHY_MAX])
{
    bool queue = options->model == WEIR_MODEL_QUEUE;
    const char *setting = queue_setting(options);
    weir_bytes twice = topic_twice(options);
    if (queue && options->mode == WEIR_MODE_CLIENT_COMMIT) {
        tell(text,
             "Mode client-commit is for stream groups: give a queue group mode at-least-once or "
             "at-most-once, or make a stream group.");
    } else if (!queue && setting != NULL) {
        tell(text,
             "%s is a setting of queue groups, and this is a stream group: add model queue, or "
             "leave %s out.",
             setting, setting);
    } else if (options->topic_count == 0 && options->filter.ptr == NULL) {
        tell(text, "Say what the group reads: give topics, topic or filter.");
    } else if (twice.ptr != NULL) {
        tell(text, "The topic \"%.*s\" is named twice: name each topic once.", width(twice),
             chars(twice));
    } else {
        return false;
    }
    return true;
}

static void create_invalid(const weir_group_options *options, char text[WEIR_V1_WHY_MAX])
{
    if (create_kind(options, text)) {
        return;
    }
    if (to_letters(options) && options->dead_letter.len == 0) {
        tell(text,
             "Overflow dead-letter needs a dead-letter topic: give dead_letter, a declared topic "
             "that takes what is too much, or choose overflow drop-oldest.");
    } else if (has_limits(options) && options->topic_count == 0) {
        tell(text,
             "A group over a filter has no max_records and no max_bytes: name topics instead, "
             "or leave the limits out.");
    } else if (has_limits(options) && refuses(options)) {
        tell(text,
             "A group over a log topic refuses no publish: with max_records or max_bytes choose "
             "overflow drop-oldest, or dead-letter with dead_letter. Only queue topics refuse.");
    } else if (weir_letters_return(options)) {
        tell(text, "%s", WEIR_LETTERS_RETURN_TEXT);
    } else if (options->topic_count == 0) {
        tell(text,
             "All that the filter matches is a queue's, which has one group, named like it (join "
             "that one), or the gateway's own: give a filter that matches topics of kind log.");
    } else {
        tell(text,
             "A topic that it names is a queue, which has one group, named like it (join that "
             "one), or is the gateway's own: name topics of kind log.");
    }
}

/* What would hold whatever the group is. */
static void alter_invalid(weir_bytes name, const weir_group_options *change,
                          char text[WEIR_V1_WHY_MAX])
{
    weir_group_options of_queue = *change; /* the group of a queue topic is named like it */
    const char *setting = queue_setting(change);
    of_queue.topics = &name;
    of_queue.topic_count = 1;
    if (change->model != WEIR_MODEL_DEFAULT || change->topic_count > 0 ||
        change->filter.ptr != NULL) {
        tell(text,
             "What a group reads and its model never change: leave model, topics and filter out, "
             "or make another group.");
    } else if (change->mode == WEIR_MODE_CLIENT_COMMIT && setting == NULL) {
        tell(text, "Mode client-commit is for stream groups, and this is a queue group: choose "
                   "at-least-once or at-most-once.");
    } else if (to_letters(change) && change->dead_letter.len == 0) {
        tell(text, "Overflow dead-letter is for queue groups, and needs a dead-letter topic: give "
                   "dead_letter, a declared topic, together with it.");
    } else if (change->dead_letter.ptr != NULL && change->dead_letter.len == 0) {
        tell(text,
             "Overflow dead-letter needs the dead-letter topic: choose another overflow, then "
             "take dead_letter away.");
    } else if (weir_letters_return(&of_queue)) {
        tell(text, "%s", WEIR_LETTERS_RETURN_TEXT);
    } else if (has_limits(change) && refuses(change)) {
        tell(text,
             "max_records and max_bytes are for queue groups over topics; one over a log topic "
             "refuses no publish: give overflow drop-oldest, or dead-letter with dead_letter.");
    } else if (change->overflow == WEIR_OVERFLOW_REFUSE) {
        tell(text, "Overflow refuse is for queue topics: a group over a log topic with limits has "
                   "drop-oldest or dead-letter.");
    } else if (setting != NULL) {
        tell(text, "%s is a setting of queue groups, and this is a stream group: leave %s out.",
             setting, setting);
    } else {
        tell(text,
             "dead_letter names a topic that this group itself reads, or one of the gateway's "
             "own: name another topic.");
    }
}

/* ---- NOT_FOUND -------------------------------------------------------------------------------- */

/* `"t", "u" and dead_letter "d"`; where that is long, how many topics there are. */
static void names_put(char names[NAMES_TOLD_MAX], const weir_group_options *options)
{
    size_t len = 0;
    names[0] = '\0';
    for (uint32_t i = 0; i < options->topic_count && len < NAMES_TOLD_MAX; i++) {
        len += (size_t)snprintf(names + len, NAMES_TOLD_MAX - len, "%s\"%.*s\"", i > 0 ? ", " : "",
                                width(options->topics[i]), chars(options->topics[i]));
    }
    if (options->dead_letter.len > 0 && len < NAMES_TOLD_MAX) {
        len += (size_t)snprintf(names + len, NAMES_TOLD_MAX - len, "%sdead_letter \"%.*s\"",
                                options->topic_count > 0 ? " and " : "",
                                width(options->dead_letter), chars(options->dead_letter));
    }
    if (len >= NAMES_TOLD_MAX) {
        snprintf(names, NAMES_TOLD_MAX, "those that it names (%u and dead_letter)",
                 options->topic_count);
    }
}

static void create_not_found(const weir_group_options *options, char text[WEIR_V1_WHY_MAX])
{
    char names[NAMES_TOLD_MAX];
    bool letters = options->dead_letter.len > 0;
    if (options->topic_count + (letters ? 1 : 0) != 1) {
        names_put(names, options);
        tell(text, "Not all of these topics are declared: %s. Create each with the command topic.",
             names);
        return;
    }
    weir_bytes topic = letters ? options->dead_letter : options->topics[0];
    tell(text, "No topic \"%.*s\" is declared%s: create it with the command topic.", width(topic),
         chars(topic), letters ? ", which dead_letter names" : "");
}

static void alter_not_found(weir_bytes name, const weir_group_options *change,
                            char text[WEIR_V1_WHY_MAX])
{
    weir_bytes topic = change->dead_letter;
    if (topic.len > 0 && width(name) + width(topic) < NAMES_TOLD_MAX) {
        tell(
            text,
            "No group \"%.*s\" is there (group create makes it), or no topic \"%.*s\" is declared, "
            "which dead_letter names (the command topic creates it).",
            width(name), chars(name), width(topic), chars(topic));
    } else if (topic.len > 0) {
        tell(text, "No such group is there (group create makes it), or the topic that dead_letter "
                   "names is not declared (the command topic creates it).");
    } else {
        tell(text, "No group \"%.*s\" is there: group create makes it.", width(name), chars(name));
    }
}

/* ---- EXISTS ----------------------------------------------------------------------------------- */

typedef struct differing {
    char *text; /* of WEIR_V1_WHY_MAX bytes */
    size_t len;
    bool fixed; /* one of them never changes */
} differing;

static void differ(differing *all, const char *name, const char *is, const char *asked, bool fixed)
{
    size_t room = WEIR_V1_WHY_MAX - all->len;
    int len = snprintf(all->text + all->len, room, "%s its %s is %s, not %s",
                       all->len == 0 ? "The group is there, and" : ";", name, is, asked);
    all->len += len < 0 ? 0 : (size_t)len < room ? (size_t)len : room - 1;
    all->fixed |= fixed;
}

static const char *value_text(const weir_group_setting *row, int64_t value, char number[24])
{
    const char *word = weir_group_setting_word(row, value);
    if (word != NULL) {
        return word;
    }
    if (row->least == 1 && row->most == 2) {
        return value == 1 ? "true" : "false";
    }
    snprintf(number, 24, "%lld", (long long)value);
    return number;
}

static void settings_differ(differing *all, const weir_group_options *asked,
                            const weir_group_options *is)
{
    size_t count;
    const weir_group_setting *rows = weir_group_settings(&count);
    for (size_t i = 0; i < count; i++) {
        int64_t wanted = weir_group_setting_get(asked, &rows[i]);
        int64_t there = weir_group_setting_get(is, &rows[i]);
        char numbers[2][24];
        if (wanted != 0 && wanted != there) {
            differ(all, rows[i].name, value_text(&rows[i], there, numbers[0]),
                   value_text(&rows[i], wanted, numbers[1]), false);
        }
    }
}

static void words_differ(differing *all, const weir_v1_group_why *why, const weir_group_options *is)
{
    const weir_group_options *asked = &why->asked;
    if (asked->model != WEIR_MODEL_DEFAULT && asked->model != is->model) {
        differ(all, "model", weir_model_name(is->model), weir_model_name(asked->model), true);
    }
    if (asked->start != WEIR_PLACE_DEFAULT && asked->start != is->start) {
        differ(all, "start", weir_group_place_name(is->start), weir_group_place_name(asked->start),
               true);
    }
    if (asked->mode != WEIR_MODE_DEFAULT && asked->mode != is->mode) {
        differ(all, "mode", weir_mode_name(is->mode), weir_mode_name(asked->mode), false);
    }
    if (asked->removed != WEIR_PLACE_DEFAULT && asked->removed != is->removed) {
        differ(all, "removed", weir_group_place_name(is->removed),
               weir_group_place_name(asked->removed), false);
    }
    if (asked->dead_letter.ptr != NULL && !weir_bytes_equal(asked->dead_letter, is->dead_letter)) {
        char names[2][WEIR_TOPIC_BYTES_MAX + 1];
        snprintf(names[0], sizeof(names[0]), "%.*s", width(is->dead_letter),
                 chars(is->dead_letter));
        snprintf(names[1], sizeof(names[1]), "%.*s", width(asked->dead_letter),
                 chars(asked->dead_letter));
        differ(all, "dead_letter", is->dead_letter.len > 0 ? names[0] : "none", names[1], false);
    }
}

void weir_v1_group_why_exists(const weir_v1_group_why *why, const weir_group_options *is,
                              char text[WEIR_V1_WHY_MAX])
{
    differing all = {.text = text};
    text[0] = '\0';
    words_differ(&all, why, is);
    settings_differ(&all, &why->asked, is);
    if (all.len > 0) {
        snprintf(text + all.len, WEIR_V1_WHY_MAX - all.len, "%s",
                 all.fixed ? ": model, topics and start never change: take another name, or group "
                             "delete this one first."
                           : ": group alter changes it.");
    }
}

/* Names are borrowed, and the answer comes later: only that of dead letters is kept. */
static void asked_keep(weir_v1_group_why *why, const weir_group_options *options)
{
    weir_bytes dead = options->dead_letter;
    why->asked = *options;
    why->asked.topics = NULL;
    why->asked.topic_count = 0;
    why->asked.filter = WEIR_BYTES_NULL;
    why->asked.dead_letter = WEIR_BYTES_NULL;
    if (dead.ptr != NULL && dead.len <= sizeof(why->dead_letter)) {
        memcpy(why->dead_letter, dead.ptr, dead.len);
        why->asked.dead_letter = (weir_bytes){(const uint8_t *)why->dead_letter, dead.len};
    }
}

/* ---- Both -------------------------------------------------------------------------------------- */

weir_v1_group_why *weir_v1_group_why_create(const weir_group_options *options)
{
    weir_v1_group_why *why = malloc(sizeof(*why));
    if (why != NULL) {
        asked_keep(why, options);
        create_invalid(options, why->invalid);
        create_not_found(options, why->not_found);
    }
    return why;
}

weir_v1_group_why *weir_v1_group_why_alter(weir_bytes name, const weir_group_options *change)
{
    weir_v1_group_why *why = malloc(sizeof(*why));
    if (why != NULL) {
        alter_invalid(name, change, why->invalid);
        alter_not_found(name, change, why->not_found);
    }
    return why;
}
