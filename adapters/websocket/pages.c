/* adapters/websocket/pages.c - the metrics, the health answers and the files of the console.
 *
 *   /metrics   Prometheus text 0.0.4: the engine's counters, then this adapter's
 *   /healthz   200 while the process runs its loops
 *   /readyz    200 while records can be written, else 503; JSON says why
 *   the rest   files built in (pages.cmake)
 *
 * Happy path: a path is found in one of two tables and its body made or pointed to. Failures: none
 * but memory; a path that is not in a table is not a page. */
#include "adapters/websocket/pages.h"

#include <string.h>

typedef struct dynamic_page {
    const char *path;
    const char *type;
    weir_err (*make)(weir_adapter *adapter, weir_web_page *page);
} dynamic_page;

/* ---- Health -------------------------------------------------------------------------------- */

static weir_err healthz_make(weir_adapter *adapter, weir_web_page *page)
{
    (void)adapter;
    page->status = 200;
    return weir_buffer_format(&page->made, "{\"status\":\"ok\",\"version\":\"%s\"}\n",
                              weir_version());
}

static const char *not_ready_because(const weir_adapter *adapter)
{
    switch (weir_engine_health_of(adapter->host->engine)) {
    case WEIR_HEALTH_DISK_FULL:
        return "disk-full";
    case WEIR_HEALTH_STOPPED:
        return weir_engine_fault(adapter->host->engine) != NULL ? "read-only" : "stopped";
    case WEIR_HEALTH_FENCED:
        return "fenced";
    default:
        return atomic_load(&adapter->draining) ? "draining" : NULL;
    }
}

/* Into a JSON string: a path may have anything in it. */
static weir_err text_put(weir_buffer *made, const char *text)
{
    weir_err err = WEIR_OK;
    for (; *text != '\0' && err == WEIR_OK; text++) {
        unsigned char c = (unsigned char)*text;
        err = c < 0x20 || c == '"' || c == '\\' ? weir_buffer_format(made, "\\u%04x", c)
                                                : weir_buffer_append(made, text, 1);
    }
    return err;
}

/* What is damaged, and what to do. */
static weir_err fault_put(weir_buffer *made, const char *because, const weir_fault *fault)
{
    weir_err err =
        weir_buffer_format(made, "{\"ready\":false,\"because\":\"%s\",\"file\":\"", because);
    err = err == WEIR_OK ? text_put(made, fault->file) : err;
    err = err == WEIR_OK ? weir_buffer_format(made, "\",\"position\":%llu,\"text\":\"",
                                              (unsigned long long)fault->position)
                         : err;
    err = err == WEIR_OK ? text_put(made, fault->text) : err;
    return err == WEIR_OK ? weir_buffer_text(made, "\"}\n") : err;
}

static weir_err readyz_make(weir_adapter *adapter, weir_web_page *page)
{
    const char *because = not_ready_because(adapter);
    page->status = because == NULL ? 200 : 503;
    if (because == NULL) {
        return weir_buffer_text(&page->made, "{\"ready\":true}\n");
    }
    if (weir_engine_fault(adapter->host->engine) != NULL) {
        return fault_put(&page->made, because, weir_engine_fault(adapter->host->engine));
    }
    return weir_buffer_format(&page->made, "{\"ready\":false,\"because\":\"%s\"}\n", because);
}

/* ---- The tables ---------------------------------------------------------------------------- */

static const dynamic_page dynamic_pages[] = {
    {"/metrics", "text/plain; version=0.0.4; charset=utf-8", weir_web_metrics_make},
    {"/healthz", "application/json", healthz_make},
    {"/readyz", "application/json", readyz_make},
};

static bool path_is(weir_bytes path, const char *other)
{
    return path.len == strlen(other) && memcmp(path.ptr, other, path.len) == 0;
}

static const dynamic_page *dynamic_find(weir_bytes path)
{
    for (size_t i = 0; i < sizeof(dynamic_pages) / sizeof(dynamic_pages[0]); i++) {
        if (path_is(path, dynamic_pages[i].path)) {
            return &dynamic_pages[i];
        }
    }
    return NULL;
}

static const weir_web_file *file_find(weir_bytes path)
{
    for (const weir_web_file *file = weir_web_files; file->path != NULL; file++) {
        if (path_is(path, file->path)) {
            return file;
        }
    }
    return NULL;
}

bool weir_web_page_exists(weir_bytes path)
{
    return dynamic_find(path) != NULL || file_find(path) != NULL;
}

bool weir_web_page_of_groups(weir_bytes path)
{
    return path_is(path, dynamic_pages[0].path);
}

weir_err weir_web_page_make(weir_adapter *adapter, weir_bytes path, weir_web_page *page)
{
    const dynamic_page *dynamic = dynamic_find(path);
    const weir_web_file *file = file_find(path);
    const weir_groups *groups = page->groups;
    memset(page, 0, sizeof(*page));
    page->groups = groups;
    if (dynamic != NULL) {
        weir_err err = dynamic->make(adapter, page);
        page->type = dynamic->type;
        page->body = weir_buffer_bytes(&page->made);
        return err;
    }
    if (file == NULL) {
        return WEIR_NOT_FOUND;
    }
    page->status = 200;
    page->type = file->type;
    page->body = (weir_bytes){file->begin, (size_t)(file->end - file->begin)};
    return WEIR_OK;
}
