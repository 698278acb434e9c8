/* programs/version.c - `weir version`: of the program and of the libraries it runs with. */
#include "weir/adapter.h"

#include "programs/commands.h"
#include "programs/say.h"

#include <cyaml/cyaml.h>
#include <yaml.h>

#include <gnu/libc-version.h>
#include <jansson.h>
#include <libwebsockets.h>
#include <nng/nng.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <uv.h>

weir_exit weir_run_version(const weir_arguments *arguments)
{
    static const char *const columns[] = {"what", "version"};
    char abi[16];
    weir_output output = WEIR_OUTPUT_TABLE;
    weir_rows *rows;
    const char *const pairs[][2] = {
        {"weir", weir_version()},
        {"adapter ABI", abi},
        {"libuv", uv_version_string()},
        {"jansson", jansson_version_str()},
        {"openssl", OpenSSL_version(OPENSSL_VERSION_STRING)},
        {"libwebsockets", lws_get_library_version()},
        {"nng", nng_version()},
        {"libcyaml", cyaml_version_str},
        {"libyaml", yaml_get_version_string()},
        {"libc", gnu_get_libc_version()},
    };
    if (!weir_output_read(arguments, &output)) {
        return WEIR_EXIT_USAGE;
    }
    snprintf(abi, sizeof(abi), "%u", WEIR_ADAPTER_ABI);
    rows = weir_rows_create(columns, 2);
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        weir_rows_add(rows, pairs[i]);
    }
    weir_rows_print(rows, output, stdout);
    weir_rows_destroy(rows);
    return WEIR_EXIT_DONE;
}
