/* programs/join.c - `weir group join`: takes records as a member of a group, prints them or runs a
 * command for each, and settles them.
 *
 *     join -> lease -> print, flush -> settle (queue) or commit (stream) -> lease ...
 *                   -> run one     -> by its exit code
 *
 * Happy path: what was printed is settled only once it has left this program, so a member that is
 * killed loses nothing: in mode at-least-once its records come again. A first SIGINT or SIGTERM
 * lets it finish what it holds and leave in order; what it holds then counts as no failure.
 * Failures: a lease that was over before it was settled is told, and reading goes on; whatever else
 * the gateway refuses ends the command. In a stream group a command that fails ends it as well: the
 * records behind must not pass the one that failed. A group's mode may be changed while it lives:
 * each lease tells the one in which its records were handed out, and they are settled by that.
 *
 * [J1] Nothing is settled before it is printed and flushed, or before its command has ended. */
#include "programs/connect.h"
#include "programs/format.h"
#include "programs/group.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    TAKEN_MAX = 1000,
    TAKEN_DEFAULT = 100,
    WAIT_SLICE_MS = 500,   /* how long a signal may wait to be seen */
    CHILD_SLICE_MS = 10,   /* where the kernel gives no descriptor of a process */
    AGAIN_DELAY_MS = 1000, /* before a record that a command gave back is handed out again */
    EXIT_AGAIN = 75,       /* EX_TEMPFAIL */
    SIGNALLED = 128,       /* a shell tells of a signal by its number above this */
    TOPIC_BYTES_MAX = 256,
    OWNED_TEXT_MAX = 400,
    NAME_MAX_BYTES = 96
};

typedef struct joining {
    weir_client *client;
    weir_client_joined joined; /* mode and lease_ms: of the newest lease that gave something */
    const char *group;
    const char *format;  /* NULL: the value and a newline */
    const char *command; /* NULL: print */
    bool json;
    bool newline;
    bool talk;
    long long count; /* 0: no end */
    long long done;
    long long taken_max;
    long long deadline_ms; /* of weir_now_ms; 0: none */
} joining;

/* Records of one lease that stand beside each other; for a stream, of one partition. */
typedef struct span {
    char topic[TOPIC_BYTES_MAX];
    weir_settle_range range;
    uint64_t epoch;
} span;

static volatile sig_atomic_t stopped;

static void stop(int number)
{
    (void)number;
    stopped = 1;
}

static void signals_watch(void)
{
    struct sigaction action = {0};
    action.sa_handler = stop;
    action.sa_flags = (int)SA_RESETHAND; /* a second one ends it at once */
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

/* ---- Settling ---------------------------------------------------------------------------------
 */

/* Whether the mode leaves anything to settle: at-most-once was settled before it was handed over.
 */
static bool settles(const joining *own)
{
    return own->joined.mode != WEIR_MODE_AT_MOST_ONCE;
}

static void span_begin(span *into, const weir_client_record *record)
{
    size_t len = record->topic.len < TOPIC_BYTES_MAX ? record->topic.len : TOPIC_BYTES_MAX;
    memcpy(into->topic, record->topic.ptr, len);
    into->range = (weir_settle_range){.topic = {(const uint8_t *)into->topic, len},
                                      .partition = record->partition,
                                      .first = record->offset,
                                      .last = record->offset,
                                      .lease = record->lease};
    into->epoch = record->epoch;
}

/* True when the record now is in the span. */
static bool span_grow(const joining *own, span *into, const weir_client_record *record)
{
    weir_settle_range *range = &into->range;
    bool stream = own->joined.model == WEIR_MODEL_STREAM;
    if (range->partition != record->partition || !weir_bytes_equal(range->topic, record->topic) ||
        (!stream && (range->lease != record->lease || range->last + 1 != record->offset ||
                     into->epoch != record->epoch))) {
        return false;
    }
    range->last = record->offset;
    return true;
}

static weir_err queue_settle(joining *own, const span *what, weir_settle *how)
{
    weir_settled settled = {0};
    how->ranges = &what->range;
    how->range_count = 1;
    how->epoch = what->epoch;
    weir_err err = weir_client_settle(own->client, own->joined.member, how, &settled);
    if (err == WEIR_LEASE_LOST) {
        weir_say("%" PRIu64 " records were settled too late: their lease of %" PRId64
                 " ms was over, "
                 "and they go to another member; `weir group alter %s --lease-ms %" PRId64
                 "` gives more time",
                 settled.refused, own->joined.lease_ms, own->group, 2 * own->joined.lease_ms);
        err = WEIR_OK;
    }
    return err;
}

/* Done with it: accepted, or committed. */
static weir_err span_accept(joining *own, const span *what)
{
    weir_settle how = {.verb = WEIR_VERB_ACCEPT};
    const weir_position position = {what->range.topic, what->range.partition, what->range.last + 1};
    if (!settles(own) || (own->joined.model == WEIR_MODEL_QUEUE && what->range.lease == 0)) {
        return WEIR_OK;
    }
    return own->joined.model == WEIR_MODEL_STREAM
               ? weir_client_commit(own->client, own->joined.member, &position, 1, WEIR_BYTES_NULL)
               : queue_settle(own, what, &how);
}

/* ---- Printing ---------------------------------------------------------------------------------
 */

static void record_print(const joining *own, const weir_client_record *record)
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

static weir_err batch_print(joining *own, uint32_t count)
{
    span *spans = calloc(count, sizeof(*spans));
    uint32_t used = 0;
    weir_err err = spans == NULL ? WEIR_NO_MEMORY : WEIR_OK;
    for (uint32_t i = 0; i < count && err == WEIR_OK; i++) {
        weir_client_record record;
        err = weir_client_lease_record(own->client, i, &record);
        if (err != WEIR_OK) {
            break;
        }
        record_print(own, &record);
        if (used == 0 || !span_grow(own, &spans[used - 1], &record)) {
            span_begin(&spans[used++], &record);
        }
    }
    if (err == WEIR_OK && (fflush(stdout) != 0 || ferror(stdout))) {
        err = WEIR_IO;
    }
    for (uint32_t i = 0; i < used && err == WEIR_OK; i++) {
        err = span_accept(own, &spans[i]);
    }
    own->done += count;
    free(spans);
    return err;
}

/* ---- Running a command ------------------------------------------------------------------------
 */

static void variable(const char *name, long long value)
{
    char text[32];
    snprintf(text, sizeof(text), "%lld", value);
    setenv(name, text, 1);
}

static void variable_bytes(const char *name, weir_bytes value)
{
    char *text = value.ptr == NULL ? NULL : strndup((const char *)value.ptr, value.len);
    if (text != NULL) {
        setenv(name, text, 1);
    } else {
        unsetenv(name);
    }
    free(text);
}

static void variables_set(const weir_client_record *record)
{
    variable_bytes("WEIR_NAME", record->name);
    variable_bytes("WEIR_TOPIC", record->topic);
    variable_bytes("WEIR_KEY", record->key);
    variable("WEIR_PARTITION", record->partition);
    variable("WEIR_OFFSET", record->offset);
    variable("WEIR_TIME_MS", record->time_ms);
    variable("WEIR_LEASED", record->leased);
    variable("WEIR_FAILED", record->failed);
}

/* The command reads the value from standard input. -1: it could not be started. */
static pid_t command_start(const char *command, const weir_client_record *record)
{
    FILE *input = tmpfile();
    pid_t child = -1;
    if (input == NULL ||
        (record->value.len > 0 &&
         fwrite(record->value.ptr, 1, record->value.len, input) != record->value.len) ||
        fflush(input) != 0 || lseek(fileno(input), 0, SEEK_SET) != 0) {
        weir_say("a temporary file could not be written: %s", strerror(errno));
    } else {
        child = fork();
    }
    if (child == 0) {
        dup2(fileno(input), STDIN_FILENO);
        variables_set(record);
        execl("/bin/sh", "sh", "-c", command, (char *)NULL);
        _exit(127);
    }
    if (input != NULL) {
        fclose(input);
    }
    return child;
}

/* Tells the gateway that the member lives and still works on the record, if that is to be settled. */
static void renew(joining *own, const span *what)
{
    const weir_settle how = {
        .verb = WEIR_VERB_RENEW, .ranges = &what->range, .range_count = 1, .epoch = what->epoch};
    if (own->joined.model == WEIR_MODEL_QUEUE && settles(own) && what->range.lease != 0) {
        (void)weir_client_settle(own->client, own->joined.member, &how, NULL);
    } else {
        (void)weir_client_beat(own->client, own->joined.member);
    }
}

static long long renew_every_ms(const joining *own)
{
    long long least = own->joined.session_ms > 0 ? own->joined.session_ms : 45000;
    if (own->joined.lease_ms > 0 && own->joined.lease_ms < least) {
        least = own->joined.lease_ms;
    }
    return least / 3 > 1 ? least / 3 : 1;
}

/* The command's wait status; renews while it runs. */
static int command_wait(joining *own, pid_t child, const span *what)
{
    struct pollfd watch = {.fd = (int)syscall(SYS_pidfd_open, child, 0), .events = POLLIN};
    long long every = renew_every_ms(own);
    long long next = weir_now_ms() + every;
    int status = 0;
    while (waitpid(child, &status, WNOHANG) == 0) {
        long long left = next - weir_now_ms();
        if (left <= 0) {
            renew(own, what);
            next = weir_now_ms() + every;
            left = every;
        }
        (void)poll(&watch, 1, watch.fd < 0 && left > CHILD_SLICE_MS ? CHILD_SLICE_MS : (int)left);
    }
    if (watch.fd >= 0) {
        close(watch.fd);
    }
    return status;
}

static weir_err failed_settle(joining *own, const span *what, int code)
{
    char reason[48];
    weir_settle how = {.verb = WEIR_VERB_RELEASE};
    snprintf(reason, sizeof(reason), "exit code %d", code);
    if (own->talk) {
        weir_say("%s %" PRIu32 " %" PRId64 ": the command ended with code %d; the record %s",
                 what->topic, what->range.partition, what->range.first, code,
                 !settles(own)                            ? "is not handed out again"
                 : own->joined.model == WEIR_MODEL_STREAM ? "is not committed, and comes again"
                 : code == EXIT_AGAIN                     ? "goes back"
                                                          : "goes back, as a failure");
    }
    if (own->joined.model == WEIR_MODEL_STREAM) {
        return settles(own) ? WEIR_EMPTY : WEIR_OK;
    }
    if (!settles(own) || what->range.lease == 0) {
        return WEIR_OK;
    }
    how.failed = code != EXIT_AGAIN;
    how.delay_ms = code == EXIT_AGAIN ? AGAIN_DELAY_MS : 0;
    how.reason = weir_bytes_of(reason);
    return queue_settle(own, what, &how);
}

/* EMPTY: the command failed on a stream's record: stop. */
static weir_err record_run(joining *own, uint32_t index)
{
    weir_client_record record;
    span what = {0};
    weir_err err = weir_client_lease_record(own->client, index, &record);
    if (err != WEIR_OK) {
        return err;
    }
    span_begin(&what, &record);
    pid_t child = command_start(own->command, &record);
    if (child < 0) {
        return WEIR_IO;
    }
    int status = command_wait(own, child, &what);
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : SIGNALLED + WTERMSIG(status);
    own->done++;
    if (stopped && code > SIGNALLED) {
        return WEIR_OK; /* the signal was for both: leaving gives the record back, as no failure */
    }
    return code == 0 ? span_accept(own, &what) : failed_settle(own, &what, code);
}

/* ---- What is told -----------------------------------------------------------------------------
 */

static const char *doing_of(const joining *own)
{
    bool stream = own->joined.model == WEIR_MODEL_STREAM;
    if (!settles(own)) {
        return own->command == NULL ? "prints records, which were settled before they came"
                                    : "runs the command for each record, settled before it came";
    }
    if (own->command == NULL) {
        return stream ? "prints records and commits them" : "prints records and accepts them";
    }
    return stream ? "runs the command for each record: exit code 0 commits it, others end this"
                  : "runs the command for each record: exit code 0 accepts it, 75 gives it back, "
                    "others are failures";
}

/* What the member is, and what it does with each record. */
static void joined_say(const joining *own)
{
    char lease[48] = "";
    if (own->joined.model == WEIR_MODEL_QUEUE && own->joined.lease_ms > 0) {
        snprintf(lease, sizeof(lease), ", leases of %.3g s", (double)own->joined.lease_ms / 1000);
    }
    weir_say("%s: a member (%s, %s%s): %s; Ctrl-C leaves in order", own->group,
             weir_model_name(own->joined.model), weir_mode_name(own->joined.mode), lease,
             doing_of(own));
}

static void nothing_owned_say(const joining *own, uint64_t generation)
{
    weir_client_groups groups = {0};
    bool none =
        weir_client_group_list(own->client, weir_bytes_of(own->group), &groups) == WEIR_OK &&
        groups.count == 1 && groups.groups[0].partition_count == 0;
    weir_client_groups_free(&groups);
    weir_say("%s: generation %" PRIu64 ": owns nothing: %s", own->group, generation,
             none ? "no topic that the group reads is there"
                  : "every partition has another owner, or is kept for one");
}

/* "orders 0, 1; bills 0", cut where it grows too long. */
static void owned_say(const joining *own, const weir_client_assigned *assigned)
{
    char text[OWNED_TEXT_MAX] = "";
    weir_bytes last = WEIR_BYTES_NULL;
    size_t len = 0;
    for (uint32_t i = 0; i < assigned->owned_count && len < sizeof(text); i++) {
        const weir_owned *one = &assigned->owned[i];
        bool same = i > 0 && weir_bytes_equal(last, one->topic);
        len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%.*s%s%" PRIu32,
                                same    ? ", "
                                : i > 0 ? "; "
                                        : "",
                                same ? 0 : (int)one->topic.len, (const char *)one->topic.ptr,
                                same ? "" : " ", one->partition);
        last = one->topic;
    }
    if (assigned->owned_count == 0) {
        nothing_owned_say(own, assigned->generation);
    } else {
        weir_say("%s: generation %" PRIu64 ": owns %s%s", own->group, assigned->generation, text,
                 len < sizeof(text) ? "" : " ...");
    }
}

/* ---- The loop ---------------------------------------------------------------------------------
 */

/* What a stream member owns may have changed: all it was handed is settled, so it gives up what it
 * is asked for. LEASE_LOST: it is out. */
static weir_err events_take(joining *own)
{
    weir_client_event event = {0};
    weir_err err;
    while ((err = weir_client_next(own->client, 0, &event)) == WEIR_OK) {
        if (event.kind == WEIR_CLIENT_DRAIN && own->talk) {
            weir_say("the gateway is closing");
        }
        if (event.kind != WEIR_CLIENT_ASSIGNED) {
            continue;
        }
        if (event.assigned.fenced) {
            return WEIR_LEASE_LOST;
        }
        if (own->talk && event.assigned.revoked_count == 0) {
            owned_say(own, &event.assigned);
        }
        if (event.assigned.revoked_count > 0) {
            err = weir_client_revoked(own->client, own->joined.member, event.assigned.generation);
            if (err != WEIR_OK) {
                return err;
            }
        }
    }
    return err == WEIR_TIMEOUT ? WEIR_OK : err;
}

/* The newest lease says how its records are settled; all of those before it are. */
static void terms_take(joining *own, const weir_client_leased *leased)
{
    bool other = leased->mode != WEIR_MODE_DEFAULT && leased->mode != own->joined.mode;
    if (own->joined.model == WEIR_MODEL_QUEUE) {
        own->joined.lease_ms = leased->lease_ms;
    }
    if (other) {
        own->joined.mode = leased->mode;
    }
    if (other && own->talk) {
        weir_say("%s: the group's mode was changed to %s: from now on this %s", own->group,
                 weir_mode_name(own->joined.mode), doing_of(own));
    }
}

static weir_err batch_take(joining *own)
{
    weir_client_leased leased = {0};
    long long left = own->count == 0 ? own->taken_max : own->count - own->done;
    long long wait_ms = WAIT_SLICE_MS;
    if (own->deadline_ms != 0 && own->deadline_ms - weir_now_ms() < wait_ms) {
        wait_ms = own->deadline_ms - weir_now_ms();
    }
    const weir_take take = {.records_max =
                                (uint32_t)(left < own->taken_max ? left : own->taken_max),
                            .wait_ms = (uint32_t)(wait_ms < 0 ? 0 : wait_ms)};
    weir_err err = weir_client_lease(own->client, own->joined.member, &take, &leased);
    if (err != WEIR_OK || leased.record_count == 0) {
        return err;
    }
    terms_take(own, &leased);
    if (own->command == NULL) {
        return batch_print(own, leased.record_count);
    }
    for (uint32_t i = 0; i < leased.record_count && err == WEIR_OK && !stopped; i++) {
        err = record_run(own, i);
    }
    return err;
}

/* Why the gateway knows the member no more. */
static void out_say(joining *own)
{
    weir_client_groups groups = {0};
    if (weir_client_group_list(own->client, weir_bytes_of(own->group), &groups) == WEIR_NOT_FOUND) {
        weir_say("%s: this member is out: the group was deleted", own->group);
    } else {
        weir_say("%s: this member is out: it said nothing for session_ms (%" PRId64
                 "), another of its --instance came, or the group was deleted and made again; join "
                 "again",
                 own->group, own->joined.session_ms);
    }
    weir_client_groups_free(&groups);
}

static weir_exit consume(joining *own)
{
    weir_err err = WEIR_OK;
    while (!stopped && err == WEIR_OK) {
        if (own->count != 0 && own->done >= own->count) {
            return WEIR_EXIT_DONE;
        }
        if (own->deadline_ms != 0 && weir_now_ms() >= own->deadline_ms) {
            return WEIR_EXIT_TIMEOUT;
        }
        err = batch_take(own);
        err = err == WEIR_OK ? events_take(own) : err;
    }
    if (err == WEIR_EMPTY) {
        return WEIR_EXIT_ERROR; /* it was told */
    }
    if (err == WEIR_LEASE_LOST || err == WEIR_NOT_FOUND) { /* the session has forgotten it, too */
        out_say(own);
        return WEIR_EXIT_ERROR;
    }
    return stopped ? WEIR_EXIT_DONE
                   : weir_group_refused(own->client, err, own->group, NULL, WEIR_GROUP_JOINS);
}

/* ---- The command line -------------------------------------------------------------------------
 */

static bool joining_read(const weir_arguments *arguments, joining *own)
{
    weir_output output = WEIR_OUTPUT_TABLE;
    long long wait_ms = 0;
    memset(own, 0, sizeof(*own));
    own->group = arguments->operands[0];
    own->format = weir_arguments_text(arguments, "format");
    own->command = weir_arguments_text(arguments, "exec");
    own->newline = !weir_arguments_has(arguments, "no-newline");
    own->talk = weir_may_talk(arguments);
    const char *wrong = own->format == NULL ? NULL : weir_format_check(own->format);
    if (wrong == NULL && own->command != NULL &&
        own->command[strspn(own->command, " \t\n")] == '\0') {
        wrong = "--exec needs a command: an empty one would settle every record unseen";
    }
    if (wrong != NULL) {
        weir_say("%s", wrong);
    }
    if (wrong != NULL || !weir_output_read(arguments, &output) ||
        !weir_arguments_number(arguments, "count", 1, INT64_MAX, 0, &own->count) ||
        !weir_arguments_number(arguments, "max", 1, TAKEN_MAX,
                               own->command != NULL ? 1 : TAKEN_DEFAULT, &own->taken_max) ||
        !weir_arguments_seconds(arguments, "wait", 1000000000, &wait_ms)) {
        return false;
    }
    own->json = output != WEIR_OUTPUT_TABLE;
    own->deadline_ms = wait_ms == 0 ? 0 : weir_now_ms() + wait_ms;
    return true;
}

/* A queue's member is no static one. False: it is not that. */
static bool instance_refused(weir_client *client, const char *group)
{
    weir_client_groups groups = {0};
    bool queue = weir_client_group_list(client, weir_bytes_of(group), &groups) == WEIR_OK &&
                 groups.count == 1 && groups.groups[0].options.model == WEIR_MODEL_QUEUE;
    if (queue) {
        weir_say("--instance is for stream groups, and %s is a queue group: leave it out", group);
    }
    weir_client_groups_free(&groups);
    return queue;
}

static weir_exit join_refused(weir_client *client, weir_err err, const char *group,
                              const weir_group_words *words)
{
    if (err != WEIR_NOT_FOUND || words->options.topic_count > 0) {
        return weir_group_refused(client, err, group, words->given ? &words->options : NULL,
                                  WEIR_GROUP_JOINS);
    }
    if (weir_group_name_told(group)) {
        return weir_exit_of(err);
    }
    weir_say("no group \"%.200s\" is there; say what it is to read, --topic TOPIC or --filter "
             "FILTER, and joining makes it",
             group);
    return weir_exit_of(err);
}

/* A member that is not named is called by its host and process. */
static const char *name_make(char name[NAME_MAX_BYTES])
{
    char host[65] = "";
    if (gethostname(host, sizeof(host) - 1) != 0 || host[0] == '\0') {
        snprintf(host, sizeof(host), "weir");
    }
    snprintf(name, NAME_MAX_BYTES, "%s-%ld", host, (long)getpid());
    return name;
}

weir_exit weir_run_group_join(const weir_arguments *arguments)
{
    weir_group_words words;
    joining own;
    weir_exit code = WEIR_EXIT_USAGE;
    if (!joining_read(arguments, &own) || !weir_group_words_read(arguments, &words) ||
        (words.options.model == WEIR_MODEL_QUEUE &&
         !weir_group_words_fit(&words, own.group, WEIR_MODEL_QUEUE)) ||
        !weir_connect(arguments, &own.client, &code)) {
        return code;
    }
    const char *name = weir_arguments_text(arguments, "name");
    char made[NAME_MAX_BYTES];
    const weir_client_join join = {.group = weir_bytes_of(own.group),
                                   .name = weir_bytes_of(name != NULL ? name : name_make(made)),
                                   .instance =
                                       weir_bytes_of(weir_arguments_text(arguments, "instance")),
                                   .options = words.given ? &words.options : NULL};
    if (join.instance.ptr != NULL && instance_refused(own.client, own.group)) {
        weir_client_close(own.client);
        return WEIR_EXIT_REFUSED;
    }
    weir_err err = weir_client_group_join(own.client, &join, &own.joined);
    if (err == WEIR_OK) {
        signals_watch();
        if (own.talk) {
            joined_say(&own);
        }
        code = consume(&own);
        (void)weir_client_leave(own.client, own.joined.member, true);
    } else {
        code = join_refused(own.client, err, own.group, &words);
    }
    weir_client_close(own.client);
    return code;
}
