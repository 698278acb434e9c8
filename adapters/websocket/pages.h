/* adapters/websocket/pages.h - what is served by plain HTTP: the pages, all from memory. */
#ifndef WEIR_ADAPTERS_WEBSOCKET_PAGES_H
#define WEIR_ADAPTERS_WEBSOCKET_PAGES_H

#include "adapters/websocket/web.h"
#include "core/base/buffer.h"

/* A file built into the program; pages.cmake makes the list. */
typedef struct weir_web_file {
    const char *path; /* "/weir.js" */
    const char *type;
    const uint8_t *begin;
    const uint8_t *end;
} weir_web_file;

extern const weir_web_file weir_web_files[]; /* the last one's path is NULL */

typedef struct weir_web_page {
    const weir_groups *groups; /* /metrics: what is told of groups; NULL: nothing. Borrowed */
    unsigned status;
    const char *type;
    weir_bytes body;  /* in `made`, or static */
    weir_buffer made; /* the receiver's */
} weir_web_page;

bool weir_web_page_exists(weir_bytes path);
/* Whether it tells of groups, which are to be asked for first (weir_port_group_sums). */
bool weir_web_page_of_groups(weir_bytes path);
/* `groups` is given, all else is made. NOT_FOUND, NO_MEMORY. */
weir_err weir_web_page_make(weir_adapter *adapter, weir_bytes path, weir_web_page *page);

/* metrics.c: /metrics. */
weir_err weir_web_metrics_make(weir_adapter *adapter, weir_web_page *page);

#endif
