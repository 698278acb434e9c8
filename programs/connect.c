/* programs/connect.c - finds the gateway, connects, and turns errors into sentences and exit codes.
 */
#include "programs/connect.h"

#include "programs/config.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

enum {
    TIMEOUT_S_DEFAULT = 10,
    TIMEOUT_S_MAX = 3600,
    NAME_BYTES_MAX = 1024, /* what limits.name_bytes_max and limits.levels_max may be */
    LEVELS_MAX = 128
};

/* Writes the URL into `url`. False, with the sentence printed, when it cannot be told. */
static bool url_find(const weir_arguments *arguments, char *url, size_t size, char *data,
                     size_t data_size)
{
    const char *server = weir_arguments_text(arguments, "server");
    weir_config config = {0};
    bool found = true;
    int len;
    data[0] = '\0';
    if (server != NULL) {
        len = snprintf(url, size, "%s", server);
        return len < (int)size;
    }
    found = weir_config_from_arguments(&config, arguments);
    if (found) {
        const char *path = weir_config_text(&config, WEIR_KEY_local_path);
        const char *folder = weir_config_text(&config, WEIR_KEY_data);
        len = path != NULL ? snprintf(url, size, "unix:%s", path)
                           : snprintf(url, size, "unix:%s/weir.sock", folder);
        snprintf(data, data_size, "%s", folder);
        found = len < (int)size;
        if (!found) {
            weir_say(
                "the path of the gateway's socket is too long; name it with --server unix:PATH");
        }
    }
    weir_config_fini(&config);
    return found;
}

bool weir_connect(const weir_arguments *arguments, weir_client **client, weir_exit *code)
{
    char url[1024];
    char data[1024];
    long long seconds = 0;
    weir_client_options options = {.name = "weir"};
    weir_fault fault = {.err = WEIR_OK};
    weir_err err;
    *code = WEIR_EXIT_USAGE;
    if (!weir_arguments_number(arguments, "timeout", 1, TIMEOUT_S_MAX, TIMEOUT_S_DEFAULT,
                               &seconds) ||
        !url_find(arguments, url, sizeof(url), data, sizeof(data))) {
        return false;
    }
    options.timeout_ms = (uint32_t)seconds * 1000;
    err = weir_client_open(url, &options, client, &fault);
    if (err == WEIR_OK) {
        return true;
    }
    *code = err == WEIR_INVALID   ? WEIR_EXIT_USAGE
            : err == WEIR_TIMEOUT ? WEIR_EXIT_TIMEOUT
                                  : WEIR_EXIT_ERROR;
    if (err == WEIR_NOT_FOUND) {
        weir_say(
            "no gateway answers at %s; start one with `weir serve%s%s`, or name another with --server",
            url, data[0] != '\0' ? " --data " : "", data);
    } else {
        weir_say("%s: %s", url, fault.text[0] != '\0' ? fault.text : weir_err_text(err));
    }
    return false;
}

static const char *name_rule(weir_subject subject)
{
    switch (subject) {
    case WEIR_SUBJECT_TOPIC:
        return "is no topic name: it has 1 to 249 bytes in levels divided by /, none of them empty, "
               "without +, # and control characters, and does not begin with $ or __";
    case WEIR_SUBJECT_NAME:
        return "is no name to publish under: it is not empty, not longer than limits.name_bytes_max "
               "and limits.levels_max allow, and has no control characters and no + or #, which "
               "stand in filters only";
    case WEIR_SUBJECT_FILTER:
        return "is no filter: + stands alone in a level, # alone in the last one, there are no "
               "control characters, and it is not longer than limits.name_bytes_max and "
               "limits.levels_max allow";
    case WEIR_SUBJECT_OTHER:
        break;
    }
    return NULL;
}

/* A full name or a filter that is longer than any gateway takes: says so, in place of the rules. */
static bool too_long(const char *what, char text[WEIR_PROBLEM_MAX])
{
    size_t bytes = strlen(what);
    size_t levels = 1;
    for (const char *at = what; *at != '\0'; at++) {
        levels += *at == '/' ? 1 : 0;
    }
    bool over = bytes > NAME_BYTES_MAX || levels > LEVELS_MAX;
    if (over) {
        snprintf(
            text, WEIR_PROBLEM_MAX,
            "\"%.60s...\" is too long: it has %zu bytes and %zu levels, and a full name (topic "
            "and key) or a filter has at most %d bytes and %d levels",
            what, bytes, levels, NAME_BYTES_MAX, LEVELS_MAX);
    }
    return over;
}

void weir_problem_text(weir_err err, weir_subject subject, const char *what, const char *sentence,
                       char text[WEIR_PROBLEM_MAX])
{
    const char *rule = name_rule(subject);
    bool of_topic = subject == WEIR_SUBJECT_TOPIC;
    bool none = err == WEIR_NOT_FOUND && of_topic; /* and perhaps none could be called so */
    bool wrong = none && weir_topic_name_check(weir_bytes_of(what)) != WEIR_OK;
    if (err == WEIR_NAME_INVALID && rule != NULL && !of_topic && too_long(what, text)) {
        return;
    }
    if ((err == WEIR_NAME_INVALID && rule != NULL) || wrong) {
        snprintf(text, WEIR_PROBLEM_MAX, "\"%.160s\" %s", what, rule);
    } else if (err == WEIR_NOT_AUTHORIZED && what[0] == '$') {
        snprintf(text, WEIR_PROBLEM_MAX,
                 "\"%.200s\" begins with $, as names of the gateway's own do, and nobody publishes "
                 "to them: take another name",
                 what);
    } else if (none && strcmp(what, "__fates") == 0) {
        snprintf(
            text, WEIR_PROBLEM_MAX,
            "__fates is the gateway's own, and is not there yet: it is made with the first thing "
            "that happens to a record in a group; ask for it again then");
    } else if (none && strncmp(what, "__", 2) == 0) {
        snprintf(text, WEIR_PROBLEM_MAX,
                 "no topic \"%.200s\" is there, and names that begin with __ are for topics of the "
                 "gateway's own: name another; `weir topic ls` lists those that are declared",
                 what);
    } else if (none) {
        snprintf(
            text, WEIR_PROBLEM_MAX,
            "no topic \"%.200s\" is declared; `weir topic ls` lists those that are, `weir topic "
            "create %.200s` declares it",
            what, what);
    } else if (err == WEIR_NOT_OFFERED && strncmp(what, "__", 2) == 0) {
        snprintf(text, WEIR_PROBLEM_MAX,
                 "%.200s is the gateway's own: `weir why` tells what is in __fates, `weir topic "
                 "alter __fates --retention-ms MS` how long that is kept",
                 what);
    } else if (err == WEIR_NESTED && of_topic) {
        snprintf(
            text, WEIR_PROBLEM_MAX,
            "a topic above or below \"%.250s\" is declared; say --nested if it is to stand there",
            what);
    } else {
        snprintf(text, WEIR_PROBLEM_MAX, "%.100s: %.500s", what,
                 sentence != NULL && sentence[0] != '\0' ? sentence : weir_err_text(err));
    }
}

weir_exit weir_client_outcome(const weir_client *client, weir_err err, weir_subject subject,
                              const char *what)
{
    char text[WEIR_PROBLEM_MAX];
    if (err != WEIR_OK) {
        weir_problem_text(err, subject, what, weir_client_error(client), text);
        weir_say("%s", text);
    }
    return weir_exit_of(err);
}

void weir_keeping_text(const char *name, char text[WEIR_KEEPING_MAX])
{
    int len = (int)strcspn(name, "/");
    if (name[0] == '+' || name[0] == '#') {
        snprintf(text, WEIR_KEEPING_MAX,
                 "`weir topic create NAME` keeps what is published under NAME from then on");
    } else if (strncmp(name, "__", 2) != 0 &&
               weir_topic_name_check((weir_bytes){(const uint8_t *)name, (size_t)len}) == WEIR_OK) {
        snprintf(text, WEIR_KEEPING_MAX,
                 "`weir topic create %.*s` keeps what is published from then on", len, name);
    } else {
        snprintf(
            text, WEIR_KEEPING_MAX,
            "no topic can cover it: a topic's first level is not empty and does not begin with $ or "
            "__");
    }
}

/* Level by level: a filter reaches a topic when it agrees with all of the topic's levels, and is
 * not at its end before they are. */
bool weir_operand_reaches(const char *filter, const char *topic)
{
    for (;;) {
        size_t filter_len = strcspn(filter, "/");
        size_t topic_len = strcspn(topic, "/");
        if (filter[0] == '#') {
            return true;
        }
        if (!(filter_len == 1 && filter[0] == '+') &&
            (filter_len != topic_len || memcmp(filter, topic, topic_len) != 0)) {
            return false;
        }
        filter += filter_len;
        topic += topic_len;
        if (*topic == '\0') {
            return true;
        }
        if (*filter == '\0') {
            return false;
        }
        filter++;
        topic++;
    }
}

weir_err weir_filter_is_stored(weir_client *client, const char *filter, bool *stored)
{
    weir_client_topics topics = {0};
    weir_err err = weir_client_topic_list(client, WEIR_BYTES_NULL, &topics);
    *stored = err != WEIR_OK;
    for (uint32_t i = 0; i < topics.count && !*stored; i++) {
        *stored = weir_operand_reaches(filter, topics.topics[i].name);
    }
    weir_client_topics_free(&topics);
    return err;
}

void weir_topics_text(weir_client *client, char text[WEIR_TOPICS_TEXT_MAX])
{
    weir_client_topics topics = {0};
    size_t len = 0;
    bool told = weir_client_topic_list(client, WEIR_BYTES_NULL, &topics) == WEIR_OK;
    (void)snprintf(text, WEIR_TOPICS_TEXT_MAX, "%s", told ? "no topic is declared" : "");
    for (uint32_t i = 0; i < topics.count; i++) {
        const char *name = topics.topics[i].name;
        if (len + strlen(name) + 32 > WEIR_TOPICS_TEXT_MAX) {
            (void)snprintf(text + len, WEIR_TOPICS_TEXT_MAX - len, ", ...");
            break;
        }
        len += (size_t)snprintf(text + len, WEIR_TOPICS_TEXT_MAX - len, "%s%s",
                                i == 0 ? "declared topics: " : ", ", name);
    }
    weir_client_topics_free(&topics);
}

bool weir_may_talk(const weir_arguments *arguments)
{
    return !weir_arguments_has(arguments, "quiet");
}

long long weir_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (long long)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}
