/* clients/c/client_private.h - what the files of the client share.
 *
 *   client.c    the conversation: hello, one command and its answer, what was pushed meanwhile
 *   publish.c   one record, many records in batches, batches in frames
 *   large.c     records that are too large for a text message
 *   read.c      subscriptions, events, fetch
 *   topics.c    topics and queries
 *   groups.c    groups: declared, listed, reset; the story of a record
 *   members.c   members of groups: join, lease, settle, commit, leave
 *   socket.c    a socket: reading ahead, waiting, sending
 *   stream.c    the stream socket
 *   transport_websocket.c  WebSocket
 *   transport_nng.c  nng's REQ */
#ifndef WEIR_CLIENTS_C_CLIENT_PRIVATE_H
#define WEIR_CLIENTS_C_CLIENT_PRIVATE_H

#include "weir/client.h"

#include "adapters/proto/weir1/frame.h"
#include "adapters/proto/weir1/json.h"
#include "adapters/proto/weir1/record_json.h"
#include "clients/c/transport.h"

enum {
    WEIR_CLIENT_TIMEOUT_MS = 30000,
    WEIR_CLIENT_BATCH_RECORDS = 512, /* records that send gathers into one message */
    WEIR_CLIENT_BATCH_BYTES = 128 * 1024,
    WEIR_CLIENT_WINDOW = 16,           /* batches that are not yet answered */
    WEIR_CLIENT_LEASE_BYTES = 1048576, /* of a lease that does not say how many */
    WEIR_CLIENT_QUEUE_MAX = 65536,     /* pushed messages kept while an answer is waited for */
};

/* A pushed message that nobody has asked for yet. */
typedef struct weir_client_pushed {
    struct weir_client_pushed *next;
    weir_v1_document document;
} weir_client_pushed;

/* A batch of records under way. */
typedef struct weir_client_batch {
    uint64_t id; /* 0: free */
    uint32_t count;
    uint64_t tokens[WEIR_CLIENT_BATCH_RECORDS];
} weir_client_batch;

/* leases.c: the newest lease by batches. Zeroed at first. */
typedef struct weir_client_lease_state {
    weir_buffer bytes; /* the runs as they came */
    weir_client_leased_run *runs;
    uint32_t run_count;
    uint32_t run_room;
    uint64_t member;
    uint64_t epoch;
    uint8_t *plain; /* of the compressed batch that was read last */
    size_t plain_bytes;
    const uint8_t *plain_of;
    weir_header *headers; /* of the record that was read last */
    uint32_t header_room;
} weir_client_lease_state;
void weir_client_lease_state_fini(weir_client_lease_state *state);

struct weir_client {
    const weir_client_transport *transport;
    weir_client_link *link;
    uint32_t timeout_ms;
    bool broken; /* nothing can be sent or read any more */
    bool draining;
    bool topic_created; /* by the newest topic_create */
    bool group_created; /* by the newest group_create */
    uint64_t id_last;
    char server[64];
    weir_limits limits;
    char error[WEIR_V1_WHY_MAX + 64];
    char error_field[64];

    weir_buffer out;     /* the command being written */
    weir_buffer decoded; /* the text of a frame that is kept, or of a query */

    weir_client_pushed *pushed; /* oldest first */
    weir_client_pushed **pushed_tail;
    uint32_t pushed_count;

    weir_v1_document event; /* the message whose records next gives */
    uint32_t event_index;
    uint64_t event_subscription;
    uint64_t event_member;
    weir_mode event_mode;
    weir_owned *owned; /* of the newest ASSIGNED event; those revoked behind those owned */
    weir_v1_document fetched;
    weir_v1_document leased; /* the newest lease's answer */
    uint64_t leased_member;
    weir_mode leased_mode;
    weir_client_lease_state lease;
    weir_v1_fields fields;

    weir_buffer gathered; /* records of a batch that is not sent yet */
    weir_client_batch *gathering;
    uint32_t batch_count;       /* under way */
    weir_client_batch *batches; /* WEIR_CLIENT_WINDOW + 1 of them, made by the first send */
    weir_client_result_fn result_fn;
    void *result_arg;
    weir_err first_failure;
    char first_text[WEIR_V1_WHY_MAX + 64];
};

/* What an answer is waited for by: an id of text, or the request id of a frame. */
typedef struct weir_client_answer {
    weir_v1_document document; /* the caller's to fini */
    weir_v1_frame frame;       /* points into the link's buffer: valid until the next receive */
} weir_client_answer;

weir_err weir_client_fail(weir_client *client, weir_err err, const char *text);
int64_t weir_client_deadline(const weir_client *client);
/* {"cmd":"NAME","id":N in client->out; the caller appends members. *id: the number. */
weir_v1_writer weir_client_begin(weir_client *client, const char *command, uint64_t *id);
/* Closes the object, sends it. */
weir_err weir_client_end(weir_client *client, weir_v1_writer *writer);
weir_err weir_client_write(weir_client *client, weir_bytes message);
/* The answer to that id; an error in it is the result. What is pushed meanwhile is kept. */
weir_err weir_client_wait(weir_client *client, uint64_t id, int64_t deadline_ms,
                          weir_v1_document *document);
/* The same, but an error in it is the caller's to find. */
weir_err weir_client_wait_any(weir_client *client, uint64_t id, int64_t deadline_ms,
                              weir_v1_document *document);
weir_err weir_client_wait_frame(weir_client *client, uint64_t request, int64_t deadline_ms,
                                weir_v1_frame *frame);
/* end and wait, for commands whose answer says nothing more. */
weir_err weir_client_run(weir_client *client, weir_v1_writer *writer, uint64_t id);
/* Takes one message off the link and puts it where it belongs: with an id among the batches, pushed
 * ones in the queue. *document: an answer to another id, or nothing (root NULL). */
weir_err weir_client_receive(weir_client *client, int64_t deadline_ms, weir_v1_document *document,
                             weir_v1_frame *frame);
weir_err weir_client_error_of(weir_client *client, const weir_v1_node *answer);
weir_err weir_client_code(weir_bytes code); /* the error of a wire name; UNSUPPORTED: unknown */
/* large.c: sends the record as a frame. */
weir_err weir_client_publish_large(weir_client *client, const weir_publish *record,
                                   weir_published *published);
/* publish.c: true when the answer was one of a batch. */
bool weir_client_batch_answer(weir_client *client, uint64_t id, const weir_v1_node *answer);
void weir_client_text_member(weir_v1_writer *writer, const char *member, weir_bytes text);
void weir_client_number_member(weir_v1_writer *writer, const char *member, uint64_t value);
int64_t weir_client_integer(const weir_v1_node *node, const char *member); /* 0: missing */
/* end and wait for the answer; its error is the result. */
weir_err weir_client_ask(weir_client *client, weir_v1_writer *writer, uint64_t id,
                         int64_t deadline_ms, weir_v1_document *answer);
/* Takes a document in as if it had been pushed: an event of weir_client_next. */
weir_err weir_client_push_back(weir_client *client, weir_v1_document *document);
void weir_client_integer_member(weir_v1_writer *writer, const char *member, int64_t value);
/* read.c: a record as JSON. */
/* In which mode a message's records were handed out. */
weir_mode weir_client_mode_of(const weir_v1_node *root);
/* INVALID, told: what is shown to people, on terminals too, is UTF-8 without control characters. */
weir_err weir_client_line_check(weir_client *client, weir_bytes text);
weir_err weir_client_record_of(weir_client *client, const weir_v1_node *node, uint64_t member,
                               weir_client_record *record);
/* members.c: an ASSIGNED event of a message of type assigned. */
weir_err weir_client_assigned_of(weir_client *client, const weir_v1_node *root,
                                 weir_client_event *event);
/* groups.c: the members of a command that say what a group is. */
void weir_client_group_words(weir_v1_writer *writer, const weir_group_options *options);
bool weir_client_group_words_fit(const weir_group_options *options);
void weir_client_published_of(const weir_v1_node *answer, weir_published *published);

#endif
