/* tests/fuzz/snapshot_fuzz.c - any bytes as a checkpoint's payload.
 *
 * The payload is read into an engine that has no files; what came of it is encoded, and that must
 * be read again as the same bytes. Segments are only named by a payload, and opened at first use:
 * nothing here touches a disk. Its planted bug must be found.
 *
 * A few bytes may tell of topics with many partitions each, and what was freed would be kept for a while to
 * find a use after it: kept less of, one input after the other stays within the memory that CI allows. */
#include "core/engine/snapshot.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
__attribute__((visibility("default"))) const char *__asan_default_options(void);

const char *__asan_default_options(void)
{
    return "quarantine_size_mb=32";
}

static weir_engine *engine_of(weir_bytes payload, weir_err *err)
{
    weir_engine_config config = {.data_dir = "/nonexistent"};
    weir_engine *engine = NULL;
    weir_fault fault;
    config.limits = (weir_limits)WEIR_LIMITS_DEFAULT;
    if (weir_engine_make(&config, &engine) != WEIR_OK) {
        abort();
    }
    *err = weir_snapshot_decode(engine, payload, &fault);
    return engine;
}

/* The order of topics is a hash map's: only sizes compare. */
static void again(weir_engine *engine)
{
    weir_buffer first = {0}, second = {0};
    weir_err err;
    if (weir_snapshot_encode(engine, &first) != WEIR_OK) {
        abort();
    }
    weir_engine *other = engine_of(weir_buffer_bytes(&first), &err);
    if (err != WEIR_OK || weir_snapshot_encode(other, &second) != WEIR_OK ||
        first.len != second.len) {
        fprintf(stderr, "what was encoded is not read again: %s\n", weir_err_name(err));
        abort();
    }
    weir_engine_free(other);
    weir_buffer_fini(&first);
    weir_buffer_fini(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    weir_err err;
    weir_engine *engine = engine_of((weir_bytes){data, size}, &err);
    if (err == WEIR_OK) {
        again(engine);
    }
    weir_engine_free(engine);
    return 0;
}
