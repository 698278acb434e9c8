/* Feeds bytes to the reader of PULL's messages, and text to the reader of nng's URLs. Every span
 * that is told must lie in the message, and what is written again must read the same.
 *
 * Its planted bug must be found. */
#include "adapters/nng/body.h"
#include "adapters/nng/url.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds) {
        abort();
    }
}

static void body_walk(weir_bytes message)
{
    weir_nng_body body;
    weir_bytes name, payload;
    weir_buffer again = {0};
    uint32_t count = 0;
    if (weir_nng_body_open(message, &body) != WEIR_OK) {
        return;
    }
    bool batch = body.batch;
    while (weir_nng_body_next(&body, &name, &payload)) {
        volatile uint8_t last = 0; /* a sanitizer sees a span that ends elsewhere */
        last = name.ptr[name.len - 1];
        last = payload.len > 0 ? payload.ptr[payload.len - 1] : last;
        require(name.len > 0 && payload.ptr != NULL);
        require(payload.ptr + payload.len <= message.ptr + message.len);
        if (batch) {
            require(weir_nng_batch_append(&again, name, WEIR_BYTES_NULL, payload) == WEIR_OK);
        } else {
            require(weir_nng_body_append(&again, name, WEIR_BYTES_NULL, payload) == WEIR_OK);
        }
        count++;
    }
    require(count > 0);
    require(again.len == message.len && memcmp(again.ptr, message.ptr, message.len) == 0);
    weir_buffer_fini(&again);
}

static void url_walk(const uint8_t *data, size_t size)
{
    char text[512];
    char written[WEIR_NNG_URL_MAX];
    weir_nng_url url, same;
    size_t len = size < sizeof(text) - 1 ? size : sizeof(text) - 1;
    memcpy(text, data, len);
    text[len] = '\0';
    if (weir_nng_url_parse(text, &url) == WEIR_OK && url.transport != WEIR_NNG_OFF) {
        weir_nng_url_write(&url, written);
        require(weir_nng_url_parse(written, &same) == WEIR_OK && same.transport == url.transport &&
                same.port == url.port);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    /* A copy of its own size, so that one byte too far is seen. */
    uint8_t *message = malloc(size > 0 ? size : 1);
    require(message != NULL);
    memcpy(message, data, size);
    body_walk((weir_bytes){message, size});
    free(message);
    url_walk(data, size);
    return 0;
}
