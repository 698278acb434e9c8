/* adapters/nng/url.c - alone responsible for which URLs are understood.
 *
 *   scheme :// host : port [/path]      tcp (no path), ws
 *   scheme :// path-or-name             ipc, inproc
 *
 * A host is numeric, localhost (127.0.0.1) or * (0.0.0.0): nothing is looked up, so that what is
 * bound does not depend on a name server. */
#include "adapters/nng/url.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

static bool port_read(const char *text, size_t len, uint16_t *port)
{
    uint32_t value = 0;
    if (len == 0 || len > 5) {
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9') {
            return false;
        }
        value = value * 10 + (uint32_t)(text[i] - '0');
    }
    *port = (uint16_t)value;
    return value <= UINT16_MAX;
}

static bool copy(char *out, size_t size, const char *text, size_t len)
{
    if (len == 0 || len >= size) {
        return false;
    }
    memcpy(out, text, len);
    out[len] = '\0';
    return true;
}

static bool host_check(weir_nng_url *url)
{
    struct in_addr four;
    struct in6_addr six;
    if (strcmp(url->host, "localhost") == 0) {
        strcpy(url->host, "127.0.0.1");
    } else if (strcmp(url->host, "*") == 0) {
        strcpy(url->host, "0.0.0.0");
    }
    if (inet_pton(AF_INET, url->host, &four) == 1) {
        url->loopback = ntohl(four.s_addr) >> 24 == 127;
        return true;
    }
    url->loopback = strcmp(url->host, "::1") == 0;
    return inet_pton(AF_INET6, url->host, &six) == 1;
}

/* host:port, and for ws the path behind it. */
static bool authority_read(const char *text, weir_nng_url *url)
{
    const char *slash = strchr(text, '/');
    const char *end = slash != NULL ? slash : text + strlen(text);
    const char *colon = end;
    const char *host = text;
    size_t host_len = 0;
    while (colon > text && *colon != ':') {
        colon--;
    }
    if (*colon != ':' || !port_read(colon + 1, (size_t)(end - colon - 1), &url->port)) {
        return false;
    }
    host_len = (size_t)(colon - host);
    if (host_len > 2 && host[0] == '[' && host[host_len - 1] == ']') {
        host += 1;
        host_len -= 2;
    }
    if (slash == NULL) {
        slash = "/";
    } else if (url->transport == WEIR_NNG_TCP) {
        return false;
    }
    return copy(url->host, sizeof(url->host), host, host_len) && host_check(url) &&
           copy(url->path, sizeof(url->path), slash, strlen(slash));
}

static const char *const schemes[] = {
    [WEIR_NNG_TCP] = "tcp://",
    [WEIR_NNG_IPC] = "ipc://",
    [WEIR_NNG_INPROC] = "inproc://",
    [WEIR_NNG_WS] = "ws://",
};

weir_err weir_nng_url_parse(const char *text, weir_nng_url *url)
{
    weir_nng_url found = {0};
    bool right = text[0] == '\0';
    for (size_t i = WEIR_NNG_TCP; i <= WEIR_NNG_WS && !right; i++) {
        size_t len = strlen(schemes[i]);
        if (strncmp(text, schemes[i], len) != 0) {
            continue;
        }
        found.transport = (weir_nng_transport)i;
        if (i == WEIR_NNG_TCP || i == WEIR_NNG_WS) {
            right = authority_read(text + len, &found);
        } else {
            found.loopback = true;
            right = copy(found.path, sizeof(found.path), text + len, strlen(text + len));
        }
        if (!right) {
            return WEIR_INVALID;
        }
    }
    if (!right) {
        return WEIR_INVALID;
    }
    *url = found;
    return WEIR_OK;
}

void weir_nng_url_write(const weir_nng_url *url, char text[WEIR_NNG_URL_MAX])
{
    bool six = strchr(url->host, ':') != NULL;
    switch (url->transport) {
    case WEIR_NNG_OFF:
        text[0] = '\0';
        break;
    case WEIR_NNG_TCP:
    case WEIR_NNG_WS:
        (void)snprintf(text, WEIR_NNG_URL_MAX, "%s%s%s%s:%u%s", schemes[url->transport],
                       six ? "[" : "", url->host, six ? "]" : "", url->port,
                       url->transport == WEIR_NNG_WS ? url->path : "");
        break;
    case WEIR_NNG_IPC:
    case WEIR_NNG_INPROC:
        (void)snprintf(text, WEIR_NNG_URL_MAX, "%s%s", schemes[url->transport], url->path);
        break;
    }
}
