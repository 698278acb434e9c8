/* programs/sub.c - `weir sub`: prints records as they arrive.
 *
 * Happy path: subscribe, then print each event until the count, the end or the time is reached.
 * Output is flushed whenever nothing more is at hand, so a pipe sees each record at once and a long
 * read is not slowed down. What a person should know and is no record (drops, gaps, a gateway that
 * closes) goes to standard error. So does that a topic which printed nothing has records with keys only:
 * a topic's name is that of its records without one. */
#include "programs/connect.h"
#include "programs/format.h"
#include "programs/position.h"

#include <string.h>

enum { KEYS_MS_MAX = 10000 }; /* to find a record with a key */

typedef struct reading {
    weir_client_subscribe subscribe;
    const char *format; /* NULL: the value and a newline */
    bool json;
    bool newline;
    long long count;       /* 0: no end */
    long long deadline_ms; /* of weir_now_ms; 0: none */
    bool talk;
} reading;

/* ---- Where to start ---------------------------------------------------------------------------
 */

static bool start_read(const char *text, weir_client_subscribe *subscribe)
{
    weir_where where = {WEIR_START_END, 0};
    bool good = text == NULL || weir_where_read("--from", text, &where);
    subscribe->start = where.start;
    subscribe->value = where.value;
    return good;
}

static bool reading_read(const weir_arguments *arguments, reading *own)
{
    weir_output output = WEIR_OUTPUT_TABLE;
    long long wait_ms = 0;
    const char *wrong;
    memset(own, 0, sizeof(*own));
    own->subscribe.filter = weir_bytes_of(arguments->operands[0]);
    own->subscribe.until_end = weir_arguments_has(arguments, "exit-at-end");
    if (!start_read(weir_arguments_text(arguments, "from"), &own->subscribe) ||
        !weir_output_read(arguments, &output) ||
        !weir_arguments_number(arguments, "count", 1, INT64_MAX, 0, &own->count) ||
        !weir_arguments_seconds(arguments, "wait", 1000000000, &wait_ms)) {
        return false;
    }
    own->subscribe.retained =
        own->subscribe.start == WEIR_START_END && !weir_arguments_has(arguments, "no-retained");
    own->subscribe.credit = (uint64_t)own->count;
    own->format = weir_arguments_text(arguments, "format");
    own->json = output != WEIR_OUTPUT_TABLE;
    own->newline = !weir_arguments_has(arguments, "no-newline");
    own->talk = weir_may_talk(arguments);
    own->deadline_ms = wait_ms == 0 ? 0 : weir_now_ms() + wait_ms;
    wrong = own->format == NULL ? NULL : weir_format_check(own->format);
    if (wrong == NULL && own->subscribe.until_end && own->subscribe.start == WEIR_START_END) {
        wrong = "--exit-at-end needs a start: --from beginning, say";
    }
    if (wrong != NULL) {
        weir_say("%s", wrong);
    }
    return wrong == NULL;
}

/* ---- What arrives -----------------------------------------------------------------------------
 */

static void record_print(const reading *own, const weir_client_record *record)
{
    if (own->json) {
        weir_format_json(record, stdout);
    } else {
        weir_format_print(own->format != NULL ? own->format : "%s", record, stdout);
    }
    if (own->json || own->newline) {
        fputc('\n', stdout);
    }
}

static void notice_say(const reading *own, const weir_client_event *event)
{
    if (!own->talk) {
        return;
    }
    switch (event->kind) {
    case WEIR_CLIENT_DROPPED:
        weir_say("%llu records were dropped: this reader is too slow",
                 (unsigned long long)event->count);
        break;
    case WEIR_CLIENT_GAP:
        weir_say("offsets %lld to %lld could not be read: they were removed, or are damaged",
                 (long long)event->from, (long long)event->to - 1);
        break;
    case WEIR_CLIENT_DRAIN:
        weir_say("the gateway is closing");
        break;
    default:
        break;
    }
}

/* The next event; what was printed leaves before this waits. */
static weir_err next(weir_client *client, const reading *own, weir_client_event *event)
{
    weir_err err = weir_client_next(client, 0, event);
    long long left = -1;
    if (err != WEIR_TIMEOUT) {
        return err;
    }
    if (fflush(stdout) != 0) {
        return WEIR_IO;
    }
    if (own->deadline_ms != 0) {
        left = own->deadline_ms - weir_now_ms();
        left = left < 0 ? 0 : left > INT32_MAX ? INT32_MAX : left;
    }
    return weir_client_next(client, (int)left, event);
}

/* A record, or an end, of this subscription within its time. */
static bool has_record(weir_client *client, uint64_t subscription)
{
    long long deadline_ms = weir_now_ms() + KEYS_MS_MAX;
    for (;;) {
        weir_client_event event = {0};
        long long left = deadline_ms - weir_now_ms();
        weir_err err = weir_client_next(client, left > 0 ? (int)left : 0, &event);
        if (err != WEIR_OK) {
            return false;
        }
        if (event.subscription == subscription &&
            (event.kind == WEIR_CLIENT_RECORD || event.kind == WEIR_CLIENT_ENDED)) {
            return event.kind == WEIR_CLIENT_RECORD;
        }
    }
}

static bool is_topic(weir_client *client, const char *name)
{
    weir_client_topics topics = {0};
    bool is = weir_client_topic_list(client, weir_bytes_of(name), &topics) == WEIR_OK &&
              topics.count == 1;
    weir_client_topics_free(&topics);
    return is;
}

/* A topic printed nothing: its records may all have keys. */
static void keys_say(weir_client *client, const reading *own, const char *topic)
{
    weir_client_subscribe subscribe = own->subscribe;
    uint64_t subscription = 0;
    char below[WEIR_TOPIC_BYTES_MAX + 3];
    if (!is_topic(client, topic)) {
        return;
    }
    snprintf(below, sizeof(below), "%s/#", topic);
    subscribe.filter = weir_bytes_of(below);
    subscribe.credit = 1;
    if (weir_client_subscribe_open(client, &subscribe, &subscription) == WEIR_OK &&
        has_record(client, subscription)) {
        weir_say("no record of %s%s is without a key; '%s' shows those with keys", topic,
                 own->subscribe.start == WEIR_START_BEGINNING ? "" : " from there on", below);
    }
}

static weir_exit print_all(weir_client *client, const reading *own, const char *filter)
{
    long long printed = 0;
    for (;;) {
        weir_client_event event = {0};
        weir_err err = next(client, own, &event);
        if (err == WEIR_TIMEOUT && own->deadline_ms != 0) {
            return WEIR_EXIT_TIMEOUT;
        }
        if (err != WEIR_OK) {
            return weir_client_outcome(client, err, WEIR_SUBJECT_FILTER, filter);
        }
        if (event.kind == WEIR_CLIENT_ENDED) {
            if (printed == 0 && own->talk) {
                keys_say(client, own, filter);
            }
            return WEIR_EXIT_DONE;
        }
        if (event.kind != WEIR_CLIENT_RECORD) {
            notice_say(own, &event);
            continue;
        }
        record_print(own, &event.record);
        if (++printed == own->count) {
            return WEIR_EXIT_DONE;
        }
    }
}

/* On names that nothing keeps --from would wait, or end, in silence, and what is missed is gone. */
static void live_say(const reading *own, const char *filter, const char *topics)
{
    char keeping[WEIR_KEEPING_MAX];
    weir_keeping_text(filter, keeping);
    weir_say(
        "no declared topic has names that \"%s\" matches: they are live, nothing of them is kept%s; "
        "%s (%s)",
        filter, own->subscribe.start == WEIR_START_END ? "" : ", and --from finds nothing", keeping,
        topics);
}

/* The queue whose records have this name; false: there is none. */
static bool queue_of(weir_client *client, const char *filter, char *queue, size_t size)
{
    weir_client_topics topics = {0};
    bool found = false;
    (void)weir_client_topic_list(client, WEIR_BYTES_NULL, &topics);
    for (uint32_t i = 0; i < topics.count && !found; i++) {
        const char *name = topics.topics[i].name;
        size_t len = strlen(name);
        found = topics.topics[i].options.kind == WEIR_KIND_QUEUE &&
                strncmp(filter, name, len) == 0 && (filter[len] == '\0' || filter[len] == '/');
        snprintf(queue, size, "%s", found ? name : "");
    }
    weir_client_topics_free(&topics);
    return found;
}

static weir_exit subscribe_refused(weir_client *client, weir_err err, const char *filter)
{
    char problem[WEIR_PROBLEM_MAX];
    char queue[256] = "";
    snprintf(problem, sizeof(problem), "%s", weir_client_error(client));
    if (err == WEIR_NOT_OFFERED && queue_of(client, filter, queue, sizeof(queue))) {
        weir_say(
            "%s is a queue, whose records go to one member each: take them with `weir group join "
            "%s`, or look with `weir queue peek %s`",
            queue, queue, queue);
        return weir_exit_of(err);
    }
    if (err == WEIR_NOT_OFFERED) {
        char text[WEIR_PROBLEM_MAX];
        weir_problem_text(err, WEIR_SUBJECT_FILTER, filter, problem, text);
        weir_say("%s", text);
        return weir_exit_of(err);
    }
    return weir_client_outcome(client, err, WEIR_SUBJECT_FILTER, filter);
}

weir_exit weir_run_sub(const weir_arguments *arguments)
{
    const char *filter = arguments->operands[0];
    weir_client *client = NULL;
    uint64_t subscription = 0;
    bool stored = true;
    char topics[WEIR_TOPICS_TEXT_MAX];
    reading own;
    weir_exit code;
    weir_err err;
    if (!reading_read(arguments, &own)) {
        return WEIR_EXIT_USAGE;
    }
    if (!weir_connect(arguments, &client, &code)) {
        return code;
    }
    if (own.talk && weir_filter_is_stored(client, filter, &stored) != WEIR_OK) {
        stored = true; /* then nothing is claimed */
    }
    if (!stored) {
        weir_topics_text(client, topics);
    }
    err = weir_client_subscribe_open(client, &own.subscribe, &subscription);
    if (err == WEIR_OK && !stored) {
        live_say(&own, filter, topics);
    }
    code =
        err == WEIR_OK ? print_all(client, &own, filter) : subscribe_refused(client, err, filter);
    weir_client_close(client);
    return code;
}
