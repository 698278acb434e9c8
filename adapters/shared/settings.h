/* adapters/shared/settings.h - an adapter's settings, typed, with faults that say what would be
 * right.
 *
 * `section` is the adapter's name: a fault speaks of "mqtt.port", as weir.yaml and --set do.
 * Outputs are written only on WEIR_OK. A setting that is not set gives `fallback`. Errors: INVALID.
 */
#ifndef WEIR_ADAPTERS_SHARED_SETTINGS_H
#define WEIR_ADAPTERS_SHARED_SETTINGS_H

#include "weir/adapter.h"

/* Decimal digits only, least <= value <= most. */
weir_err weir_setting_u64(weir_host *host, const char *section, const char *key, uint64_t fallback,
                          uint64_t least, uint64_t most, uint64_t *value, weir_fault *fault);
/* true, false, yes, no, on, off, 1, 0. */
weir_err weir_setting_bool(weir_host *host, const char *section, const char *key, bool fallback,
                           bool *value, weir_fault *fault);
/* Borrowed for the host's life; may be `fallback` itself. */
const char *weir_setting_text(weir_host *host, const char *key, const char *fallback);

/* Fills a fault: err, errno (0: none) and the sentence. Returns err, for `return
 * weir_fault_set(...)`. `fault` may be NULL. */
weir_err weir_fault_set(weir_fault *fault, weir_err err, int os_errno, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

#endif
