/* Settings say what would have been right; shared objects are believed only after a look. */
#include "adapters/shared/load.h"
#include "adapters/shared/settings.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static const char *value_now;

static const char *setting(weir_host *host, const char *key)
{
    (void)host;
    return strcmp(key, "port") == 0 ? value_now : NULL;
}

static const weir_host_ops host_ops = {.setting = setting};
static weir_host host = {.ops = &host_ops};

static void numbers_are_digits_within_their_bounds(void **state)
{
    static const char *const bad[] = {"",
                                      " 1",
                                      "1 ",
                                      "-1",
                                      "+1",
                                      "0x10",
                                      "1e3",
                                      "70000",
                                      "65536",
                                      "18446744073709551616",
                                      "99999999999999999999999"};
    uint64_t value = 7;
    weir_fault fault = {0};
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        value_now = bad[i];
        assert_int_equal(weir_setting_u64(&host, "x", "port", 1, 0, 65535, &value, &fault),
                         WEIR_INVALID);
        assert_int_equal(value, 7);
        assert_non_null(strstr(fault.text, "x.port"));
        assert_non_null(strstr(fault.text, "65535"));
    }
    value_now = "65535";
    assert_int_equal(weir_setting_u64(&host, "x", "port", 1, 0, 65535, &value, &fault), WEIR_OK);
    assert_int_equal(value, 65535);
    value_now = "18446744073709551615";
    assert_int_equal(weir_setting_u64(&host, "x", "port", 1, 0, UINT64_MAX, &value, &fault),
                     WEIR_OK);
    assert_true(value == UINT64_MAX);
    value_now = NULL;
    assert_int_equal(weir_setting_u64(&host, "x", "port", 5, 0, 65535, &value, &fault), WEIR_OK);
    assert_int_equal(value, 5);
}

static void truths_are_the_words_of_the_configuration(void **state)
{
    bool value = false;
    weir_fault fault = {0};
    (void)state;
    value_now = "yes";
    assert_int_equal(weir_setting_bool(&host, "x", "port", false, &value, &fault), WEIR_OK);
    assert_true(value);
    value_now = "off";
    assert_int_equal(weir_setting_bool(&host, "x", "port", true, &value, &fault), WEIR_OK);
    assert_false(value);
    value_now = "maybe";
    assert_int_equal(weir_setting_bool(&host, "x", "port", true, &value, &fault), WEIR_INVALID);
    assert_false(value);
    assert_non_null(strstr(fault.text, "x.port"));
}

static weir_err some_configure(weir_host *at, weir_adapter **adapter, weir_fault *fault)
{
    (void)at;
    (void)adapter;
    (void)fault;
    return WEIR_OK;
}
static weir_err some_start(weir_adapter *adapter, weir_fault *fault)
{
    (void)adapter;
    (void)fault;
    return WEIR_OK;
}
static void some_end(weir_adapter *adapter)
{
    (void)adapter;
}
static void some_stats(weir_adapter *adapter,
                       void (*each)(void *arg, const char *metric, uint64_t value), void *arg)
{
    (void)adapter;
    (void)each;
    (void)arg;
}

static void a_table_is_believed_only_when_it_fits(void **state)
{
    weir_fault fault = {0};
    weir_adapter_ops ops = {.abi = WEIR_ADAPTER_ABI,
                            .name = "some",
                            .version = "1",
                            .configure = some_configure,
                            .start = some_start,
                            .drain = some_end,
                            .stop = some_end,
                            .stats = some_stats};
    (void)state;
    assert_int_equal(weir_adapter_check("some", &ops, &fault), WEIR_OK);
    assert_int_equal(weir_adapter_check("other", &ops, &fault), WEIR_INVALID);
    assert_non_null(strstr(fault.text, "other"));
    assert_non_null(strstr(fault.text, "some"));
    ops.drain = NULL;
    assert_int_equal(weir_adapter_check("some", &ops, &fault), WEIR_INVALID);
    ops = (weir_adapter_ops){.abi = 4711, .name = (const char *)1}; /* only its number is read */
    assert_int_equal(weir_adapter_check("some", &ops, &fault), WEIR_VERSION);
    assert_non_null(strstr(fault.text, "4711"));
    assert_non_null(strstr(fault.text, "1 "));
}

static void what_is_no_adapter_is_refused_with_its_path(void **state)
{
    char path[] = "/tmp/weir-load-XXXXXX";
    const weir_adapter_ops *ops = NULL;
    weir_fault fault = {0};
    int fd = mkstemp(path);
    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "not an object", 13), 13);
    close(fd);
    assert_int_equal(weir_adapter_load("some", path, &ops, &fault), WEIR_INVALID);
    assert_non_null(strstr(fault.text, path));
    assert_int_equal(unlink(path), 0);
    assert_int_equal(weir_adapter_load("some", path, &ops, &fault), WEIR_NOT_FOUND);
    assert_non_null(strstr(fault.text, path));
    assert_null(ops);
}

static void an_object_without_an_entry_is_no_adapter(void **state)
{
    const weir_adapter_ops *ops = NULL;
    weir_fault fault = {0};
    char line[512];
    char found[512] = "";
    FILE *maps = fopen("/proc/self/maps", "re"); /* any shared object that is surely there */
    (void)state;
    assert_non_null(maps);
    while (found[0] == '\0' && fgets(line, sizeof(line), maps) != NULL) {
        char *path = strchr(line, '/');
        if (path != NULL && strstr(path, "libcmocka.so") != NULL) {
            path[strcspn(path, "\n")] = '\0';
            (void)snprintf(found, sizeof(found), "%s", path);
        }
    }
    fclose(maps);
    assert_string_not_equal(found, "");
    assert_int_equal(weir_adapter_load("some", found, &ops, &fault), WEIR_NOT_FOUND);
    assert_non_null(strstr(fault.text, "weir_adapter_entry"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_digits_within_their_bounds),
        cmocka_unit_test(truths_are_the_words_of_the_configuration),
        cmocka_unit_test(a_table_is_believed_only_when_it_fits),
        cmocka_unit_test(what_is_no_adapter_is_refused_with_its_path),
        cmocka_unit_test(an_object_without_an_entry_is_no_adapter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
