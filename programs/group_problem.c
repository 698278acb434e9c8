/* programs/group_problem.c - why something about a group was refused: what is in force, and which
 * command helps.
 *
 *     the gateway's error --> what is declared now (group list, topic list) --> one sentence
 *
 * The error tells a class only; what it is about is found by comparing what was asked with what is
 * there. Happy path: one difference is found and named. Failures: where nothing is found (it was
 * changed meanwhile, or the connection is gone) the gateway's own sentence is printed. */
#include "programs/connect.h"
#include "programs/group.h"

#include "programs/letters.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

enum { SENTENCE_MAX = 640, TEXT_MAX = 1400, FLAGS_MAX = 400, VALUE_MAX = 24, MEMBERS_TOLD = 3 };

typedef struct text {
    char at[TEXT_MAX];
    size_t len;
} text;

typedef struct problem {
    weir_client *client;
    const char *group;
    const weir_group_options *asked; /* NULL: nothing was asked of it */
    weir_group_doing doing;
    const weir_group_info *info; /* the group as it is; NULL: there is none */
    bool usage;                  /* the command line alone is wrong, whatever is there */
    text out;
} problem;

static void add(text *into, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void add(text *into, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int len = vsnprintf(into->at + into->len, TEXT_MAX - into->len, format, arguments);
    va_end(arguments);
    size_t room = TEXT_MAX - 1 - into->len;
    into->len += len < 0 ? 0 : (size_t)len < room ? (size_t)len : room;
}

static int width(weir_bytes bytes)
{
    return bytes.len > 200 ? 200 : (int)bytes.len;
}

static const char *chars(weir_bytes bytes)
{
    return bytes.ptr == NULL ? "" : (const char *)bytes.ptr;
}

/* "orders, bills", or the filter. */
static void add_reads(text *into, const weir_group_options *options)
{
    if (options->topic_count == 0) {
        add(into, "filter %.*s", width(options->filter), chars(options->filter));
        return;
    }
    add(into, options->topic_count == 1 ? "topic " : "topics ");
    for (uint32_t i = 0; i < options->topic_count; i++) {
        add(into, "%s%.*s", i > 0 ? "," : "", width(options->topics[i]), chars(options->topics[i]));
    }
}

/* ---- What is asked and cannot be ------------------------------------------------------------- */

static weir_model model_of(const problem *own)
{
    weir_model asked =
        own->asked->model == WEIR_MODEL_DEFAULT ? WEIR_MODEL_STREAM : own->asked->model;
    return own->info != NULL ? own->info->options.model : asked;
}

static const char *model_hint(const problem *own)
{
    return own->info == NULL && own->asked->model == WEIR_MODEL_DEFAULT
               ? " unless it is told --model queue"
               : "";
}

/* Settings and modes of the other model. */
static bool model_told(problem *own)
{
    size_t count;
    const weir_group_setting *rows = weir_group_settings(&count);
    weir_model model = model_of(own);
    for (size_t i = 0; i < count; i++) {
        if (weir_group_setting_get(own->asked, &rows[i]) != 0 &&
            (rows[i].models & (unsigned)model) == 0) {
            char flag[WEIR_GROUP_FLAG_MAX];
            weir_group_flag_of(&rows[i], flag);
            add(&own->out, "--%s is for queue groups, and %s is a stream group%s", flag, own->group,
                model_hint(own));
            own->usage = own->info == NULL;
            return true;
        }
    }
    if (own->asked->mode == WEIR_MODE_CLIENT_COMMIT && model == WEIR_MODEL_QUEUE) {
        add(&own->out,
            "--mode client-commit is for stream groups, and %s is a queue group; a queue "
            "group is at-least-once or at-most-once",
            own->group);
        own->usage = own->info == NULL;
        return true;
    }
    return false;
}

/* NOT_FOUND when it is not declared; *queue tells its kind. */
static weir_err topic_look(const problem *own, weir_bytes name, bool *queue)
{
    weir_client_topics topics = {0};
    weir_err err = weir_client_topic_list(own->client, name, &topics);
    *queue =
        err == WEIR_OK && topics.count == 1 && topics.topics[0].options.kind == WEIR_KIND_QUEUE;
    weir_client_topics_free(&topics);
    return err;
}

static bool missing_told(problem *own, weir_bytes name, const char *what)
{
    add(&own->out,
        "%sno topic \"%.*s\" is declared: `weir topic create %.*s` declares it, `weir topic ls` "
        "lists those that are",
        what, width(name), chars(name), width(name), chars(name));
    return true;
}

/* Dead letters that would come back; `queue`: their topic is one. */
static bool letters_told(problem *own, bool queue)
{
    weir_group_options all = own->info != NULL ? own->info->options : *own->asked;
    all.dead_letter = own->asked->dead_letter;
    if ((queue && all.topic_count == 0) || !weir_letters_among_topics(&all)) {
        return false;
    }
    add(&own->out,
        "%s reads %.*s itself: its dead letters would come back to it for ever; name another topic "
        "with --dead-letter",
        own->group, width(all.dead_letter), chars(all.dead_letter));
    return true;
}

/* Names that begin so are for topics of the gateway's own. */
static bool is_own(weir_bytes name)
{
    return name.len >= 2 && memcmp(name.ptr, "__", 2) == 0;
}

static bool own_told(problem *own, weir_bytes name, const char *what)
{
    if (is_own(name)) {
        add(&own->out, "%.*s is the gateway's own, and %s; name another topic", width(name),
            chars(name), what);
    }
    return is_own(name);
}

static bool stands_below(weir_bytes name, const char *topic)
{
    size_t len = strlen(topic);
    return name.len >= len && memcmp(name.ptr, topic, len) == 0 &&
           (name.len == len || name.ptr[len] == '/');
}

/* A filter of which a queue alone has what it matches: wildcards pass queues by, and read nested topics
 * that stand below one. */
static bool filter_told(problem *own)
{
    weir_client_topics topics = {0};
    weir_bytes filter = own->asked->filter;
    const char *queue = NULL;
    bool others = false;
    weir_bytes literal = {filter.ptr, 0}; /* the levels before the first wildcard */
    if (own_told(own, filter, "no group reads it")) {
        return true;
    }
    while (literal.len < filter.len && strchr("+#", filter.ptr[literal.len]) == NULL) {
        literal.len++;
    }
    literal.len -= literal.len > 0 && literal.len < filter.len;
    (void)weir_client_topic_list(own->client, WEIR_BYTES_NULL, &topics);
    for (uint32_t i = 0; i < topics.count && queue == NULL; i++) {
        bool is = topics.topics[i].options.kind == WEIR_KIND_QUEUE;
        queue = is && stands_below(literal, topics.topics[i].name) ? topics.topics[i].name : NULL;
    }
    for (uint32_t i = 0; i < topics.count && queue != NULL && !others; i++) {
        others = topics.topics[i].options.kind != WEIR_KIND_QUEUE &&
                 stands_below(weir_bytes_of(topics.topics[i].name), queue);
    }
    if (queue != NULL && !others) {
        add(&own->out,
            "%s is a queue: it has one group, named like it, and no others; `weir group join %s` "
            "takes its records",
            queue, queue);
    }
    weir_client_topics_free(&topics);
    return queue != NULL && !others;
}

/* What it reads, or its dead letters', could have no such name. */
static bool names_told(problem *own)
{
    char sentence[WEIR_PROBLEM_MAX];
    const weir_group_options *asked = own->asked;
    weir_bytes wrong = asked->topic_count == 0 ? asked->filter : WEIR_BYTES_NULL;
    weir_subject subject = WEIR_SUBJECT_FILTER;
    for (uint32_t i = 0; i <= asked->topic_count && wrong.ptr == NULL; i++) {
        weir_bytes name = i < asked->topic_count ? asked->topics[i] : asked->dead_letter;
        subject = WEIR_SUBJECT_TOPIC;
        wrong = name.ptr != NULL && weir_topic_name_check(name) != WEIR_OK ? name : wrong;
    }
    if (wrong.ptr == NULL || weir_group_name_check(weir_bytes_of(own->group)) != WEIR_OK) {
        return false;
    }
    weir_problem_text(WEIR_NAME_INVALID, subject, chars(wrong), "", sentence);
    add(&own->out, "%s", sentence);
    return true;
}

/* Topics that are not there, that are queues, that are named twice; letters that come back. */
static bool topics_told(problem *own)
{
    if (own->asked->filter.len > 0 && own->doing != WEIR_GROUP_ALTERS && filter_told(own)) {
        return true;
    }
    for (uint32_t i = 0; i < own->asked->topic_count; i++) {
        weir_bytes name = own->asked->topics[i];
        bool queue = false;
        if (own_told(own, name, "no group reads it")) {
            return true;
        }
        if (weir_topic_name_check(name) != WEIR_OK) {
            return names_told(own);
        }
        if (topic_look(own, name, &queue) == WEIR_NOT_FOUND) {
            return missing_told(own, name, "");
        }
        if (queue) {
            add(&own->out,
                "%.*s is a queue: it has one group, named like it, and no others; `weir group join "
                "%.*s` takes its records",
                width(name), chars(name), width(name), chars(name));
            return true;
        }
        for (uint32_t k = 0; k < i; k++) {
            if (weir_bytes_equal(name, own->asked->topics[k])) {
                add(&own->out, "--topic %.*s is said twice", width(name), chars(name));
                return true;
            }
        }
    }
    weir_bytes dead = own->asked->dead_letter;
    bool queue = false;
    if (own_told(own, dead, "takes no dead letters")) {
        return true;
    }
    if (dead.len > 0 && topic_look(own, dead, &queue) == WEIR_NOT_FOUND) {
        return missing_told(own, dead, "for its dead letters, ");
    }
    return dead.len > 0 && letters_told(own, queue);
}

/* What is beyond a limit has nowhere to go. `of_queue`: of a topic of kind queue. */
static bool overflow_told(problem *own, bool of_queue)
{
    const weir_group_options *asked = own->asked;
    weir_group_options all = own->info != NULL ? own->info->options : *asked;
    all.dead_letter = asked->dead_letter.ptr != NULL ? asked->dead_letter : all.dead_letter;
    all.overflow = asked->overflow != 0 ? asked->overflow : all.overflow;
    all.max_records = asked->max_records != 0 ? asked->max_records : all.max_records;
    all.max_bytes = asked->max_bytes != 0 ? asked->max_bytes : all.max_bytes;
    bool limited = all.max_records > 0 || all.max_bytes > 0;
    bool letters = all.overflow == WEIR_OVERFLOW_DEAD_LETTER;
    if (letters && all.dead_letter.len == 0) {
        add(&own->out,
            "overflow dead-letter needs a dead-letter topic, which %s does not have: name one with "
            "--dead-letter TOPIC, or say --overflow drop-oldest",
            own->group);
        return true;
    }
    if (limited && all.topic_count == 0) {
        add(&own->out,
            "--max-records and --max-bytes are for groups over topics, and %s reads a filter: leave "
            "them out, or name topics with --topic",
            own->group);
        return true;
    }
    if (limited && !of_queue && !letters && all.overflow != WEIR_OVERFLOW_DROP_OLDEST) {
        add(&own->out,
            "%s reads a topic of kind log, whose publishes it cannot refuse: with --max-records or "
            "--max-bytes say --overflow drop-oldest, or --overflow dead-letter with --dead-letter "
            "TOPIC",
            own->group);
        return true;
    }
    return false;
}

/* ---- What is in force and differs ------------------------------------------------------------ */

typedef struct differences {
    text told;             /* "its model is stream, not queue" */
    char flags[FLAGS_MAX]; /* of the `weir group alter` that makes it so */
    bool fixed;            /* one of them never changes */
} differences;

static void differ(differences *all, const char *what, const char *is, const char *asked,
                   const char *flag)
{
    size_t len = strlen(all->flags);
    add(&all->told, "%s%s %s, not %s", all->told.len > 0 ? "; " : "", what, is, asked);
    all->fixed |= flag == NULL;
    if (flag != NULL) {
        snprintf(all->flags + len, FLAGS_MAX - len, " --%s %s", flag, asked);
    }
}

static const char *value_text(char into[VALUE_MAX], const weir_group_setting *row, int64_t value)
{
    if (row->least == 1 && row->most == 2) {
        return value == 1 ? "yes" : "no";
    }
    const char *word = weir_group_setting_word(row, value);
    if (word != NULL) {
        return word;
    }
    snprintf(into, VALUE_MAX, "%" PRId64, value);
    return into;
}

static void settings_differ(differences *all, const weir_group_options *asked,
                            const weir_group_options *is)
{
    size_t count;
    const weir_group_setting *rows = weir_group_settings(&count);
    for (size_t i = 0; i < count; i++) {
        int64_t wanted = weir_group_setting_get(asked, &rows[i]);
        int64_t there = weir_group_setting_get(is, &rows[i]);
        bool zero = wanted == WEIR_GROUP_ZERO && weir_group_setting_has_zero(&rows[i]);
        bool asks = wanted != 0;
        wanted = zero ? 0 : wanted;
        if (asks && wanted != there) {
            char flag[WEIR_GROUP_FLAG_MAX];
            char values[2][VALUE_MAX];
            char what[WEIR_GROUP_FLAG_MAX + 8];
            weir_group_flag_of(&rows[i], flag);
            snprintf(what, sizeof(what), "its %s is", rows[i].name);
            differ(all, what, value_text(values[0], &rows[i], there),
                   value_text(values[1], &rows[i], wanted), flag);
        }
    }
}

static bool same_reads(const weir_group_options *asked, const weir_group_options *is)
{
    if (asked->topic_count == 0) {
        return asked->filter.ptr == NULL || weir_bytes_equal(asked->filter, is->filter);
    }
    bool same = asked->topic_count == is->topic_count;
    for (uint32_t i = 0; i < asked->topic_count && same; i++) {
        bool found = false;
        for (uint32_t k = 0; k < is->topic_count; k++) {
            found |= weir_bytes_equal(asked->topics[i], is->topics[k]);
        }
        same = found;
    }
    return same;
}

static void words_differ(differences *all, const weir_group_options *asked,
                         const weir_group_options *is)
{
    text reads[2] = {{.len = 0}, {.len = 0}};
    if (asked->model != WEIR_MODEL_DEFAULT && asked->model != is->model) {
        differ(all, "its model is", weir_model_name(is->model), weir_model_name(asked->model),
               NULL);
    }
    if (!same_reads(asked, is)) {
        add_reads(&reads[0], is);
        add_reads(&reads[1], asked);
        differ(all, "it reads", reads[0].at, reads[1].at, NULL);
    }
    if (asked->start != WEIR_PLACE_DEFAULT && asked->start != is->start) {
        differ(all, "its start is", weir_group_place_name(is->start),
               weir_group_place_name(asked->start), NULL);
    }
    if (asked->mode != WEIR_MODE_DEFAULT && asked->mode != is->mode) {
        differ(all, "its mode is", weir_mode_name(is->mode), weir_mode_name(asked->mode), "mode");
    }
    if (asked->removed != WEIR_PLACE_DEFAULT && asked->removed != is->removed) {
        differ(all, "its removed is", weir_group_place_name(is->removed),
               weir_group_place_name(asked->removed), "removed");
    }
    if (asked->dead_letter.ptr != NULL && !weir_bytes_equal(asked->dead_letter, is->dead_letter)) {
        char names[2][WEIR_GROUP_BYTES_MAX + 1];
        snprintf(names[0], sizeof(names[0]), "%.*s", width(is->dead_letter),
                 is->dead_letter.len > 0 ? chars(is->dead_letter) : "");
        snprintf(names[1], sizeof(names[1]), "%.*s", width(asked->dead_letter),
                 chars(asked->dead_letter));
        differ(all, "its dead_letter is", names[0][0] != '\0' ? names[0] : "none", names[1],
               "dead-letter");
    }
}

bool weir_group_agrees(const weir_group_options *asked, const weir_group_options *is)
{
    differences all = {.fixed = false};
    words_differ(&all, asked, is);
    settings_differ(&all, asked, is);
    return all.told.len == 0;
}

static bool queue_of_its_own(const problem *own)
{
    bool queue = false;
    (void)topic_look(own, weir_bytes_of(own->group), &queue);
    return queue;
}

/* A group of that name is there, and is not as asked. */
static bool exists_told(problem *own)
{
    differences all = {.fixed = false};
    words_differ(&all, own->asked, &own->info->options);
    settings_differ(&all, own->asked, &own->info->options);
    if (all.told.len == 0) {
        return false;
    }
    add(&own->out, "%s is there already: %s. ", own->group, all.told.at);
    if (!all.fixed) {
        add(&own->out, "`weir group alter %s%s` changes it", own->group, all.flags);
    } else if (queue_of_its_own(own)) {
        add(&own->out, "It is the group of the queue %s: take another name", own->group);
    } else {
        add(&own->out,
            "Model, topics and start never change: take another name, or `weir group delete %s` "
            "first",
            own->group);
    }
    if (own->doing == WEIR_GROUP_JOINS) {
        add(&own->out, "; a join that asks for none of it takes it as it is");
    }
    return true;
}

/* ---- Members in the way ---------------------------------------------------------------------- */

static bool members_told(problem *own)
{
    uint32_t count = own->info->member_count;
    if (count == 0) {
        return false;
    }
    add(&own->out, "%s has %" PRIu32 " member%s (", own->group, count, count > 1 ? "s" : "");
    for (uint32_t i = 0; i < count && i < MEMBERS_TOLD; i++) {
        weir_bytes name = own->info->members[i].name;
        add(&own->out, "%s%.*s", i > 0 ? ", " : "", width(name), chars(name));
    }
    add(&own->out, "%s): ", count > MEMBERS_TOLD ? ", ..." : "");
    if (own->doing == WEIR_GROUP_DELETES) {
        add(&own->out, "stop them, or say --force, and they are out");
    } else {
        add(&own->out, "stop them first; `weir group info %s` shows them", own->group);
    }
    return true;
}

/* ---- The sentence ---------------------------------------------------------------------------- */

static bool told(problem *own, weir_err err)
{
    bool there = own->info != NULL;
    if (err == WEIR_EXISTS && there && own->asked == NULL) {
        return members_told(own);
    }
    if (err == WEIR_INVALID && own->doing == WEIR_GROUP_DELETES && queue_of_its_own(own)) {
        add(&own->out, "%s is the group of the queue %s, and goes with it: `weir topic rm %s`",
            own->group, own->group, own->group);
        return true;
    }
    if (err == WEIR_OFFSET_OUT_OF_RANGE && own->doing == WEIR_GROUP_JOINS) {
        char still[WEIR_GROUP_STILL_MAX];
        weir_group_still_put(still, own->group);
        add(&own->out, "%s", still);
        return true;
    }
    if (err == WEIR_NAME_INVALID && own->asked != NULL) {
        return names_told(own);
    }
    if (err == WEIR_DISK_FULL) {
        add(&own->out,
            "%s: the gateway's disk is full, and there is no room left to write down who has which "
            "record: `weir topic trim TOPIC --before end` and `weir topic rm TOPIC` make room, or "
            "free some outside Weir; writing resumes by itself",
            own->group);
        return true;
    }
    if (own->asked == NULL || (!there && own->doing == WEIR_GROUP_ALTERS)) {
        return false;
    }
    switch (err) {
    case WEIR_EXISTS:
        return model_told(own) || (there && exists_told(own));
    case WEIR_INVALID:
    case WEIR_NOT_FOUND:
        return model_told(own) || topics_told(own) || overflow_told(own, queue_of_its_own(own));
    default:
        return false;
    }
}

bool weir_group_name_told(const char *group)
{
    const weir_bytes name = weir_bytes_of(group);
    bool fits = weir_group_name_check(name) == WEIR_OK;
    bool of_queue = !fits && weir_topic_name_check(name) == WEIR_OK; /* which may have levels */
    if (of_queue) {
        weir_say(
            "no group \"%.200s\" is there, and only that of a queue may have a / in its name; "
            "`weir group ls` lists those that are, `weir queue create %.200s` makes a queue and "
            "its group",
            group, group);
    } else if (!fits) {
        weir_group_say(WEIR_NAME_INVALID, group, "");
    }
    return !fits;
}

static void none_say(const char *group, weir_group_doing doing)
{
    if (weir_group_name_told(group)) {
        return;
    }
    if (doing == WEIR_GROUP_DELETES) {
        weir_say("no group \"%.200s\" is there; `weir group ls` lists those that are", group);
        return;
    }
    weir_say(
        "no group \"%.200s\" is there; `weir group ls` lists those that are, `weir group create "
        "%.200s --topic TOPIC` makes it",
        group, group);
}

weir_exit weir_group_refused(weir_client *client, weir_err err, const char *group,
                             const weir_group_options *asked, weir_group_doing doing)
{
    weir_client_groups groups = {0};
    char sentence[SENTENCE_MAX];
    problem own = {.client = client, .group = group, .asked = asked, .doing = doing};
    if (err == WEIR_OK || err == WEIR_CLOSED || err == WEIR_TIMEOUT) {
        return weir_group_outcome(client, err, group);
    }
    snprintf(sentence, sizeof(sentence), "%s", weir_client_error(client));
    if (err != WEIR_NAME_INVALID &&
        weir_client_group_list(client, weir_bytes_of(group), &groups) == WEIR_OK &&
        groups.count == 1) {
        own.info = &groups.groups[0];
    }
    if (told(&own, err)) {
        weir_say("%s", own.out.at);
    } else if (err == WEIR_NOT_FOUND && own.info == NULL && doing != WEIR_GROUP_CREATES) {
        none_say(group, doing);
    } else {
        weir_group_say(err, group, sentence);
    }
    weir_client_groups_free(&groups);
    return own.usage ? WEIR_EXIT_USAGE : weir_exit_of(err);
}

bool weir_queue_possible(weir_client *client, const char *name, const weir_group_options *asked,
                         weir_exit *code)
{
    const weir_bytes topic = weir_bytes_of(name);
    weir_group_options all = *asked;
    problem own = {.client = client, .group = name, .asked = &all, .doing = WEIR_GROUP_CREATES};
    weir_bytes dead = all.dead_letter;
    bool queue = false;
    all.model = WEIR_MODEL_QUEUE;
    all.topics = &topic;
    all.topic_count = 1;
    *code = WEIR_EXIT_REFUSED;
    if (model_told(&own) || overflow_told(&own, true)) {
        weir_say("%s", own.out.at);
        return false;
    }
    if (dead.len > 0 && !is_own(dead) && topic_look(&own, dead, &queue) == WEIR_NOT_FOUND) {
        (void)missing_told(&own, dead, "for its dead letters, ");
        weir_say("%s", own.out.at);
        *code = WEIR_EXIT_NOT_FOUND;
        return false;
    }
    return true;
}
