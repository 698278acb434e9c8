/* clients/c/socket.h - a connected socket with what was read from it: waiting with a deadline, and
 * sending that goes on reading. For the transports over a stream; one thread. */
#ifndef WEIR_CLIENTS_C_SOCKET_H
#define WEIR_CLIENTS_C_SOCKET_H

#include "weir/base.h"
#include "core/base/buffer.h"

typedef struct weir_client_socket {
    int fd;
    bool ended; /* the gateway sends nothing more */
    weir_buffer in;
    size_t start; /* bytes before it are done with: the reader moves it */
} weir_client_socket;

/* Takes a descriptor and makes it not block. IO: it is none; still the caller's. */
weir_err weir_client_socket_init(weir_client_socket *link, int fd);
void weir_client_socket_fini(weir_client_socket *link); /* closes it */
/* Waits for POLLIN or POLLOUT, also when the deadline is past. TIMEOUT, IO. */
weir_err weir_client_socket_wait(const weir_client_socket *link, short events, int64_t deadline_ms);
/* Reads what there is; may move what is unread. OK also when there is nothing. CLOSED at the end;
 * NO_MEMORY. */
weir_err weir_client_socket_read(weir_client_socket *link);
weir_bytes weir_client_socket_unread(const weir_client_socket *link);
/* Gives the socket what it takes now and moves *bytes past that. OK also when it takes nothing.
 * CLOSED. */
weir_err weir_client_socket_give(weir_client_socket *link, weir_bytes *bytes);
/* All of it; reads while the socket takes none. TIMEOUT, CLOSED, IO, NO_MEMORY. */
weir_err weir_client_socket_send(weir_client_socket *link, weir_bytes bytes, int64_t deadline_ms);

/* Fills *fault and returns err. */
weir_err weir_client_fault(weir_fault *fault, weir_err err, int os_errno, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

#endif
