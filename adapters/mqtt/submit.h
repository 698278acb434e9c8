/* adapters/mqtt/submit.h - the port as sessions see it, with a note of what they submit. */
#ifndef WEIR_ADAPTERS_MQTT_SUBMIT_H
#define WEIR_ADAPTERS_MQTT_SUBMIT_H

#include "adapters/proto/mqtt/session.h"
#include "adapters/shared/loop.h"

/* Every session's `user` points to the sink of one of these. */
typedef struct weir_mqtt_submitter {
    weir_sink sink;       /* first */
    uint32_t outstanding; /* operations that were submitted and will complete for certain */
} weir_mqtt_submitter;

/* The functions of weir/port.h; counts publishes with confirmation, subscribes and unsubscribes. */
extern const weir_mqtt_port_ops weir_mqtt_submit_ops;

/* Whether this thread has submitted since it last asked. */
bool weir_mqtt_submitted(void);
/* A completion of the submitter has come: counts it, if it was counted. */
void weir_mqtt_submit_done(weir_mqtt_submitter *submitter, const weir_completion *completion);

#endif
