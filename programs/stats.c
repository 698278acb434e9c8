/* programs/stats.c - `weir stats`: the gateway's counters by name, as they stand now. */
#include "programs/connect.h"

#include <jansson.h>

#include <stdio.h>

static void counters_print(json_t *counters, weir_output output)
{
    static const char *const columns[] = {"metric", "value#"};
    weir_rows *rows = weir_rows_create(columns, 2);
    const char *name;
    json_t *value;
    json_object_foreach(counters, name, value)
    {
        char text[32];
        const char *cells[] = {name, text};
        snprintf(text, sizeof(text), "%lld", (long long)json_integer_value(value));
        weir_rows_add(rows, cells);
    }
    weir_rows_print(rows, output, stdout);
    weir_rows_destroy(rows);
}

weir_exit weir_run_stats(const weir_arguments *arguments)
{
    weir_output output = WEIR_OUTPUT_TABLE;
    weir_client *client = NULL;
    weir_exit code = WEIR_EXIT_USAGE;
    weir_bytes answer = WEIR_BYTES_NULL;
    weir_err err;
    if (!weir_output_read(arguments, &output) || !weir_connect(arguments, &client, &code)) {
        return code;
    }
    err = weir_client_query(client, "stats", &answer);
    code = weir_client_outcome(client, err, WEIR_SUBJECT_OTHER, "stats");
    if (err == WEIR_OK) {
        json_t *root = json_loadb((const char *)answer.ptr, answer.len, 0, NULL);
        json_t *counters = json_object_get(root, "stats");
        if (json_is_object(counters)) {
            counters_print(counters, output);
        } else {
            weir_say("the gateway's answer has no counters: is it of another version?");
            code = WEIR_EXIT_ERROR;
        }
        json_decref(root);
    }
    weir_client_close(client);
    return code;
}
