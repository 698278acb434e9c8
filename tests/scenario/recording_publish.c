/* tests/scenario/recording_publish.c - publishes the lines of a file with libmosquitto at QoS 1,
 * through any number of lost connections, and tells what it knows of each line.
 *
 *   usage: recording_publish PORTS LINES VERSION WINDOW SECONDS
 *
 * PORTS is the ports file of a gateway, read again for each connection. LINES has on each line a
 * topic name, a tab and a payload. At most WINDOW lines are unanswered at any time. libmosquitto
 * itself sends what is unanswered again on a new connection, in order, under the same packet ids.
 *
 *   standard output:  acked N              N lines are acknowledged by now; after every turn
 *                     lost A B C ...       a connection ended; the lines A B C, or none, were
 * unanswered done N               all N lines are acknowledged
 *
 * Exit code 1, with a sentence, when an acknowledgement does not fit or SECONDS have passed. */
#include <mosquitto.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { IDS = 65536, LOOP_MS = 20, RETRY_MS = 2, KEEP_ALIVE_S = 60 };

typedef struct line {
    char *name;
    char *payload;
} line;

typedef struct publisher {
    struct mosquitto *client;
    const char *ports;
    line *lines;
    size_t count;
    size_t sent;       /* lines given to libmosquitto; they are answered in order */
    size_t acked;      /* lines below it are acknowledged */
    size_t told;       /* acked, as last printed */
    size_t of_id[IDS]; /* line + 1 for each packet id in flight */
    bool connected;    /* CONNACK came */
    bool wanted;       /* a connection was asked for and has not ended */
    struct timespec until;
} publisher;

static void stop(const char *text)
{
    (void)fprintf(stderr, "recording_publish: %s\n", text);
    exit(1);
}

static bool passed(const struct timespec *until)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec > until->tv_sec ||
           (now.tv_sec == until->tv_sec && now.tv_nsec >= until->tv_nsec);
}

static void on_connect(struct mosquitto *client, void *arg, int code)
{
    (void)client;
    ((publisher *)arg)->connected = code == 0;
}

/* Acknowledgements leave the gateway in the order of the publishes. */
static void on_publish(struct mosquitto *client, void *arg, int id)
{
    publisher *own = arg;
    (void)client;
    if (own->of_id[id] != own->acked + 1) {
        stop("an acknowledgement came out of order, or for nothing");
    }
    own->of_id[id] = 0;
    own->acked++;
}

static void acked_tell(publisher *own)
{
    if (own->acked > own->told) {
        own->told = own->acked;
        (void)printf("acked %zu\n", own->told);
        (void)fflush(stdout);
    }
}

static void on_disconnect(struct mosquitto *client, void *arg, int code)
{
    publisher *own = arg;
    (void)client;
    (void)code;
    acked_tell(own); /* before: what is acknowledged after this word came over a new connection */
    if (own->connected) {
        (void)fputs("lost", stdout);
        for (size_t i = own->acked; i < own->sent; i++) {
            (void)printf(" %zu", i);
        }
        (void)fputc('\n', stdout);
        (void)fflush(stdout);
    }
    own->connected = false;
    own->wanted = false;
}

/* MQTT's port in the ports file; 0 while there is none. */
static int port_read(const char *path)
{
    char text[512];
    int port = 0;
    FILE *file = fopen(path, "re");
    while (file != NULL && fgets(text, sizeof(text), file) != NULL) {
        const char *colon = strrchr(text, ':');
        if (strncmp(text, "mqtt ", 5) == 0 && colon != NULL) {
            port = (int)strtol(colon + 1, NULL, 10);
        }
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    return port;
}

static void pause_briefly(void)
{
    const struct timespec time = {.tv_nsec = RETRY_MS * 1000000};
    (void)nanosleep(&time, NULL);
}

static void connect_try(publisher *own)
{
    int port = port_read(own->ports);
    if (port == 0 ||
        mosquitto_connect(own->client, "127.0.0.1", port, KEEP_ALIVE_S) != MOSQ_ERR_SUCCESS) {
        pause_briefly(); /* it is being started */
        return;
    }
    own->wanted = true;
}

static void send_one(publisher *own)
{
    const line *at = &own->lines[own->sent];
    int id = 0;
    int err = mosquitto_publish(own->client, &id, at->name, (int)strlen(at->payload), at->payload,
                                1, false);
    /* A write that failed is no refusal: the message is libmosquitto's, and will be sent again. */
    if (err != MOSQ_ERR_SUCCESS && err != MOSQ_ERR_NO_CONN && err != MOSQ_ERR_CONN_LOST &&
        err != MOSQ_ERR_ERRNO) {
        stop(mosquitto_strerror(err));
    }
    own->of_id[id] = ++own->sent;
}

static void turn(publisher *own, size_t window)
{
    if (!own->wanted) {
        connect_try(own);
        return;
    }
    while (own->connected && own->sent < own->count && own->sent - own->acked < window) {
        send_one(own);
    }
    int err = mosquitto_loop(own->client, LOOP_MS, 1);
    if (err != MOSQ_ERR_SUCCESS && own->wanted) {
        on_disconnect(own->client, own, err);
    }
    acked_tell(own);
}

/* Splits the file into lines, in place. */
static void lines_read(publisher *own, const char *path)
{
    FILE *file = fopen(path, "rbe");
    if (file == NULL || fseek(file, 0, SEEK_END) != 0) {
        stop("the lines cannot be read");
    }
    size_t size = (size_t)ftell(file);
    char *text = malloc(size + 1);
    rewind(file);
    if (text == NULL || fread(text, 1, size, file) != size) {
        stop("the lines cannot be read");
    }
    (void)fclose(file);
    text[size] = '\0';
    for (const char *at = text; *at != '\0'; at++) {
        own->count += *at == '\n';
    }
    own->lines = calloc(own->count + 1, sizeof(*own->lines));
    if (own->lines == NULL) {
        stop("no memory");
    }
    char *rest = NULL;
    char *next = strtok_r(text, "\n", &rest);
    for (size_t i = 0; i < own->count && next != NULL; i++, next = strtok_r(NULL, "\n", &rest)) {
        char *tab = strchr(next, '\t');
        if (tab == NULL) {
            stop("a line without a tab");
        }
        *tab = '\0';
        own->lines[i] = (line){next, tab + 1};
    }
}

int main(int argc, char **argv)
{
    static publisher own;
    if (argc != 6) {
        (void)fprintf(stderr, "usage: recording_publish PORTS LINES VERSION WINDOW SECONDS\n");
        return 2;
    }
    int version = (int)strtol(argv[3], NULL, 10);
    size_t window = (size_t)strtoul(argv[4], NULL, 10);
    own.ports = argv[1];
    lines_read(&own, argv[2]);
    (void)clock_gettime(CLOCK_MONOTONIC, &own.until);
    own.until.tv_sec += strtol(argv[5], NULL, 10);
    (void)mosquitto_lib_init();
    own.client = mosquitto_new("recording", true, &own);
    if (own.client == NULL ||
        mosquitto_int_option(own.client, MOSQ_OPT_PROTOCOL_VERSION, version) != MOSQ_ERR_SUCCESS ||
        mosquitto_max_inflight_messages_set(own.client, (unsigned)window) != MOSQ_ERR_SUCCESS) {
        stop("no client");
    }
    mosquitto_connect_callback_set(own.client, on_connect);
    mosquitto_publish_callback_set(own.client, on_publish);
    mosquitto_disconnect_callback_set(own.client, on_disconnect);
    while (own.acked < own.count) {
        if (passed(&own.until)) {
            stop("not everything was acknowledged in time");
        }
        turn(&own, window);
    }
    (void)printf("done %zu\n", own.acked);
    (void)mosquitto_disconnect(own.client);
    mosquitto_destroy(own.client);
    (void)mosquitto_lib_cleanup();
    return 0;
}
