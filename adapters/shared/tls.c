/* adapters/shared/tls.c - alone responsible for turning OpenSSL's answers into a connection's.
 *
 *     recv -> read:  SSL_read until the buffer is full or it wants more        OK, AGAIN, CLOSED,
 * IO send -> write: SSL_write once, possibly in part                          OK, AGAIN, MORE, IO
 *
 * The descriptor is OpenSSL's to read and write (SSL_set_fd); it stays the connection's to close.
 *
 * Happy path: the first read does the handshake as far as bytes are there; later ones decrypt. A
 * write that is taken in part continues from the same bytes, wherever they lie by then.
 *
 * Failures: a handshake or record that is wrong, or an end without a goodbye (which could be cut
 * off by an attacker), is IO: this connection ends. Errors of one connection are cleared from the
 * thread's queue before the next is asked.
 *
 * Invariants
 * [H1] read answers OK only with bytes; an error met behind some bytes is met again by the next
 * read. */
#include "adapters/shared/tls.h"

#include "adapters/shared/settings.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>

struct weir_tls {
    SSL_CTX *context;
};

/* ---- A connection's filter ----------------------------------------------------------------- */

static weir_err tls_read(void *filter, uint8_t *out, size_t size, size_t *len, bool *wants_write)
{
    SSL *ssl = filter;
    size_t sum = 0;
    size_t got = 0;
    ERR_clear_error();
    *wants_write = false;
    while (sum < size && SSL_read_ex(ssl, out + sum, size - sum, &got) == 1) {
        sum += got;
    }
    if (sum > 0) {
        *len = sum;
        return WEIR_OK; /* [H1] */
    }
    switch (SSL_get_error(ssl, 0)) {
    case SSL_ERROR_WANT_WRITE:
        *wants_write = true;
        return WEIR_AGAIN;
    case SSL_ERROR_WANT_READ:
        return WEIR_AGAIN;
    case SSL_ERROR_ZERO_RETURN:
        return WEIR_CLOSED;
    default:
        return WEIR_IO;
    }
}

static weir_err tls_write(void *filter, const uint8_t *bytes, size_t size, size_t *len)
{
    SSL *ssl = filter;
    ERR_clear_error();
    if (SSL_write_ex(ssl, bytes, size, len) == 1) {
        return WEIR_OK;
    }
    switch (SSL_get_error(ssl, 0)) {
    case SSL_ERROR_WANT_WRITE:
        return WEIR_AGAIN;
    case SSL_ERROR_WANT_READ:
        return WEIR_MORE; /* within the handshake */
    default:
        return WEIR_IO;
    }
}

static bool tls_pending(void *filter)
{
    return SSL_has_pending(filter) == 1;
}

static void tls_shutdown(void *filter)
{
    SSL *ssl = filter;
    ERR_clear_error();
    if (SSL_is_init_finished(ssl)) {
        (void)SSL_shutdown(ssl);
    }
}

static void tls_free(void *filter)
{
    SSL_free(filter);
}

static const weir_conn_filter_ops filter_ops = {
    .read = tls_read,
    .write = tls_write,
    .pending = tls_pending,
    .shutdown = tls_shutdown,
    .destroy = tls_free,
};

weir_err weir_tls_filter(void *tls, int fd, weir_conn_filter *filter)
{
    SSL *ssl = SSL_new(((weir_tls *)tls)->context);
    if (ssl == NULL || SSL_set_fd(ssl, fd) != 1) {
        SSL_free(ssl);
        return WEIR_NO_MEMORY;
    }
    SSL_set_accept_state(ssl);
    *filter = (weir_conn_filter){.ops = &filter_ops, .filter = ssl};
    return WEIR_OK;
}

/* ---- Certificate and rules ----------------------------------------------------------------- */

static weir_err file_fault(const weir_tls_config *config, const char *setting, const char *path,
                           weir_fault *fault)
{
    unsigned long code = ERR_peek_last_error();
    const char *why = ERR_reason_error_string(code);
    return weir_fault_set(fault, WEIR_INVALID, 0,
                          "%s.tls.%s: %.200s cannot be used (%.100s): give a PEM file.",
                          config->section, setting, path, why == NULL ? "unknown" : why);
}

static weir_err files_load(SSL_CTX *context, const weir_tls_config *config, weir_fault *fault)
{
    const char *key = config->key != NULL ? config->key : config->certificate;
    if (SSL_CTX_use_certificate_chain_file(context, config->certificate) != 1) {
        return file_fault(config, "certificate", config->certificate, fault);
    }
    if (SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_check_private_key(context) != 1) {
        return file_fault(config, "key", key, fault);
    }
    if (config->client_ca == NULL) {
        return WEIR_OK;
    }
    if (SSL_CTX_load_verify_file(context, config->client_ca) != 1) {
        return file_fault(config, "client_ca", config->client_ca, fault);
    }
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    return WEIR_OK;
}

static void rules_set(SSL_CTX *context, const weir_tls_config *config)
{
    (void)SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    (void)SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                           SSL_OP_CIPHER_SERVER_PREFERENCE);
    /* Output moves in memory between two tries, and idle connections give their buffers back. */
    (void)SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE |
                                        SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                        SSL_MODE_RELEASE_BUFFERS);
    (void)SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    (void)SSL_CTX_set_session_id_context(
        context, (const unsigned char *)config->section,
        (unsigned)strnlen(config->section, SSL_MAX_SID_CTX_LENGTH));
}

weir_err weir_tls_create(const weir_tls_config *config, weir_tls **tls, weir_fault *fault)
{
    weir_err err = WEIR_NO_MEMORY;
    weir_tls *made = calloc(1, sizeof(*made));
    ERR_clear_error();
    if (made != NULL) {
        made->context = SSL_CTX_new(TLS_server_method());
    }
    if (made == NULL || made->context == NULL) {
        (void)weir_fault_set(fault, err, 0, "%s: there is no memory for TLS.", config->section);
        goto out;
    }
    rules_set(made->context, config);
    err = files_load(made->context, config, fault);
    if (err == WEIR_OK) {
        *tls = made;
        made = NULL;
    }
out:
    weir_tls_destroy(made);
    return err;
}

void weir_tls_destroy(weir_tls *tls)
{
    if (tls != NULL) {
        SSL_CTX_free(tls->context);
        free(tls);
    }
}
