/* examples/adapter-lines/lines.c - a front end in a shared object: lines of text over TCP.
 *
 * One thread owns everything: a port to the engine, a listening socket, the clients. One turn of
 * it:
 *
 *     poll -> accept, read, submit one command a client -> step -> drain -> answers -> write
 *
 * Happy path: a line becomes an operation; its completion becomes the answer; then the next line is
 * looked at. Records become MSG lines while the client has credit, which follows what it reads.
 *
 * Failures: whatever is wrong with a client's bytes is answered with ERR and ends that client. A
 * full port makes the command wait for the next turn. A client that does not read is not read from,
 * and gets no credit.
 *
 * Invariants
 * [E1] One command of a client is in flight at a time: answers are in order.
 * [E2] A client is freed when its subscriber is closed and nothing of it is in flight. */
#include <weir/adapter.h>

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    CLIENTS_MAX = 256,
    LINE_BYTES_MAX = 65536,
    OUTPUT_BYTES_HIGH = 262144, /* above it a client is not read from and gets no credit */
    CREDIT_RECORDS = 64,
    CREDIT_BYTES = 262144,
    COMPLETIONS = 64,
    NAME_BYTES_MAX = 65535,
};

typedef struct client {
    int fd; /* -1: the place is free, or the client only waits for the engine */
    bool used;
    bool in_flight; /* [E1] */
    bool ended;     /* it will send nothing more; what it sent is still answered */
    bool closing;   /* no further line; closed once its output has left */
    bool failed;    /* its output is lost */
    bool says_bye;
    bool subscriber_closing;
    weir_subscriber *subscriber;
    uint64_t credit_records; /* to be granted */
    uint64_t credit_bytes;
    char *in;
    size_t in_len;
    char *out;
    size_t out_len;
    size_t out_capacity;
} client;

struct weir_adapter {
    weir_host *host;
    const char *address;
    uint16_t port_number;
    int listen_fd;
    int wake_fd;
    pthread_t thread;
    bool running;
    weir_port *port;
    atomic_bool draining;
    atomic_bool stopping;
    bool drained;
    atomic_ullong published;
    atomic_ullong delivered;
    atomic_ullong refused;
    atomic_ullong connections;
    client clients[CLIENTS_MAX];
};

static weir_err fault_set(weir_fault *fault, weir_err err, int number, const char *format, ...)
{
    va_list args;
    *fault = (weir_fault){.err = err, .os_errno = number};
    va_start(args, format);
    vsnprintf(fault->text, sizeof(fault->text), format, args);
    va_end(args);
    return err;
}

/* ---- Output -------------------------------------------------------------------------------- */

static void out_put(client *self, const char *bytes, size_t len)
{
    if (self->failed || self->fd < 0) {
        return;
    }
    if (self->out_capacity - self->out_len < len) {
        size_t capacity = (self->out_len + len) * 2;
        char *grown = realloc(self->out, capacity);
        if (grown == NULL) {
            self->failed = true;
            return;
        }
        self->out = grown;
        self->out_capacity = capacity;
    }
    memcpy(self->out + self->out_len, bytes, len);
    self->out_len += len;
}

static void out_text(client *self, const char *text)
{
    out_put(self, text, strlen(text));
}

static void out_escaped(client *self, weir_bytes value)
{
    const char *text = (const char *)value.ptr;
    size_t plain = 0; /* bytes in front of text[i] that go as they are */
    for (size_t i = 0; i < value.len; i++) {
        char escape = text[i] == '\n' ? 'n' : text[i] == '\r' ? 'r' : text[i] == '\\' ? '\\' : 0;
        if (escape != 0) {
            char pair[2] = {'\\', escape};
            out_put(self, text + i - plain, plain);
            out_put(self, pair, 2);
        }
        plain = escape != 0 ? 0 : plain + 1;
    }
    if (plain > 0) {
        out_put(self, text + value.len - plain, plain);
    }
}

static void answer(weir_adapter *adapter, client *self, weir_err err, const char *good)
{
    if (err == WEIR_OK) {
        out_text(self, "OK");
        out_text(self, good[0] != '\0' ? " " : "");
        out_text(self, good);
    } else {
        adapter->refused++;
        out_text(self, "ERR ");
        out_text(self, weir_err_name(err));
        out_text(self, " ");
        out_text(self, weir_err_text(err));
    }
    out_text(self, "\n");
}

static void out_flush(client *self)
{
    ssize_t sent = 0;
    if (self->out_len == 0 || self->fd < 0) {
        return;
    }
    sent = send(self->fd, self->out, self->out_len, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0) {
        self->failed = errno != EAGAIN && errno != EINTR;
        return;
    }
    self->out_len -= (size_t)sent;
    memmove(self->out, self->out + sent, self->out_len);
}

/* ---- Commands ------------------------------------------------------------------------------ */

/* Undoes the escapes in place; an escape that is none stays as it is. */
static size_t unescape(char *text, size_t len)
{
    size_t out = 0;
    for (size_t i = 0; i < len; i++) {
        char next = i + 1 < len ? text[i + 1] : '\0';
        if (text[i] == '\\' && (next == 'n' || next == 'r' || next == '\\')) {
            text[out++] = next == 'n' ? '\n' : next == 'r' ? '\r' : '\\';
            i++;
        } else {
            text[out++] = text[i];
        }
    }
    return out;
}

static weir_err publish(weir_adapter *adapter, client *self, char *rest, size_t len)
{
    char *space = memchr(rest, ' ', len);
    size_t name_len = space == NULL ? len : (size_t)(space - rest);
    size_t text_len = space == NULL ? 0 : len - name_len - 1;
    weir_publish record = {.name = {(uint8_t *)rest, name_len}};
    char *text = malloc(text_len + 1); /* the line itself may be looked at again: AGAIN */
    weir_err err = WEIR_NO_MEMORY;
    if (text != NULL) {
        memcpy(text, rest + len - text_len, text_len);
        record.value = (weir_bytes){(uint8_t *)text, unescape(text, text_len)};
        err = weir_port_publish(adapter->port, &record, self, 0);
        free(text);
    }
    return err;
}

static weir_err subscribe(weir_adapter *adapter, client *self, const char *rest, size_t len)
{
    weir_subscribe filter = {.filter = {(const uint8_t *)rest, len},
                             .retained = WEIR_RETAINED_SEND};
    if (self->subscriber == NULL) {
        weir_err err = weir_port_subscriber_open(adapter->port, self, &self->subscriber);
        if (err != WEIR_OK) {
            return err;
        }
        self->credit_records = CREDIT_RECORDS;
        self->credit_bytes = CREDIT_BYTES;
    }
    return weir_port_subscribe(adapter->port, self->subscriber, &filter, self, 0);
}

static weir_err line_submit(weir_adapter *adapter, client *self, char *line, size_t len)
{
    if (len > 4 && memcmp(line, "PUB ", 4) == 0) {
        return publish(adapter, self, line + 4, len - 4);
    }
    if (len > 4 && memcmp(line, "SUB ", 4) == 0) {
        return subscribe(adapter, self, line + 4, len - 4);
    }
    return WEIR_MALFORMED;
}

/* Submits lines until one is in flight; false: the port is full, try again next turn. */
static bool lines_submit(weir_adapter *adapter, client *self)
{
    while (!self->in_flight && !self->closing && self->in_len > 0) {
        char *end = memchr(self->in, '\n', self->in_len);
        size_t len = end == NULL ? 0 : (size_t)(end - self->in);
        weir_err err = WEIR_OK;
        if (end == NULL) {
            if (self->in_len == LINE_BYTES_MAX) {
                answer(adapter, self, WEIR_TOO_LARGE, "");
                self->closing = true;
            }
            return true;
        }
        err = line_submit(adapter, self, self->in, len > 0 && end[-1] == '\r' ? len - 1 : len);
        if (err == WEIR_AGAIN) {
            return false;
        }
        self->in_len -= len + 1;
        memmove(self->in, end + 1, self->in_len);
        self->in_flight = err == WEIR_OK;
        if (err != WEIR_OK) {
            answer(adapter, self, err, "");
            self->closing = err == WEIR_MALFORMED;
        }
    }
    return true;
}

/* ---- Completions --------------------------------------------------------------------------- */

static void records_write(weir_adapter *adapter, client *self, const weir_delivery *delivery)
{
    static uint8_t name[NAME_BYTES_MAX]; /* one thread */
    for (uint32_t i = 0; i < delivery->count; i++) {
        weir_record record;
        bool encoded = false;
        size_t len = 0;
        weir_chunk_record(delivery->chunk, delivery->first + i, &record);
        len = weir_record_name(weir_chunk_topic(delivery->chunk), record.key, name, sizeof(name),
                               &encoded);
        if (len <= sizeof(name)) {
            out_text(self, "MSG ");
            out_put(self, (const char *)name, len);
            out_text(self, " ");
            out_escaped(self, record.value);
            out_text(self, "\n");
        }
        self->credit_records++;
        self->credit_bytes += record.value.len + record.key.len;
        adapter->delivered++;
    }
}

static void completion_take(weir_adapter *adapter, weir_completion *completion)
{
    client *self = completion->user;
    char text[64];
    switch (completion->type) {
    case WEIR_COMPLETION_DELIVERY:
        records_write(adapter, self, &completion->delivery);
        break;
    case WEIR_COMPLETION_NOTICE:
        if (completion->notice.kind == WEIR_NOTICE_DROPPED) {
            snprintf(text, sizeof(text), "DROPPED %" PRIu64 "\n", completion->notice.count);
            out_text(self, text);
        }
        break;
    case WEIR_COMPLETION_CLOSED:
        self->subscriber = NULL;
        self->closing = true;
        break;
    case WEIR_COMPLETION_PUBLISH:
        adapter->published += completion->err == WEIR_OK;
        answer(adapter, self, completion->err, weir_level_name(completion->published.level));
        self->in_flight = false;
        break;
    default:
        answer(adapter, self, completion->err, "");
        self->in_flight = false;
        break;
    }
    weir_completion_drop(completion);
}

/* ---- Clients ------------------------------------------------------------------------------- */

static void clients_accept(weir_adapter *adapter)
{
    static const char full[] = "ERR limit Too many clients.\n";
    for (;;) {
        client *place = NULL;
        int fd = accept4(adapter->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0) {
            return;
        }
        for (size_t i = 0; i < CLIENTS_MAX && place == NULL; i++) {
            place = adapter->clients[i].used ? NULL : &adapter->clients[i];
        }
        if (place != NULL) {
            *place = (client){.fd = fd, .used = true, .in = malloc(LINE_BYTES_MAX)};
        }
        if (place == NULL || place->in == NULL) {
            adapter->refused++;
            (void)!send(fd, full, sizeof(full) - 1, MSG_NOSIGNAL);
            close(fd);
            if (place != NULL) {
                place->used = false;
            }
            continue;
        }
        adapter->connections++;
    }
}

static void client_read(client *self)
{
    ssize_t got = recv(self->fd, self->in + self->in_len, LINE_BYTES_MAX - self->in_len, 0);
    if (got > 0) {
        self->in_len += (size_t)got;
    } else if (got == 0 || (errno != EAGAIN && errno != EINTR)) {
        self->ended = true;
        self->failed = got < 0;
    }
}

static bool client_wants_input(const client *self)
{
    return self->fd >= 0 && !self->closing && !self->ended && self->in_len < LINE_BYTES_MAX &&
           self->out_len < OUTPUT_BYTES_HIGH;
}

static void client_credit(weir_adapter *adapter, client *self)
{
    if (self->subscriber != NULL && !self->subscriber_closing && self->credit_records > 0 &&
        self->out_len < OUTPUT_BYTES_HIGH &&
        weir_port_credit(adapter->port, self->subscriber, self->credit_records,
                         self->credit_bytes) == WEIR_OK) {
        self->credit_records = 0;
        self->credit_bytes = 0;
    }
}

/* Lets go of a closing client as far as that can be now; false: again next turn. [E2] */
static bool client_close(weir_adapter *adapter, client *self)
{
    if (self->in_flight) {
        return true;
    }
    if (self->subscriber != NULL) {
        if (!self->subscriber_closing) {
            self->subscriber_closing =
                weir_port_subscriber_close(adapter->port, self->subscriber, self, 0) == WEIR_OK;
        }
        return self->subscriber_closing;
    }
    if (self->says_bye) {
        self->says_bye = false;
        out_text(self, "BYE\n");
    }
    out_flush(self);
    if (self->out_len > 0 && !self->failed && !adapter->stopping) {
        return true; /* it takes the rest when it reads */
    }
    if (self->fd >= 0) {
        (void)shutdown(self->fd, SHUT_WR);
        (void)!recv(self->fd, self->in, LINE_BYTES_MAX, 0); /* unread bytes would reset it */
        close(self->fd);
    }
    free(self->in);
    free(self->out);
    *self = (client){.fd = -1};
    adapter->connections--;
    return true;
}

/* ---- The thread ---------------------------------------------------------------------------- */

static size_t polled_fill(weir_adapter *adapter, struct pollfd *polled)
{
    polled[0] = (struct pollfd){.fd = adapter->wake_fd, .events = POLLIN};
    polled[1] = (struct pollfd){.fd = weir_port_fd(adapter->port), .events = POLLIN};
    polled[2] = (struct pollfd){.fd = adapter->listen_fd, .events = POLLIN};
    for (size_t i = 0; i < CLIENTS_MAX; i++) {
        const client *self = &adapter->clients[i];
        short events =
            (short)((client_wants_input(self) ? POLLIN : 0) | (self->out_len > 0 ? POLLOUT : 0));
        polled[3 + i] =
            (struct pollfd){.fd = self->used && events != 0 ? self->fd : -1, .events = events};
    }
    return 3 + CLIENTS_MAX;
}

/* True when something came back, which may have a sequel. */
static bool port_turn(weir_adapter *adapter)
{
    weir_completion done[COMPLETIONS];
    size_t count = 0;
    bool any = false;
    weir_port_step(adapter->port);
    while ((count = weir_port_drain(adapter->port, done, COMPLETIONS)) > 0) {
        for (size_t i = 0; i < count; i++) {
            completion_take(adapter, &done[i]);
        }
        any = true;
    }
    return any;
}

/* What every client has to do this turn; false: somebody could not and has to try again soon. */
static bool clients_turn(weir_adapter *adapter, const struct pollfd *polled)
{
    bool done = true;
    for (size_t i = 0; i < CLIENTS_MAX; i++) {
        client *self = &adapter->clients[i];
        if (!self->used) {
            continue;
        }
        if ((polled[3 + i].revents & (POLLIN | POLLERR | POLLHUP)) != 0 && !self->closing) {
            client_read(self);
        }
        if ((adapter->draining || adapter->stopping) && !self->closing) {
            self->says_bye = !adapter->stopping;
            self->closing = true;
        }
        done = lines_submit(adapter, self) && done;
    }
    return done;
}

static bool client_is_done(const client *self)
{
    return !self->in_flight && memchr(self->in, '\n', self->in_len) == NULL;
}

static bool clients_finish(weir_adapter *adapter, size_t *left)
{
    bool done = true;
    *left = 0;
    for (size_t i = 0; i < CLIENTS_MAX; i++) {
        client *self = &adapter->clients[i];
        if (!self->used) {
            continue;
        }
        done = lines_submit(adapter, self) && done; /* the next command after an answer */
        client_credit(adapter, self);
        out_flush(self);
        self->closing = self->closing || self->failed || (self->ended && client_is_done(self));
        if (self->closing) {
            done = client_close(adapter, self) && done;
        }
        *left += self->used;
    }
    return done;
}

static void *thread_run(void *arg)
{
    weir_adapter *adapter = arg;
    struct pollfd polled[3 + CLIENTS_MAX];
    size_t left = 0;
    bool again = false;
    for (size_t i = 0; i < CLIENTS_MAX; i++) {
        adapter->clients[i].fd = -1;
    }
    while (!adapter->stopping || left > 0) {
        int wait_ms = again ? 0 : weir_port_next_ms(adapter->port);
        uint64_t ignored = 0;
        size_t count = polled_fill(adapter, polled);
        (void)poll(polled, count, wait_ms);
        (void)!read(adapter->wake_fd, &ignored, sizeof(ignored));
        if (adapter->draining && adapter->listen_fd >= 0) {
            close(adapter->listen_fd); /* whoever comes now is refused by the system */
            adapter->listen_fd = -1;
        } else if ((polled[2].revents & POLLIN) != 0) {
            clients_accept(adapter);
        }
        again = !clients_turn(adapter, polled);
        (void)port_turn(adapter);
        again = !clients_finish(adapter, &left) || again;
        again = port_turn(adapter) || again; /* credit, and what followed an answer */
        if (adapter->draining && left == 0 && !adapter->drained) {
            adapter->drained = true;
            adapter->host->ops->drained(adapter->host);
        }
    }
    return NULL;
}

/* ---- The table ----------------------------------------------------------------------------- */

static weir_err lines_configure(weir_host *host, weir_adapter **out, weir_fault *fault)
{
    const char *port = host->ops->setting(host, "port");
    const char *address = host->ops->setting(host, "address");
    char *end = NULL;
    struct in_addr parsed;
    weir_adapter *adapter = NULL;
    unsigned long number = port == NULL ? 9400 : strtoul(port, &end, 10);
    if (port != NULL && (*port < '0' || *port > '9' || *end != '\0' || number > 65535)) {
        return fault_set(fault, WEIR_INVALID, 0,
                         "lines.port is \"%.64s\": give a whole number from 0 to 65535.", port);
    }
    if (address != NULL && inet_pton(AF_INET, address, &parsed) != 1) {
        return fault_set(fault, WEIR_INVALID, 0,
                         "lines.address is \"%.64s\": give a numeric IPv4 address.", address);
    }
    adapter = calloc(1, sizeof(*adapter));
    if (adapter == NULL) {
        return fault_set(fault, WEIR_NO_MEMORY, 0, "lines: there is no memory to start.");
    }
    adapter->host = host;
    adapter->address = address == NULL ? "127.0.0.1" : address;
    adapter->port_number = (uint16_t)number;
    adapter->listen_fd = -1;
    adapter->wake_fd = -1;
    *out = adapter;
    return WEIR_OK;
}

static void all_close(weir_adapter *adapter)
{
    if (adapter->port != NULL) {
        weir_port_close(adapter->port);
        adapter->port = NULL;
    }
    if (adapter->listen_fd >= 0) {
        close(adapter->listen_fd);
        adapter->listen_fd = -1;
    }
    if (adapter->wake_fd >= 0) {
        close(adapter->wake_fd);
        adapter->wake_fd = -1;
    }
}

static int listen_open(weir_adapter *adapter, struct sockaddr_in *address)
{
    int one = 1;
    socklen_t len = sizeof(*address);
    *address = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(adapter->port_number)};
    (void)inet_pton(AF_INET, adapter->address, &address->sin_addr);
    adapter->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (adapter->listen_fd < 0) {
        return errno;
    }
    (void)setsockopt(adapter->listen_fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    /* Accepted sockets inherit it: an answer is not held back until the one before was received. */
    (void)setsockopt(adapter->listen_fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (bind(adapter->listen_fd, (struct sockaddr *)address, sizeof(*address)) != 0 ||
        listen(adapter->listen_fd, 128) != 0 ||
        getsockname(adapter->listen_fd, (struct sockaddr *)address, &len) != 0) {
        return errno;
    }
    return 0;
}

static weir_err lines_start(weir_adapter *adapter, weir_fault *fault)
{
    struct sockaddr_in address;
    char text[64];
    sigset_t all;
    sigset_t before;
    int number = listen_open(adapter, &address);
    if (number != 0) {
        all_close(adapter);
        return fault_set(fault, number == EADDRINUSE ? WEIR_EXISTS : WEIR_IO, number,
                         "lines: cannot listen on %s:%u (%s): stop who does, or change lines.port.",
                         adapter->address, adapter->port_number, strerror(number));
    }
    adapter->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (adapter->wake_fd < 0 || weir_port_open(adapter->host->engine, &adapter->port) != WEIR_OK) {
        all_close(adapter);
        return fault_set(fault, WEIR_IO, errno, "lines: no descriptor or memory for a port.");
    }
    sigfillset(&all); /* signals are the gateway's */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    number = pthread_create(&adapter->thread, NULL, thread_run, adapter);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (number != 0) {
        all_close(adapter);
        return fault_set(fault, WEIR_IO, number, "lines: no thread (%s).", strerror(number));
    }
    adapter->running = true;
    snprintf(text, sizeof(text), "%s:%u", adapter->address, ntohs(address.sin_port));
    adapter->host->ops->announce(adapter->host, "lines", text);
    return WEIR_OK;
}

static void wake(weir_adapter *adapter)
{
    uint64_t one = 1;
    (void)!write(adapter->wake_fd, &one, sizeof(one));
}

static void lines_drain(weir_adapter *adapter)
{
    adapter->draining = true;
    wake(adapter);
}

static void lines_stop(weir_adapter *adapter)
{
    if (adapter->running) {
        adapter->stopping = true;
        wake(adapter);
        pthread_join(adapter->thread, NULL);
    }
    all_close(adapter);
    free(adapter);
}

static void lines_stats(weir_adapter *adapter,
                        void (*each)(void *arg, const char *metric, uint64_t value), void *arg)
{
    each(arg, "weir_lines_connections", adapter->connections);
    each(arg, "weir_lines_published_total", adapter->published);
    each(arg, "weir_lines_delivered_total", adapter->delivered);
    each(arg, "weir_lines_refused_total", adapter->refused);
}

static const weir_adapter_ops ops = {
    .abi = WEIR_ADAPTER_ABI,
    .name = "lines",
    .version = "1.0",
    .configure = lines_configure,
    .start = lines_start,
    .drain = lines_drain,
    .stop = lines_stop,
    .stats = lines_stats,
};

WEIR_ADAPTER_EXPORT const weir_adapter_ops *weir_adapter_entry(void);

const weir_adapter_ops *weir_adapter_entry(void)
{
    return &ops;
}
