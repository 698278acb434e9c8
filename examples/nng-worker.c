/* examples/nng-worker.c - a worker that has nothing but nng, in two ways that lose differently.
 *
 *     cc nng-worker.c $(pkg-config --cflags --libs jansson) -lnng -o nng-worker
 *     weir queue create jobs --lease-ms 5000 --delivery-limit 20
 *
 *     ./nng-worker lease tcp://127.0.0.1:9348 jobs     # REQ to the gateway's REP
 *     ./nng-worker pull  tcp://127.0.0.1:9351          # PULL from the gateway's PUSH
 *
 * Both do the same work and print a line per record when it is done; a record whose value is `end`
 * ends the worker. A third argument of pull, a fourth of lease, is how many milliseconds each record
 * takes.
 *
 *     pull    gateway --record--> [socket] [socket] --record--> work
 *             Whatever is in the two sockets and in this program goes when the program goes: the
 *             gateway has given it away and nobody has it.
 *
 *     lease   work <--records and their leases-- gateway
 *             work --accept-------------------> gateway
 *             The record stays in the gateway, on its disk, until it is accepted. A worker that is
 *             killed accepts nothing, and when its lease is over another gets the record.
 *
 * The price of lease is that a record may be worked on twice: killed between the work and the accept.
 *
 * Failures: the gateway may go and come again. REQ sends its request again by itself; a new gateway
 * does not know the session then (`not-found`), so the worker says hello and joins anew. An accept
 * that is refused (`lease-lost`) was too late: the record is another worker's by now. */
#include <jansson.h>
#include <nng/nng.h>
#include <nng/protocol/pipeline0/pull.h>
#include <nng/protocol/reqrep0/req.h>
#include <nng/supplemental/util/platform.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TAKE = 16, WAIT_MS = 2000, RESEND_MS = 2 * WAIT_MS + 1000 };

static int work_ms = 0;

/* False when it was the last one. */
static bool work(const char *text, int len)
{
    nng_msleep(work_ms);
    printf("%.*s\n", len, text);
    fflush(stdout);
    return len != 3 || memcmp(text, "end", 3) != 0;
}

static void check(int code, const char *what)
{
    if (code != 0) {
        fprintf(stderr, "nng-worker: %s: %s\n", what, nng_strerror(code));
        exit(1);
    }
}

/* ---- pull: what the gateway pushes is this program's, whatever becomes of it -------------------- */

static void pull(const char *url)
{
    nng_socket socket;
    bool more = true;
    check(nng_pull0_open(&socket), "pull");
    check(nng_dial(socket, url, NULL, NNG_FLAG_NONBLOCK), url);
    while (more) {
        char *body = NULL;
        size_t len = 0;
        check(nng_recv(socket, &body, &len, NNG_FLAG_ALLOC), "receive");
        const char *nul = memchr(body, '\0', len); /* name | 00 | value */
        if (nul != NULL) {
            more = work(nul + 1, (int)(len - (size_t)(nul + 1 - body)));
        }
        nng_free(body, len);
    }
    nng_close(socket);
}

/* ---- lease: what the gateway lends is kept there until it is accepted --------------------------- */

typedef struct worker {
    nng_socket socket;
    const char *group;
    char session[64];
    json_int_t member;
} worker;

/* Sends one command (which it takes) and waits for its answer, which is the caller's. */
static json_t *ask(worker *own, json_t *command)
{
    char *body = NULL;
    size_t len = 0;
    json_error_t error;
    if (own->session[0] != '\0') {
        json_object_set_new(command, "session", json_string(own->session));
    }
    char *text = json_dumps(command, JSON_COMPACT);
    json_decref(command);
    check(text == NULL ? NNG_ENOMEM : nng_send(own->socket, text, strlen(text), 0), "send");
    free(text);
    check(nng_recv(own->socket, &body, &len, NNG_FLAG_ALLOC), "receive");
    json_t *answer = json_loadb(body, len, 0, &error);
    nng_free(body, len);
    if (answer == NULL) {
        fprintf(stderr, "nng-worker: the gateway's answer: %s\n", error.text);
        exit(1);
    }
    return answer;
}

/* Null: it was done. */
static const char *code_of(const json_t *answer)
{
    return json_string_value(json_object_get(json_object_get(answer, "error"), "code"));
}

/* Ends the program when the gateway refuses, with the gateway's reason. */
static json_t *must(json_t *answer)
{
    if (code_of(answer) != NULL) {
        fprintf(stderr, "nng-worker: %s\n",
                json_string_value(json_object_get(json_object_get(answer, "error"), "text")));
        exit(1);
    }
    return answer;
}

/* A session, and in it a membership. Also after the gateway has forgotten both. */
static void enter(worker *own)
{
    own->session[0] = '\0';
    json_t *hello = must(ask(own, json_pack("{s:s, s:i}", "cmd", "hello", "version", 1)));
    snprintf(own->session, sizeof(own->session), "%s",
             json_string_value(json_object_get(hello, "session")));
    json_t *join = must(ask(own, json_pack("{s:s, s:s}", "cmd", "join", "group", own->group)));
    own->member = json_integer_value(json_object_get(join, "member"));
    json_decref(hello);
    json_decref(join);
}

/* Up to TAKE records under one lease. When the gateway forgot this worker: none, after entering. */
static json_t *lease(worker *own)
{
    json_t *answer = ask(own, json_pack("{s:s, s:I, s:i, s:i}", "cmd", "lease", "member",
                                        own->member, "max", TAKE, "wait_ms", WAIT_MS));
    const char *code = code_of(answer);
    if (code != NULL && (strcmp(code, "not-found") == 0 || strcmp(code, "lease-lost") == 0)) {
        enter(own);
        return answer;
    }
    return must(answer);
}

/* Each record alone, as soon as it is done: a worker killed in the middle of a lease has done the
 * first ones for good. An accept that comes too late is no failure of this worker. */
static void accept_one(worker *own, const json_t *record)
{
    json_t *which =
        json_pack("{s:O, s:O, s:O, s:O}", "topic", json_object_get(record, "topic"), "partition",
                  json_object_get(record, "partition"), "offset", json_object_get(record, "offset"),
                  "lease", json_object_get(record, "lease"));
    json_t *answer = ask(own, json_pack("{s:s, s:I, s:s, s:[o]}", "cmd", "settle", "member",
                                        own->member, "verb", "accept", "records", which));
    if (code_of(answer) != NULL) {
        fprintf(stderr, "nng-worker: not accepted: %s\n", code_of(answer));
    }
    json_decref(answer);
}

static void work_on_leases(const char *url, const char *group)
{
    worker own = {.group = group};
    bool more = true;
    check(nng_req0_open(&own.socket), "req");
    /* Longer than the longest wait: else the same command would be asked twice for no reason. */
    check(nng_socket_set_ms(own.socket, NNG_OPT_REQ_RESENDTIME, RESEND_MS), "resend time");
    check(nng_dial(own.socket, url, NULL, NNG_FLAG_NONBLOCK), url);
    enter(&own);
    while (more) {
        json_t *answer = lease(&own);
        json_t *record;
        size_t index;
        json_array_foreach(json_object_get(answer, "records"), index, record)
        {
            const json_t *value = json_object_get(record, "value"); /* none: bytes, in base64 */
            const char *text = json_string_value(value);
            more = work(text == NULL ? "" : text, (int)json_string_length(value)) && more;
            accept_one(&own, record);
        }
        json_decref(answer);
    }
    json_decref(ask(&own, json_pack("{s:s}", "cmd", "goodbye")));
    nng_close(own.socket);
}

int main(int argc, char **argv)
{
    bool leases = argc >= 4 && strcmp(argv[1], "lease") == 0;
    if (!leases && !(argc >= 3 && strcmp(argv[1], "pull") == 0)) {
        fprintf(stderr, "usage: nng-worker lease URL GROUP [WORK_MS] | nng-worker pull URL "
                        "[WORK_MS]\n");
        return 2;
    }
    if (leases) {
        work_ms = argc > 4 ? atoi(argv[4]) : 0;
        work_on_leases(argv[2], argv[3]);
    } else {
        work_ms = argc > 3 ? atoi(argv[3]) : 0;
        pull(argv[2]);
    }
    return 0;
}
