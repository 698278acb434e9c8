/* tests/unit/proto_weir1/said.h - what a session must say: for tests that hold a conversation. */
#ifndef WEIR_TESTS_SAID_H
#define WEIR_TESTS_SAID_H

#include "tests/unit/proto_weir1/talk.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>

#define assert_has(text, part)                                                                     \
    do {                                                                                           \
        const char *has_text = (text);                                                             \
        if (strstr(has_text, part) == NULL) {                                                      \
            fail_msg("%s is not in: %s", part, has_text);                                          \
        }                                                                                          \
    } while (0)

/* The command is refused with that code, and with a sentence, and nothing was submitted. */
FAKE_UNUSED static void assert_refused(talk *t, const char *command, const char *code,
                                       const char *field)
{
    char want[200];
    size_t before = t->port.count;
    const char *said = talk_ask(t, command);
    snprintf(want, sizeof(want), "\"error\":{\"code\":\"%s\"", code);
    assert_has(said, want);
    if (field != NULL) {
        snprintf(want, sizeof(want), "\"field\":\"%s\"", field);
        assert_has(said, want);
    }
    assert_has(said, "\"text\":\"");
    assert_null(strstr(said, "\"text\":\"\""));
    assert_int_equal(t->port.count, before);
}

#endif
