/* adapters/shared/tls.h - TLS between a connection and its descriptor.
 *
 * One weir_tls holds a certificate and its rules; each connection gets a filter from it. TLS 1.2
 * and up. The handshake happens within the first reads, so whatever deadline the protocol has for
 * its own first words bounds it, too. */
#ifndef WEIR_ADAPTERS_SHARED_TLS_H
#define WEIR_ADAPTERS_SHARED_TLS_H

#include "adapters/shared/conn.h"

typedef struct weir_tls weir_tls;

typedef struct weir_tls_config {
    const char *section;     /* "mqtt": faults speak of mqtt.tls.certificate */
    const char *certificate; /* PEM file: the certificate, then its chain */
    const char *key;         /* PEM file; NULL: in the certificate's */
    const char *client_ca; /* PEM file: peers must show a certificate it signed; NULL: none asked */
} weir_tls_config;

/* Reads the files, once; nothing is borrowed. INVALID: one cannot be used, and the fault says which
 * and why. NO_MEMORY. */
weir_err weir_tls_create(const weir_tls_config *config, weir_tls **tls, weir_fault *fault);
void weir_tls_destroy(weir_tls *tls); /* connections may outlive it; NULL is harmless */

/* Fills the filter of a fresh, accepted descriptor. `tls` is a weir_tls. Any thread. NO_MEMORY. */
weir_err weir_tls_filter(void *tls, int fd, weir_conn_filter *filter);

#endif
