/* programs/commands.c - the table of subcommands: nothing but data and its look-ups.
 *
 * To add a subcommand: a row here, its entry point in commands.h, a file of its name. Help, man
 * pages and completion follow. */
#include "programs/commands.h"

#include <stdio.h>
#include <string.h>

static const weir_option config_options[] = {
    {'c', "config", "FILE", "read the configuration from FILE (else $WEIR_CONFIG, else defaults)"},
    {0, "set", "KEY=VALUE", "override one key of the configuration; may be repeated"},
    {0, "data", "DIR", "the data directory (else $WEIR_DATA, else `data`, else ./var/data)"},
    {0, NULL, NULL, NULL},
};

/* What talks to a running gateway. */
static const weir_option client_options[] = {
    {'s', "server", "URL",
     "the gateway: unix:PATH or a path alone that begins with / or ., ws://127.0.0.1:9347/v1, or "
     "nng+tcp://127.0.0.1:9348 (there sub is not offered); else weir.sock in the data directory"},
    {0, "timeout", "SECONDS", "how long to wait for the gateway's answers (default 10)"},
    {0, "data", "DIR", "the data directory (else $WEIR_DATA, else `data`, else ./var/data)"},
    {'c', "config", "FILE", "read the configuration from FILE (else $WEIR_CONFIG)"},
    {'o', "output", "FORM", "table, json or ndjson"},
    {0, "json", NULL, "the same as -o json"},
    {0, "quiet", NULL, "say nothing on standard error but errors"},
    {0, NULL, NULL, NULL},
};

static const weir_option output_options[] = {
    {'o', "output", "FORM", "table, json or ndjson"},
    {0, "json", NULL, "the same as -o json"},
    {0, NULL, NULL, NULL},
};

static const weir_option markdown_options[] = {
    {0, "markdown", NULL, "print the page of docs/ that this table makes"},
    {0, NULL, NULL, NULL},
};

static const weir_option serve_options[] = {
    {0, "ports", "FILE", "write a line NAME ADDRESS for each listener once all are ready"},
    {0, "take-over", NULL, "replace an owner of the data directory that hangs"},
    {0, "insecure", NULL, "allow addresses other than loopback although nobody has to log in"},
    {0, NULL, NULL, NULL},
};

static const weir_option check_options[] = {
    {0, "effective", NULL, "print every value in force and where it comes from"},
    {0, "insecure", NULL, "check as `serve --insecure` would"},
    {0, NULL, NULL, NULL},
};

static const weir_option topic_create_options[] = {
    {'p', "partitions", "N", "how many partitions (default 1)"},
    {'d', "durability", "LEVEL", "memory, os or disk (default disk)"},
    {0, "kind", "KIND",
     "log (default): records stay until retention or compaction removes them; queue: until the "
     "topic's own group has settled them"},
    {0, "nested", NULL, "the topic may stand above or below another one"},
    {0, "partition-levels", "N", "only the first N levels of a key choose the partition (0: all)"},
    {0, NULL, NULL, NULL},
};

static const weir_option topic_settings_options[] = {
    {0, "cleanup", "HOW", "what old records come to: delete, compact or compact,delete"},
    {0, "retention-ms", "MS",
     "age at which records may go (default 7 days, of a queue unlimited; 0: at once)"},
    {0, "retention-bytes", "BYTES",
     "bytes a partition keeps, and up to a segment more (default unlimited)"},
    {0, "retention-unsettled", "WHAT",
     "expire (default), or keep: not before all groups settled it"},
    {0, "retention-unsettled-bytes", "BYTES", "with keep: at most so many (default 1 GiB)"},
    {0, "segment-bytes", "BYTES", "size at which a partition begins a new segment"},
    {0, "segment-ms", "MS", "age at which it does (default 7 days; or unlimited)"},
    {0, "delete-retention-ms", "MS", "how long compaction leaves tombstones (default a day)"},
    {0, "min-compaction-lag-ms", "MS", "age a record has before compaction may remove it"},
    {0, NULL, NULL, NULL},
};

/* The same for a queue, whose records go when they are settled. */
static const weir_option queue_settings_options[] = {
    {0, "retention-ms", "MS",
     "age at which records go although nobody has settled them (default unlimited; 0: at once)"},
    {0, "retention-bytes", "BYTES",
     "bytes a partition keeps, and up to a segment more: then the oldest go, settled or not (default "
     "unlimited)"},
    {0, "retention-unsettled", "WHAT",
     "with one of these: expire (default), or keep: they take only what is settled"},
    {0, "retention-unsettled-bytes", "BYTES", "with keep: at most so many (default 1 GiB)"},
    {0, "cleanup", "HOW", "delete (default) and nothing else: a queue is not compacted"},
    {0, "segment-bytes", "BYTES", "size at which a partition begins a new segment"},
    {0, "segment-ms", "MS", "age at which it does (default 7 days; or unlimited)"},
    {0, NULL, NULL, NULL},
};

static const weir_option topic_alter_options[] = {
    {'d', "durability", "LEVEL", "memory, os or disk"},
    {'p', "partitions", "N",
     "have so many partitions: more than there are; keys move to other ones, see `weir help topic "
     "alter`"},
    {0, NULL, NULL, NULL},
};

static const weir_option topic_trim_options[] = {
    {0, "before", "OFFSET", "the first offset to keep; `end`: keep none"},
    {'p', "partition", "N", "of this partition (default 0)"},
    {0, NULL, NULL, NULL},
};

static const weir_option group_what_options[] = {
    {0, "model", "MODEL", "stream (default) or queue"},
    {0, "mode", "MODE", "at-least-once (default), at-most-once, or for streams client-commit"},
    {0, "topic", "TOPIC", "a declared topic that the group reads; may be repeated"},
    {0, "filter", "FILTER", "or: it reads what FILTER matches, of all topics"},
    {0, "start", "WHERE", "where a new group begins: beginning (default) or end"},
    {0, "removed", "WHERE",
     "where a stream group goes on whose position was removed: beginning (default: what is left), "
     "end, or error"},
    {0, "dead-letter", "TOPIC", "a declared topic for the records that were given up"},
    {0, NULL, NULL, NULL},
};

static const weir_option group_change_options[] = {
    {0, "mode", "MODE", "at-least-once, at-most-once, or for streams client-commit"},
    {0, "removed", "WHERE", "where a stream group goes on: beginning, end, or error"},
    {0, "dead-letter", "TOPIC", "a declared topic for the records that were given up"},
    {0, NULL, NULL, NULL},
};

static const weir_option group_settings_options[] = {
    {0, "session-ms", "MS", "a member that is silent for so long is out (default 45 s)"},
    {0, "lease-ms", "MS",
     "queue: so long a record stays with a member (30 s; -1: while it is there)"},
    {0, "delivery-limit", "N",
     "queue: failures after which a record is a dead letter (5; -1: none)"},
    {0, "leased-max", "N", "queue: records one member may hold (10,000)"},
    {0, "unsettled-max", "N", "queue: records out and not settled, in all (2,000,000)"},
    {0, "key-ordered", "YES", "queue: yes: one record of a key is out at a time, in order; or no"},
    {0, "single-active", "YES", "queue: yes: one member gets all, the others wait; or no"},
    {0, "retry-delay-ms", "MS", "queue: a failed record waits so long (default 0)"},
    {0, "max-records", "N", "queue: records not settled that it may have (-1: any number)"},
    {0, "max-bytes", "BYTES", "queue: the same in bytes (-1: any number)"},
    {0, "overflow", "WHAT",
     "queue: beyond that: refuse publishes (default; queue topics), drop-oldest, or dead-letter"},
    {0, NULL, NULL, NULL},
};

static const weir_option group_expiry_options[] = {
    {0, "expiry-ms", "MS",
     "a group without members is forgotten then (7 days; -1: never); that of a queue never is"},
    {0, NULL, NULL, NULL},
};

static const weir_option group_delete_options[] = {
    {0, "force", NULL, "also when it has members: they are out"},
    {0, NULL, NULL, NULL},
};

static const weir_option group_reset_options[] = {
    {0, "to", "WHERE",
     "beginning, end, OFFSET, @TIME (Unix time, or 2026-01-31T12:00:00, UTC), +N or -N (from "
     "where it is)"},
    {0, "topic", "TOPIC", "only this topic's partitions"},
    {0, "partition", "N", "only this partition of --topic"},
    {0, "dry-run", NULL, "only tell what it would do"},
    {0, NULL, NULL, NULL},
};

static const weir_option group_join_options[] = {
    {'C', "count", "N", "leave after N records"},
    {'W', "wait", "SECONDS", "leave after SECONDS (0.5, say), with exit code 27"},
    {0, "max", "N", "records to take at a time (default 100; with --exec 1)"},
    {'x', "exec", "CMD",
     "run CMD with sh for each record instead of printing it: its value on standard input, the rest "
     "in WEIR_NAME, WEIR_TOPIC, WEIR_PARTITION, WEIR_OFFSET, WEIR_KEY, WEIR_TIME_MS, WEIR_LEASED, "
     "WEIR_FAILED"},
    {'F', "format", "FORMAT", "as in weir sub"},
    {'N', "no-newline", NULL, "no newline after each record"},
    {0, "name", "NAME", "of this member, for people"},
    {0, "instance", "NAME",
     "stream: a member that comes again under NAME within session-ms takes up its partitions"},
    {0, NULL, NULL, NULL},
};

static const weir_option queue_create_options[] = {
    {'p', "partitions", "N", "how many partitions (default 1)"},
    {'d', "durability", "LEVEL", "memory, os or disk (default disk)"},
    {0, "mode", "MODE", "at-least-once (default) or at-most-once"},
    {0, "dead-letter", "TOPIC", "a declared topic for the records that were given up"},
    {0, NULL, NULL, NULL},
};

static const weir_option queue_peek_options[] = {
    {'C', "count", "N", "show N records (default 10)"},
    {'F', "format", "FORMAT", "as in weir sub"},
    {0, NULL, NULL, NULL},
};

static const weir_option dead_options[] = {
    {'C', "count", "N", "replay or discard N of them (default: all)"},
    {0, "to", "TOPIC", "replay: publish to this declared topic instead"},
    {0, NULL, NULL, NULL},
};

static const weir_option why_options[] = {
    {0, "group", "NAME", "only what happened in this group"},
    {0, NULL, NULL, NULL},
};

static const weir_option pub_options[] = {
    {'m', "message", "TEXT", "publish TEXT"},
    {'l', "lines", NULL, "publish each line of standard input"},
    {'f', "file", "FILE", "publish the whole of FILE (-: standard input)"},
    {'n', "null", NULL, "publish a record without a value (a tombstone)"},
    {'k', "key", "KEY", "TOPIC is a topic's name and KEY the key; else TOPIC is a full name"},
    {'K', "key-delimiter", "D", "each line is KEY, D, value; a line without D is refused"},
    {'H', "header", "K=V", "add a header; may be repeated"},
    {'r', "retain", NULL, "also keep it as the name's retained value"},
    {'q', "qos", "N",
     "1: wait until it is stored (default); 0: send only: nobody tells whether it was taken"},
    {0, NULL, NULL, NULL},
};

static const weir_option sub_options[] = {
    {0, "from", "WHERE",
     "beginning, end (default), OFFSET, -N (the last N) or @TIME (Unix time in seconds or "
     "milliseconds, or 2026-01-31T12:00:00, UTC). OFFSET and -N count in each partition by itself, "
     "and count all of its records, also those that FILTER leaves out"},
    {'C', "count", "N", "stop after N records"},
    {'W', "wait", "SECONDS", "stop after SECONDS (0.5, say), with exit code 27"},
    {'e', "exit-at-end", NULL, "stop at the end of what was there at the start"},
    {'F', "format", "FORMAT",
     "%t topic, %p partition, %o offset, %k key, %s value, %S length of the value in bytes, %K "
     "length of the key in bytes (both -1 for none), %h headers, %T time in ms, %n full name, %r retained, "
     "%% a percent sign; \\n \\t \\r \\0 \\xHH. On a terminal what it would obey is shown as \\xHH; files "
     "and pipes get the bytes"},
    {'N', "no-newline", NULL, "no newline after each record"},
    {'R', "no-retained", NULL, "do not show retained values first"},
    {0, NULL, NULL, NULL},
};

static const weir_option replay_options[] = {
    {0, "from", "WHERE",
     "beginning (default), OFFSET, -N (the last N) or @TIME, as `weir sub` takes it"},
    {0, "until", "WHERE",
     "the first record that is not replayed: OFFSET, -N, @TIME or end (default: all there is now)"},
    {'C', "count", "N", "replay N records (of each round)"},
    {0, "skip", "N", "leave the first N records out (of each round)"},
    {0, "resume", "N",
     "leave N more out of the first round, as a replay that was stopped tells; they count for -C"},
    {0, "speed", "X", "1x (default: as recorded), 2x, 0.5, or max: without waiting"},
    {0, "rate", "N/S", "so many records a second instead, evenly: 100/s"},
    {0, "gap-max", "SECONDS", "shorten longer silences in the recording to this"},
    {0, "into", "TOPIC", "publish into this declared topic, keys as they were"},
    {0, "prefix", "NAME", "publish under the recorded names with NAME/ before them"},
    {0, "print", NULL, "print each record (default for topics without --into and --prefix)"},
    {'F', "format", "FORMAT", "how to print, as `weir sub` has it"},
    {'N', "no-newline", NULL, "no newline after each record"},
    {0, "plain", NULL, "add no replay- headers"},
    {'r', "retain", NULL, "also keep each record as its name's retained value"},
    {0, "loop", "N", "replay N times, one round after another; 0: until stopped (default 1)"},
    {0, "dry-run", NULL, "publish nothing: tell how many records there are and how long they take"},
    {'f', "file", "FILE", "replay the lines of FILE (-: standard input), one JSON object each"},
    {0, "name-template", "NAME",
     "the line is the value, and its name has members of the line in braces: site/{device_id}/temp"},
    {0, "time-field", "MEMBER", "the member with the time: ts, or a.b for b in a"},
    {0, NULL, NULL, NULL},
};

static const weir_option dump_options[] = {
    {0, "unit", "FROM..TO", "only these units of the journal (FROM alone: that one)"},
    {0, NULL, NULL, NULL},
};

static const weir_option repair_options[] = {
    {0, "accept-loss", NULL, "do it; without this, only tell what would be given up"},
    {0, NULL, NULL, NULL},
};

static const weir_option demo_options[] = {
    {'n', "devices", "N", "how many devices (default 3)"},
    {'i', "interval", "MS", "milliseconds between two rounds (default 1000)"},
    {'C', "count", "N", "stop after N rounds"},
    {0, NULL, NULL, NULL},
};

static const weir_option bench_options[] = {
    {0, "all", NULL, "run every row"},
    {0, "list", NULL, "list the rows and the subjects; run nothing"},
    {0, "only", "NAMES", "only these subjects, with commas between (the ceiling always runs)"},
    {0, "repeats", "N", "how often each subject runs, one after the other (default 5)"},
    {0, "seconds", "S", "how long each run is measured (default 2, with --all 1)"},
    {0, "warm-up", "S", "how long each run warms up before (default 0.5, with --all 0.3)"},
    {0, "mqtt", "LEVEL", "MQTT's protocol level: 4 (3.1.1, the default) or 5"},
    {0, "save", NULL, "keep the raw results in bench/results, one JSON object a line"},
    {0, "json", NULL, "print the raw results instead of the table"},
    {0, "set", "KEY=VALUE", "override a key of Weir's configuration; may be repeated"},
    {0, "weir", "FILE", "the weir to measure (default: this one)"},
    {0, NULL, NULL, NULL},
};

static const weir_command commands[] = {
    {"serve",
     "",
     "run the gateway",
     "Opens the data directory, starts every front end that the configuration asks for, and serves "
     "until SIGINT or SIGTERM. Once all listeners are ready, one line on standard output says so.\n"
     "A stop drains: nothing new is taken in, what is in flight is answered (at most drain_ms_max), "
     "the engine is closed. A second signal does not wait for that.\n"
     "One gateway owns a data directory. A second is refused and told the owner's process id; "
     "--take-over replaces an owner that hangs, which can then neither write nor acknowledge.",
     "weir serve --data ./var/data --set mqtt.port=0 --ports ./var/ports\n",
     0,
     0,
     {config_options, serve_options},
     weir_run_serve},
    {"check",
     "",
     "read the configuration and say what is wrong, without starting",
     "Prints nothing but a short word when all is well. A mistake is told with file, line and column. Files "
     "that the configuration names (certificates, keys, adapters) are looked at too; whether ports are "
     "free and what the settings of a loaded adapter mean is known only when it starts.",
     "weir check -c weir.yaml --effective\n",
     0,
     0,
     {config_options, check_options, output_options},
     weir_run_check},
    {"config",
     "",
     "list every key of the configuration",
     "Name, type, default, bounds and meaning of each key that weir.yaml and --set take.",
     "weir config\n",
     0,
     0,
     {markdown_options, output_options},
     weir_run_config},
    {"limits",
     "",
     "list every limit and what happens at it",
     "Each limit has a name (limits.NAME in the configuration), a default, a metric, and an answer for "
     "each protocol.",
     "weir limits\n",
     0,
     0,
     {markdown_options, output_options},
     weir_run_limits},
    {"topic create",
     "NAME",
     "declare a topic",
     "Records published under NAME, or under NAME/KEY, are kept from then on. Declaring a topic that "
     "is there with the same settings changes nothing; with others it is refused.",
     "weir topic create site --partitions 4 --durability disk\n"
     "weir topic create state --cleanup compact\n",
     1,
     1,
     {topic_create_options, topic_settings_options, client_options},
     weir_run_topic_create},
    {"topic ls",
     "",
     "list the declared topics",
     "",
     "weir topic ls\n",
     0,
     0,
     {client_options},
     weir_run_topic_ls},
    {"topic info",
     "NAME",
     "show a topic and its partitions",
     "",
     "weir topic info site\n",
     1,
     1,
     {client_options},
     weir_run_topic_info},
    {"topic describe",
     "NAME",
     "show what a topic was told, defaults included",
     "",
     "weir topic describe site\n",
     1,
     1,
     {client_options},
     weir_run_topic_describe},
    {"topic alter",
     "NAME",
     "change a topic that lives: durability, retention, partitions",
     "Records that are there keep the level they have reached. With more partitions keys go to other "
     "ones from then on; `weir sub --from` hands out a key's older records before its newer ones all "
     "the same. Groups and compaction look at each partition by itself: two records of a key that "
     "moved may be out at once, and of a compacted topic the older value stays beside the newer one "
     "(docs/promises.md, \"Adding partitions\").",
     "weir topic alter site --durability os --retention-ms 86400000\n"
     "weir topic alter site --partitions 8\n",
     1,
     1,
     {topic_alter_options, topic_settings_options, client_options},
     weir_run_topic_set},
    {"topic set",
     "NAME",
     "the same as `topic alter`",
     "",
     "weir topic set site --durability os\n",
     1,
     1,
     {topic_alter_options, topic_settings_options, client_options},
     weir_run_topic_set},
    {"topic trim",
     "NAME",
     "remove the oldest records of a partition",
     "Those below --before are not read any more once this returns, and cannot be had back. Their "
     "disk is freed by and by.",
     "weir topic trim site --before 1000\n",
     1,
     1,
     {topic_trim_options, client_options},
     weir_run_topic_trim},
    {"topic rm",
     "NAME",
     "delete a topic and its records",
     "",
     "weir topic rm site\n",
     1,
     1,
     {client_options},
     weir_run_topic_rm},
    {"pub",
     "TOPIC",
     "publish records",
     "TOPIC is a full name as MQTT has it: the longest declared topic that is a prefix of it by whole "
     "levels, and the key. A name under no declared topic is live: it reaches those who are "
     "subscribed now and is not kept; pub says so.\n"
     "Ends when everything published is confirmed at the topic's durability.",
     "weir pub site/dev1/temp -m 21.5\nseq 1000 | weir pub site/dev1/count -l\n",
     1,
     1,
     {pub_options, client_options},
     weir_run_pub},
    {"sub",
     "FILTER",
     "print records as they arrive",
     "FILTER is a full name, + for one level and # for all further ones allowed. Without -F each value "
     "is printed, and a newline after it. With -o json or ndjson each record is one JSON object a "
     "line.\n"
     "Without --from, only what arrives from now on (and retained values) is shown. With --from -N or "
     "OFFSET each partition of each topic starts there, before FILTER chooses: of the last N records "
     "of a partition, those that match are printed.",
     "weir sub 'site/#' --from beginning -e -F '%o %k %s'\nweir sub 'site/+/temp' -C 1 -W 5\n",
     1,
     1,
     {sub_options, client_options},
     weir_run_sub},
    {"group create",
     "NAME",
     "make a consumer group",
     "A stream group divides partitions among its members and keeps where each is; a queue group "
     "hands each record to one member and keeps what became of it. Making one that is there with the "
     "same settings changes nothing. docs/groups.md tells more.",
     "weir group create billing --topic orders\n"
     "weir group create mail --topic orders --model queue --delivery-limit 3 --dead-letter orders-dead\n",
     1,
     1,
     {group_what_options, group_settings_options, group_expiry_options, client_options},
     weir_run_group_create},
    {"group alter",
     "NAME",
     "change a group that lives: its mode, its settings",
     "What it reads and its model stay. What is with members keeps the mode it was handed out in.",
     "weir group alter mail --lease-ms 60000 --delivery-limit 10\n",
     1,
     1,
     {group_change_options, group_settings_options, group_expiry_options, client_options},
     weir_run_group_alter},
    {"group delete",
     "NAME",
     "delete a group and all it knows",
     "The records stay. A group with members is refused without --force.",
     "weir group delete billing\n",
     1,
     1,
     {group_delete_options, client_options},
     weir_run_group_delete},
    {"group ls",
     "",
     "list the groups",
     "",
     "weir group ls\n",
     0,
     0,
     {client_options},
     weir_run_group_ls},
    {"group info",
     "NAME",
     "show a group: settings, partitions, members, fates",
     "The fates of a group add up: every record it reads is pending or has exactly one of them.",
     "weir group info billing\nweir group info billing --json\n",
     1,
     1,
     {client_options},
     weir_run_group_info},
    {"group lag",
     "[NAME]",
     "show how far each partition of a group, or of all, is behind",
     "committed is the next offset to read of a stream group; a queue group has settled all below it. "
     "lag counts the records that are not settled, lag_s is the age of the oldest in seconds.",
     "weir group lag\nweir group lag billing\n",
     0,
     1,
     {client_options},
     weir_run_group_lag},
    {"group reset",
     "NAME",
     "move a group to another place",
     "Everything from there on is handed out anew. A stream group must have no members; of a queue "
     "group the leases are over. Shows each partition before and after; with --dry-run that is all. Offsets are counted: of a compacted topic, or of what a "
     "filter leaves out, the numbers are the most that it can be.",
     "weir group reset billing --to beginning --dry-run\n"
     "weir group reset billing --topic orders --partition 0 --to -100\n",
     1,
     1,
     {group_reset_options, client_options},
     weir_run_group_reset},
    {"group join",
     "NAME",
     "be a member: print records as they come, or run a command for each",
     "Makes the group when there is none and --topic or --filter say what it is to read. Records are "
     "settled once they are printed, or by the exit code of CMD: 0 accepts; 75 gives the record back, "
     "to be handed out again after a second; anything else counts as a failure (in a stream group both "
     "end this command, and the record comes again).\n"
     "SIGINT lets it finish what it holds and leave in order. A member that is killed is found out at "
     "once, and in mode at-least-once what it held goes to another.",
     "weir group join billing --topic orders -F '%o %k %s'\n"
     "weir group join mail --topic orders --model queue --exec 'sendmail -t'\n",
     1,
     1,
     {group_join_options, group_what_options, client_options},
     weir_run_group_join},
    {"group dead",
     "ls|replay|discard NAME",
     "list a group's dead letters, publish them again, or be done with them",
     "ls shows what the group gave up, of whatever topic, and was not replayed or discarded: where it "
     "stands in the dead-letter topic, what it was, and why it was given up. replay publishes each again, "
     "to the end of the topic that it came from: all groups that read that topic and its subscribers get "
     "it, which the command says before it begins; --to TOPIC publishes elsewhere, a queue of its own say. "
     "discard only counts it as seen. Both take the letters that are there when they begin. The "
     "dead-letter topic keeps its records by its own retention: what was seen is remembered by the group "
     "dead-letters.NAME.",
     "weir group dead ls mail\nweir group dead replay mail -C 1\nweir group dead replay mail --to retries\n",
     2,
     2,
     {dead_options, client_options},
     weir_run_group_dead},
    {"queue create",
     "NAME",
     "declare a queue: a topic whose records stay until they are settled",
     "The topic has one group, of model queue, that is named like it and lives as long: members join "
     "it with `weir group join NAME`. Its settings may be given here, or later with `weir group alter "
     "NAME`.",
     "weir queue create jobs --lease-ms 60000\nweir pub jobs -m 'resize 1.png'\n"
     "weir group join jobs\n",
     1,
     1,
     {queue_create_options, group_settings_options, queue_settings_options, client_options},
     weir_run_queue_create},
    {"queue ls",
     "",
     "list the queues and how full they are",
     "",
     "weir queue ls\n",
     0,
     0,
     {client_options},
     weir_run_queue_ls},
    {"queue info",
     "NAME",
     "show a queue: settings, partitions, members, fates",
     "",
     "weir queue info jobs\n",
     1,
     1,
     {client_options},
     weir_run_queue_info},
    {"queue peek",
     "NAME",
     "show records of a queue without taking them",
     "Begins with the oldest record that is not settled; records behind it are shown whatever their "
     "state.",
     "weir queue peek jobs -C 3\n",
     1,
     1,
     {queue_peek_options, client_options},
     weir_run_queue_peek},
    {"queue dead",
     "ls|replay|discard NAME",
     "list a queue's dead letters, publish them again, or be done with them",
     "ls shows what stands in the queue's dead-letter topic and was not replayed or discarded: where, what "
     "it was, and why it was given up. replay publishes each again, to the end of the queue; discard "
     "only counts it as seen. Both take the letters that are there when they begin. `weir group dead` does "
     "the same for every group. The dead-letter topic keeps its records by its own retention: what was "
     "seen is remembered by the group dead-letters.NAME.",
     "weir queue dead ls jobs\nweir queue dead replay jobs\n",
     2,
     2,
     {dead_options, client_options},
     weir_run_queue_dead},
    {"why",
     "TOPIC PARTITION OFFSET",
     "tell what became of one record",
     "Shows when the record was stored, a line for each thing that happened to it (handed out, accepted, "
     "failed, rejected, expired, ...) with its time, group, member and front end, and how it stands in "
     "each group now. What happened is kept in the topic __fates, for 7 days or 1 GiB unless `weir topic "
     "alter __fates --retention-ms MS` says otherwise; what is older is said to be so, and `weir group "
     "info` still counts it. With -o ndjson: the lines alone.",
     "weir why orders 0 17\nweir why orders 0 17 --group billing --json\n",
     3,
     3,
     {why_options, client_options},
     weir_run_why},
    {"replay",
     "[SOURCE...]",
     "publish or print recorded records again, each at its time",
     "SOURCE is a topic's name (all of its records) or a filter. Records of many partitions come in the "
     "order of their times, those of one partition in its order. A record is due by the clock of the "
     "start, so one that is late delays no other.\n"
     "Keys, values and headers stay as they were (but headers that begin with weir-, which only the "
     "gateway sets). The headers replay-topic, replay-partition, replay-offset and replay-time (Unix "
     "milliseconds) tell where a record comes from; one that has a replay-time already keeps its own, "
     "and gets none.\n"
     "--file takes what `weir sub -o ndjson` printed, and publishes it under the names in it unless "
     "--into, --prefix or --print say otherwise; or any lines of JSON, with --name-template and "
     "--time-field.\n"
     "SIGINT and SIGTERM stop it: what was sent is confirmed, and a line tells the options that go on "
     "from there (exit code 1).",
     "weir replay site --from @2026-01-31T12:00:00 --until @2026-01-31T13:00:00 --speed 10x --into copy\n"
     "weir replay 'site/+/temp' --from -1000 --speed max -o ndjson\n"
     "weir replay --file day.ndjson --name-template 'site/{device}/telemetry' --time-field ts --loop 0\n",
     0,
     64,
     {replay_options, client_options},
     weir_run_replay},
    {"demo",
     "",
     "play a small fleet of devices into the gateway",
     "Declares the topic site where it is missing, then publishes site/DEVICE/telemetry for each device in "
     "each round, until stopped. The readings are simulated.",
     "weir demo --devices 5\n",
     0,
     0,
     {demo_options, client_options},
     weir_run_demo},
    {"stats",
     "",
     "print the gateway's counters",
     "",
     "weir stats\nweir stats --json\n",
     0,
     0,
     {client_options},
     weir_run_stats},
    {"bench",
     "[ROW...]",
     "measure the gateway beside its peers",
     "Starts each subject of a row on loopback, drives it with one load generator, and prints what it "
     "reached beside the null broker's figure, which is the machine's ceiling. bench/README.md says what "
     "each column means. Peers that are not installed are skipped with the line that installs them.\n"
     "Fails when a message to or from the gateway is lost, doubled or out of order, and when the ceiling "
     "is too low for the figures to mean anything.",
     "weir bench 1 2 --only mosquitto,weir,weir-os\nweir bench --all --save\n",
     0,
     64,
     {bench_options},
     weir_run_bench},
    {"log verify",
     "",
     "read a whole data directory and say whether it is sound",
     "Reads owner file, checkpoints, journal, segments and their .heads, of a data directory that no "
     "gateway owns, and changes nothing. Shows every file, the first bad place of each that is not "
     "sound, the offsets that cannot be read, and where nothing is lost by it. Exit code 0: sound; 1: "
     "something is damaged or missing.",
     "weir log verify --data ./var/data\n",
     0,
     0,
     {config_options, output_options},
     weir_run_log_verify},
    {"log dump",
     "[FILE]",
     "print what the journal, or one segment, holds",
     "Without FILE: the entries of all units in the journal of a data directory that no gateway owns. "
     "FILE is a segment's .log: its batches. Changes nothing. What it passes over has a row of type "
     "unreadable or missing, and the exit code is 1.",
     "weir log dump --unit 100..120\n"
     "weir log dump var/data/log/1/0/00000000000000000000.log -o ndjson\n",
     0,
     1,
     {dump_options, config_options, output_options},
     weir_run_log_dump},
    {"log repair",
     "",
     "give up what a damaged journal cannot give back",
     "Tells which units, and which records of which topics, were acknowledged and cannot be read. With "
     "--accept-loss it copies journal and checkpoints into a folder repair-TIME of the data directory "
     "first, and then cuts the journal behind the last good unit, so that `weir serve` starts as usual. "
     "A file that can be restored from a backup is better: then nothing is lost. When the journal is "
     "sound, .heads files that are damaged or missing are made again from their .log, with or without "
     "--accept-loss; the data directory is opened for that as at a start: the recovery epoch rises.",
     "weir log repair --data ./var/data\nweir log repair --data ./var/data --accept-loss\n",
     0,
     0,
     {repair_options, config_options, output_options},
     weir_run_log_repair},
    {"log failpoints",
     "",
     "list the places where tests count, kill or fail",
     "",
     "weir log failpoints\n",
     0,
     0,
     {output_options},
     weir_run_log_failpoints},
    {"version",
     "",
     "print the versions of weir and of its libraries",
     "",
     "weir version\n",
     0,
     0,
     {output_options},
     weir_run_version},
    {"help",
     "[COMMAND]",
     "explain weir or one command",
     "",
     "weir help pub\n",
     0,
     2,
     {NULL},
     weir_run_help},
    {"man",
     "[COMMAND]",
     "print a man page (roff)",
     "",
     "weir man sub | man -l -\n",
     0,
     2,
     {NULL},
     weir_run_man},
    {"completion",
     "bash",
     "print completion for a shell",
     "",
     "source <(weir completion bash)\n",
     1,
     1,
     {NULL},
     weir_run_completion},
};

const weir_command *weir_commands(size_t *count)
{
    *count = sizeof(commands) / sizeof(commands[0]);
    return commands;
}

const weir_command *weir_command_named(const char *name)
{
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        if (strcmp(commands[i].name, name) == 0) {
            return &commands[i];
        }
    }
    return NULL;
}

const weir_command *weir_command_find(char *const *words, int count, int *used)
{
    char name[64];
    for (int len = count < 2 ? count : 2; len > 0; len--) {
        const weir_command *command;
        int written = snprintf(name, sizeof(name), "%s%s%s", words[0], len == 2 ? " " : "",
                               len == 2 ? words[1] : "");
        command = written < (int)sizeof(name) ? weir_command_named(name) : NULL;
        if (command != NULL) {
            *used = len;
            return command;
        }
    }
    return NULL;
}

size_t weir_command_verbs(const char *word, char *verbs, size_t size)
{
    size_t count = 0;
    size_t at = 0;
    size_t len = strlen(word);
    verbs[0] = '\0';
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        const char *name = commands[i].name;
        if (strncmp(name, word, len) == 0 && name[len] == ' ' && at < size) {
            at += (size_t)snprintf(verbs + at, size - at, "%s%s", count == 0 ? "" : ", ",
                                   name + len + 1);
            count++;
        }
    }
    return count;
}

const weir_option *weir_command_option(const weir_command *command, size_t index)
{
    for (size_t list = 0; list < WEIR_COMMAND_OPTION_LISTS; list++) {
        const weir_option *option = command->options[list];
        for (; option != NULL && option->name != NULL; option++) {
            if (index == 0) {
                return option;
            }
            index--;
        }
    }
    return NULL;
}
