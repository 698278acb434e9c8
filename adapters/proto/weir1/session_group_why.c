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

/* ---- Both -------------------------------------------------------------------------------------- */

weir_v1_group_why *weir_v1_group_why_create(const weir_group_options *options)
{
    weir_v1_group_why *why = malloc(sizeof(*why));
    if (why != NULL) {
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
