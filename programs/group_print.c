/* programs/group_print.c - shows groups: as tables, or as JSON.
 *
 * Lists are rows (say.h). One group's information is several tables with an empty line between, or
 * one JSON object whose members are named as in weir.v1. */
#include "programs/group.h"

#include <inttypes.h>
#include <string.h>

enum { NUMBER_MAX = 24, TEXT_MAX = 1200 };

typedef char number_text[NUMBER_MAX];

static const char STANDS_STILL[] = "stands still";

static const char *number(number_text text, int64_t value)
{
    snprintf(text, NUMBER_MAX, "%" PRId64, value);
    return text;
}

static const char *count(number_text text, uint64_t value)
{
    snprintf(text, NUMBER_MAX, "%" PRIu64, value);
    return text;
}

/* Milliseconds as seconds. */
static const char *seconds(number_text text, int64_t ms)
{
    snprintf(text, NUMBER_MAX, "%" PRId64 ".%03d", ms / 1000, (int)(ms % 1000));
    return text;
}

static const char *text_of(char text[TEXT_MAX], weir_bytes bytes)
{
    snprintf(text, TEXT_MAX, "%.*s", (int)bytes.len,
             bytes.ptr == NULL ? "" : (const char *)bytes.ptr);
    return text;
}

/* Its topics with commas between, or its filter. */
static const char *reads_of(char text[TEXT_MAX], const weir_group_options *options)
{
    size_t len = 0;
    if (options->topic_count == 0) {
        return text_of(text, options->filter);
    }
    for (uint32_t i = 0; i < options->topic_count && len < TEXT_MAX; i++) {
        len += (size_t)snprintf(text + len, TEXT_MAX - len, "%s%.*s", i > 0 ? "," : "",
                                (int)options->topics[i].len, (const char *)options->topics[i].ptr);
    }
    return text;
}

uint64_t weir_group_lag(const weir_group_info *group, int64_t *age_ms)
{
    uint64_t lag = 0;
    *age_ms = 0;
    for (uint32_t i = 0; i < group->partition_count; i++) {
        lag += group->partitions[i].lag;
        *age_ms = group->partitions[i].lag_ms > *age_ms ? group->partitions[i].lag_ms : *age_ms;
    }
    return lag;
}

void weir_group_still_put(char text[WEIR_GROUP_STILL_MAX], const char *group)
{
    snprintf(
        text, WEIR_GROUP_STILL_MAX,
        "%s stands still: retention removed what it would read next, and its removed is error: "
        "`weir group reset %s --to beginning` goes on with what is left",
        group, group);
}

/* Members of a stream that own nothing, as there are more of them than partitions, and those of a queue
 * that stand by for its single active one. */
static uint32_t idle_count(const weir_group_info *group)
{
    uint32_t idle = 0;
    if (group->options.model == WEIR_MODEL_QUEUE) {
        bool single = group->options.single_active == 1 && group->member_count > 0;
        return single ? group->member_count - 1 : 0;
    }
    for (uint32_t i = 0; i < group->member_count; i++) {
        idle += group->members[i].partitions == 0;
    }
    return idle;
}

/* As `weir group dead` makes it. */
static bool is_memory(const weir_group_info *group)
{
    size_t len = sizeof(WEIR_DEAD_MEMORY) - 1;
    return group->name.len > len && memcmp(group->name.ptr, WEIR_DEAD_MEMORY, len) == 0 &&
           group->options.model == WEIR_MODEL_QUEUE && group->options.expiry_ms < 0 &&
           group->options.delivery_limit < 0;
}

void weir_groups_print(const weir_client_groups *groups, weir_output output)
{
    static const char *const columns[] = {"group", "model", "mode",   "reads", "members#",
                                          "idle#", "lag#",  "lag_s#", "state"};
    weir_rows *rows = weir_rows_create(columns, 9);
    for (uint32_t i = 0; i < groups->count; i++) {
        const weir_group_info *group = &groups->groups[i];
        number_text numbers[4];
        char name[TEXT_MAX];
        char reads[TEXT_MAX];
        int64_t age_ms;
        uint64_t lag = weir_group_lag(group, &age_ms);
        bool owes = !is_memory(group);
        const char *cells[] = {text_of(name, group->name),
                               weir_model_name(group->options.model),
                               weir_mode_name(group->options.mode),
                               reads_of(reads, &group->options),
                               count(numbers[0], group->member_count),
                               count(numbers[1], idle_count(group)),
                               owes ? count(numbers[2], lag) : NULL,
                               owes ? seconds(numbers[3], age_ms) : NULL,
                               group->stands_still > 0 ? STANDS_STILL : NULL};
        weir_rows_add(rows, cells);
    }
    weir_rows_print(rows, output, stdout);
    weir_rows_destroy(rows);
}

/* ---- Partitions and members -------------------------------------------------------------------
 */

/* `bytes`: in place of the owner, which queues do not have; nor do they have a state. */
static void lag_rows(weir_rows *rows, const weir_group_info *group, bool bytes)
{
    for (uint32_t i = 0; i < group->partition_count; i++) {
        const weir_group_partition *part = &group->partitions[i];
        bool owned = part->owner >= 0 && (uint32_t)part->owner < group->member_count;
        number_text numbers[8];
        char name[TEXT_MAX];
        char topic[TEXT_MAX];
        char owner[TEXT_MAX];
        const char *cells[] = {text_of(name, group->name),
                               text_of(topic, part->topic),
                               count(numbers[0], part->partition),
                               number(numbers[1], part->committed),
                               number(numbers[2], part->end),
                               count(numbers[3], part->lag),
                               seconds(numbers[4], part->lag_ms),
                               count(numbers[5], part->leased),
                               count(numbers[6], part->delayed),
                               bytes && part->bytes >= 0 ? number(numbers[7], part->bytes)
                               : owned ? text_of(owner, group->members[part->owner].name)
                                       : NULL,
                               part->stands_still ? STANDS_STILL : NULL};
        weir_rows_add(rows, cells);
    }
}

void weir_groups_lag_print(const weir_client_groups *groups, weir_output output)
{
    static const char *const columns[] = {"group",    "topic", "partition#", "committed#",
                                          "end#",     "lag#",  "lag_s#",     "leased#",
                                          "delayed#", "owner", "state"};
    weir_rows *rows = weir_rows_create(columns, 11);
    for (uint32_t i = 0; i < groups->count; i++) {
        lag_rows(rows, &groups->groups[i], false);
    }
    weir_rows_print(rows, output, stdout);
    weir_rows_destroy(rows);
}

/* The same of one queue group, with bytes. */
static void queue_print(const weir_group_info *group, bool queue)
{
    const char *const columns[] = {queue ? "queue" : "group",
                                   "topic",
                                   "partition#",
                                   "committed#",
                                   "end#",
                                   "lag#",
                                   "lag_s#",
                                   "leased#",
                                   "delayed#",
                                   "bytes#"};
    weir_rows *rows = weir_rows_create(columns, 10);
    lag_rows(rows, group, true);
    weir_rows_print(rows, WEIR_OUTPUT_TABLE, stdout);
    weir_rows_destroy(rows);
}

/* Somebody's partitions have no owner: they are on their way, or kept for a static member. */
static bool any_ownerless(const weir_group_info *group)
{
    for (uint32_t i = 0; i < group->partition_count; i++) {
        if (group->partitions[i].owner < 0) {
            return true;
        }
    }
    return false;
}

/* What a member does or why it does nothing. In the order of joining, so the first is active. */
static const char *state_of(const weir_group_info *group, uint32_t index, char text[TEXT_MAX])
{
    const weir_group_member *member = &group->members[index];
    int64_t left_ms = group->options.session_ms - member->silent_ms;
    if (group->options.model == WEIR_MODEL_QUEUE) {
        return group->options.single_active != 1 ? ""
               : index == 0                      ? "active"
                                                 : "stands by: another is the single active one";
    }
    if (member->partitions > 0) {
        return "";
    }
    if (group->partition_count == 0) {
        return "idle: the group has no partitions: no topic that it reads is there";
    }
    if (member->instance.len == 0 || !any_ownerless(group)) {
        return "idle: no partition is left for it";
    }
    snprintf(text, TEXT_MAX, "partitions are kept for instance %.*s, for %" PRId64 " s more",
             member->instance.len > 200 ? 200 : (int)member->instance.len,
             (const char *)member->instance.ptr, left_ms > 0 ? (left_ms + 999) / 1000 : 0);
    return text;
}

/* The members, also when there are none. */
static void members_print(const weir_group_info *group)
{
    static const char *const columns[] = {"member",  "instance",  "origin", "partitions#",
                                          "leased#", "silent_s#", "state"};
    weir_rows *rows = weir_rows_create(columns, 7);
    for (uint32_t i = 0; i < group->member_count; i++) {
        const weir_group_member *member = &group->members[i];
        number_text numbers[3];
        char name[TEXT_MAX];
        char instance[TEXT_MAX];
        char origin[TEXT_MAX];
        char state[TEXT_MAX];
        const char *cells[] = {
            text_of(name, member->name),       text_of(instance, member->instance),
            text_of(origin, member->origin),   count(numbers[0], member->partitions),
            count(numbers[1], member->leased), seconds(numbers[2], member->silent_ms),
            state_of(group, i, state)};
        weir_rows_add(rows, cells);
    }
    weir_rows_print(rows, WEIR_OUTPUT_TABLE, stdout);
    weir_rows_destroy(rows);
}

static void fates_print(const weir_group_info *group)
{
    static const char *const columns[] = {"fate", "records#"};
    weir_rows *rows = weir_rows_create(columns, 2);
    uint64_t all = 0;
    for (int fate = 0; fate < WEIR_FATE_COUNT; fate++) {
        number_text text;
        const char *cells[] = {weir_fate_name((weir_fate)fate), count(text, group->fates[fate])};
        all += group->fates[fate];
        weir_rows_add(rows, cells);
    }
    number_text sum;
    const char *cells[] = {"all", count(sum, all)};
    weir_rows_add(rows, cells);
    weir_rows_print(rows, WEIR_OUTPUT_TABLE, stdout);
    weir_rows_destroy(rows);
}

static void counter_row(weir_rows *rows, const char *what, uint64_t times)
{
    number_text text;
    const char *cells[] = {what, count(text, times)};
    weir_rows_add(rows, cells);
}

static void counters_print(const weir_group_info *group)
{
    static const char *const columns[] = {"happened", "times#"};
    weir_rows *rows = weir_rows_create(columns, 2);
    if (group->options.model == WEIR_MODEL_STREAM) {
        counter_row(rows, "rebalances", group->rebalances);
    } else {
        counter_row(rows, "leased", group->leased_times);
        counter_row(rows, "failed", group->failed_times);
    }
    counter_row(rows, "late answers refused", group->late_refused);
    weir_rows_print(rows, WEIR_OUTPUT_TABLE, stdout);
    weir_rows_destroy(rows);
}

/* ---- Settings ---------------------------------------------------------------------------------
 */

static void setting_row(weir_rows *rows, const char *name, const char *value, const char *unit)
{
    const char *cells[] = {name, value, unit};
    weir_rows_add(rows, cells);
}

static bool is_yes_or_no(const weir_group_setting *setting)
{
    return setting->least == 1 && setting->most == 2;
}

static bool concerns(const weir_group_setting *setting, weir_model model)
{
    return (setting->models & (unsigned)model) != 0;
}

static void settings_rows(weir_rows *rows, const weir_group_options *options)
{
    size_t setting_count;
    const weir_group_setting *settings = weir_group_settings(&setting_count);
    for (size_t i = 0; i < setting_count; i++) {
        int64_t value = weir_group_setting_get(options, &settings[i]);
        bool words = is_yes_or_no(&settings[i]);
        const char *word = weir_group_setting_word(&settings[i], value);
        number_text text;
        number(text, value);
        if (word != NULL) {
            setting_row(rows, settings[i].name, word, "");
        } else if (concerns(&settings[i], options->model) && settings[i].endless && value == -1) {
            setting_row(rows, settings[i].name, "unlimited", "");
        } else if (concerns(&settings[i], options->model)) {
            setting_row(rows, settings[i].name,
                        !words       ? text
                        : value == 1 ? "yes"
                                     : "no",
                        words ? "" : settings[i].unit);
        }
    }
}

static void settings_print(const weir_group_info *group, bool queue)
{
    static const char *const columns[] = {"setting", "value", "unit"};
    const weir_group_options *options = &group->options;
    weir_rows *rows = weir_rows_create(columns, 3);
    char text[TEXT_MAX];
    number_text generation;
    setting_row(rows, queue ? "queue" : "group", text_of(text, group->name), "");
    setting_row(rows, "model", weir_model_name(options->model), "");
    setting_row(rows, "mode", weir_mode_name(options->mode), "");
    setting_row(rows, options->topic_count > 0 ? "topics" : "filter", reads_of(text, options), "");
    setting_row(rows, "start", weir_group_place_name(options->start), "");
    if (options->model == WEIR_MODEL_STREAM) {
        setting_row(rows, "removed", weir_group_place_name(options->removed), "");
    }
    setting_row(rows, "dead_letter", text_of(text, options->dead_letter), "");
    settings_rows(rows, options);
    if (options->model == WEIR_MODEL_STREAM) {
        setting_row(rows, "generation", count(generation, group->generation), "");
    }
    weir_rows_print(rows, WEIR_OUTPUT_TABLE, stdout);
    weir_rows_destroy(rows);
}

/* ---- One group as JSON ------------------------------------------------------------------------
 */

static void json_text(const char *name, weir_bytes text)
{
    printf(",\"%s\":", name);
    if (text.ptr == NULL) {
        fputs("null", stdout);
    } else {
        weir_json_string(stdout, text);
    }
}

static void json_number(const char *name, int64_t value)
{
    printf(",\"%s\":%" PRId64, name, value);
}

static void json_flag(const char *name, bool value)
{
    printf(",\"%s\":%s", name, value ? "true" : "false");
}

static void json_fates(const uint64_t fates[WEIR_FATE_COUNT])
{
    fputs(",\"fates\":{", stdout);
    for (int fate = 0; fate < WEIR_FATE_COUNT; fate++) {
        printf("%s\"%s\":%" PRIu64, fate > 0 ? "," : "", weir_fate_name((weir_fate)fate),
               fates[fate]);
    }
    fputc('}', stdout);
}

static void json_options(const weir_group_options *options)
{
    size_t setting_count;
    const weir_group_setting *settings = weir_group_settings(&setting_count);
    json_text("model", weir_bytes_of(weir_model_name(options->model)));
    json_text("mode", weir_bytes_of(weir_mode_name(options->mode)));
    fputs(",\"topics\":[", stdout);
    for (uint32_t i = 0; i < options->topic_count; i++) {
        fputs(i > 0 ? "," : "", stdout);
        weir_json_string(stdout, options->topics[i]);
    }
    fputc(']', stdout);
    json_text("filter", options->topic_count > 0 ? WEIR_BYTES_NULL : options->filter);
    json_text("start", weir_bytes_of(weir_group_place_name(options->start)));
    if (options->model == WEIR_MODEL_STREAM) {
        json_text("removed", weir_bytes_of(weir_group_place_name(options->removed)));
    }
    json_text("dead_letter", options->dead_letter);
    for (size_t i = 0; i < setting_count; i++) {
        int64_t value = weir_group_setting_get(options, &settings[i]);
        if (!concerns(&settings[i], options->model)) {
            continue;
        }
        const char *word = weir_group_setting_word(&settings[i], value);
        if (word != NULL) {
            json_text(settings[i].name, weir_bytes_of(word));
        } else if (is_yes_or_no(&settings[i])) {
            json_flag(settings[i].name, value == 1);
        } else {
            json_number(settings[i].name, value);
        }
    }
}

static void json_partition(const weir_group_info *group, const weir_group_partition *part)
{
    bool owned = part->owner >= 0 && (uint32_t)part->owner < group->member_count;
    fputs("{\"topic\":", stdout);
    weir_json_string(stdout, part->topic);
    json_number("partition", part->partition);
    json_number("start", part->start);
    json_number("committed", part->committed);
    json_number("handed", part->handed);
    json_number("end", part->end);
    json_number("lag", (int64_t)part->lag);
    json_number("lag_ms", part->lag_ms);
    json_number("leased", (int64_t)part->leased);
    json_number("delayed", (int64_t)part->delayed);
    if (part->bytes >= 0) {
        json_number("bytes", part->bytes);
    }
    json_text("owner", owned ? group->members[part->owner].name : WEIR_BYTES_NULL);
    if (group->options.model == WEIR_MODEL_STREAM) {
        json_flag("stands_still", part->stands_still);
    }
    json_text("metadata", part->metadata);
    json_fates(part->fates);
    fputc('}', stdout);
}

static void json_member(const weir_group_member *member)
{
    fputs("{\"member\":", stdout);
    weir_json_string(stdout, member->name);
    json_text("instance", member->instance);
    json_text("origin", member->origin);
    json_number("partitions", member->partitions);
    json_number("leased", (int64_t)member->leased);
    json_number("silent_ms", member->silent_ms);
    fputc('}', stdout);
}

static void info_json(const weir_group_info *group)
{
    int64_t age_ms;
    fputs("{\"group\":", stdout);
    weir_json_string(stdout, group->name);
    json_options(&group->options);
    json_number("generation", (int64_t)group->generation);
    json_number("lag", (int64_t)weir_group_lag(group, &age_ms));
    json_number("lag_ms", age_ms);
    json_number("leased_times", (int64_t)group->leased_times);
    json_number("failed_times", (int64_t)group->failed_times);
    json_number("late_refused", (int64_t)group->late_refused);
    json_number("rebalances", (int64_t)group->rebalances);
    if (group->options.model == WEIR_MODEL_STREAM) {
        json_flag("stands_still", group->stands_still > 0);
    }
    json_fates(group->fates);
    fputs(",\"partitions\":[", stdout);
    for (uint32_t i = 0; i < group->partition_count; i++) {
        fputs(i > 0 ? "," : "", stdout);
        json_partition(group, &group->partitions[i]);
    }
    fputs("],\"members\":[", stdout);
    for (uint32_t i = 0; i < group->member_count; i++) {
        fputs(i > 0 ? "," : "", stdout);
        json_member(&group->members[i]);
    }
    fputs("]}\n", stdout);
}

void weir_group_info_print(const weir_group_info *group, bool queue, weir_output output)
{
    weir_group_info copy = *group;
    const weir_client_groups one = {.groups = &copy, .count = 1};
    if (output != WEIR_OUTPUT_TABLE) {
        info_json(group);
        return;
    }
    settings_print(group, queue);
    fputc('\n', stdout);
    if (group->options.model == WEIR_MODEL_QUEUE) {
        queue_print(group, queue);
    } else {
        weir_groups_lag_print(&one, WEIR_OUTPUT_TABLE);
    }
    fputc('\n', stdout);
    members_print(group);
    fputc('\n', stdout);
    counters_print(group);
    fputc('\n', stdout);
    fates_print(group);
}
