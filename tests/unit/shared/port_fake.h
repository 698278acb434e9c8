/* tests/unit/shared/port_fake.h - a port without an engine, for tests of the loops alone.
 *
 * Every publish completes at the next step, in order; steps are counted. The rest of port.h is not
 * there: what the room needs of it is all that links. */
#ifndef WEIR_TESTS_UNIT_SHARED_PORT_FAKE_H
#define WEIR_TESTS_UNIT_SHARED_PORT_FAKE_H

#include "weir/port.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { FAKE_RING = 4096 };

struct weir_port {
    int fd;
    atomic_int next_ms;
    atomic_ulong steps;
    size_t submitted;
    size_t finished;
    size_t drained;
    weir_completion ring[FAKE_RING];
};

static weir_port *fake_ports[64];
static atomic_uint fake_port_count;

weir_err weir_port_open(weir_engine *engine, weir_port **port)
{
    (void)engine;
    *port = calloc(1, sizeof(**port));
    (*port)->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    (*port)->next_ms = -1;
    fake_ports[fake_port_count++ % 64] = *port;
    return WEIR_OK;
}

void weir_port_close(weir_port *port)
{
    close(port->fd);
    free(port);
}

void weir_port_step(weir_port *port)
{
    uint64_t value = 0;
    ssize_t got = read(port->fd, &value, sizeof(value));
    (void)got;
    port->steps++;
    port->finished = port->submitted;
}

size_t weir_port_drain(weir_port *port, weir_completion *out, size_t max)
{
    size_t count = 0;
    while (count < max && port->drained < port->finished) {
        out[count++] = port->ring[port->drained++ % FAKE_RING];
    }
    return count;
}

int weir_port_fd(const weir_port *port)
{
    return port->fd;
}

int weir_port_next_ms(const weir_port *port)
{
    return port->next_ms;
}

void weir_completion_drop(weir_completion *completion)
{
    *completion = (weir_completion){0};
}

weir_err weir_port_publish(weir_port *port, const weir_publish *publish, void *user, uint64_t token)
{
    (void)publish;
    assert(port->submitted - port->drained < FAKE_RING);
    port->ring[port->submitted++ % FAKE_RING] =
        (weir_completion){.type = WEIR_COMPLETION_PUBLISH, .user = user, .token = token};
    return WEIR_OK;
}

#endif
