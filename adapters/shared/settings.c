/* adapters/shared/settings.c - alone responsible for turning the text of a setting into a value, or
 * into a sentence that says what would have been right.
 *
 * Failures: the only one is a text that does not say what the setting needs; nothing is written
 * then. */
#include "adapters/shared/settings.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

weir_err weir_fault_set(weir_fault *fault, weir_err err, int os_errno, const char *format, ...)
{
    va_list args;
    if (fault == NULL) {
        return err;
    }
    *fault = (weir_fault){.err = err, .os_errno = os_errno};
    va_start(args, format);
    (void)vsnprintf(fault->text, sizeof(fault->text), format, args);
    va_end(args);
    return err;
}

/* False: not all digits, or more than fits. */
static bool digits_parse(const char *text, uint64_t *value)
{
    uint64_t sum = 0;
    if (*text == '\0') {
        return false;
    }
    for (; *text != '\0'; text++) {
        unsigned digit = (unsigned)(*text - '0');
        if (digit > 9 || sum > (UINT64_MAX - digit) / 10) {
            return false;
        }
        sum = sum * 10 + digit;
    }
    *value = sum;
    return true;
}

weir_err weir_setting_u64(weir_host *host, const char *section, const char *key, uint64_t fallback,
                          uint64_t least, uint64_t most, uint64_t *value, weir_fault *fault)
{
    const char *text = host->ops->setting(host, key);
    uint64_t parsed = fallback;
    if (text != NULL && (!digits_parse(text, &parsed) || parsed < least || parsed > most)) {
        return weir_fault_set(fault, WEIR_INVALID, 0,
                              "%s.%s is \"%.64s\": give a whole number from %" PRIu64 " to %" PRIu64
                              ".",
                              section, key, text, least, most);
    }
    *value = parsed;
    return WEIR_OK;
}

weir_err weir_setting_bool(weir_host *host, const char *section, const char *key, bool fallback,
                           bool *value, weir_fault *fault)
{
    static const char *const words[] = {"false", "true", "no", "yes", "off", "on", "0", "1"};
    const char *text = host->ops->setting(host, key);
    if (text == NULL) {
        *value = fallback;
        return WEIR_OK;
    }
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (strcmp(text, words[i]) == 0) {
            *value = i % 2 == 1;
            return WEIR_OK;
        }
    }
    return weir_fault_set(fault, WEIR_INVALID, 0, "%s.%s is \"%.64s\": say true or false.", section,
                          key, text);
}

const char *weir_setting_text(weir_host *host, const char *key, const char *fallback)
{
    const char *text = host->ops->setting(host, key);
    return text != NULL ? text : fallback;
}
