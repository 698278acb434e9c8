/* programs/group.h - what `weir group` and `weir queue` share: settings of a command line, and how
 * groups are shown. Main thread only. */
#ifndef WEIR_PROGRAMS_GROUP_H
#define WEIR_PROGRAMS_GROUP_H

#include "weir/client.h"

#include "programs/commands.h"
#include "programs/say.h"

typedef struct weir_group_words {
    weir_group_options options; /* its topics point into `topics` */
    weir_bytes topics[WEIR_GROUP_TOPICS_MAX];
    bool given; /* any of them was */
} weir_group_words;

/* --model, --mode, --topic, --filter, --start, --removed, --dead-letter and the settings; what is
 * not given is 0. False, with the sentence printed, when one does not fit. */
bool weir_group_words_read(const weir_arguments *arguments, weir_group_words *words);

/* Whether all of it is for groups of this model, so that a mistake is one of the command line. False:
 * the sentence is printed. */
bool weir_group_words_fit(const weir_group_words *words, const char *group, weir_model model);

/* The flag of a setting: "lease_ms" is lease-ms. */
enum { WEIR_GROUP_FLAG_MAX = 64 };
void weir_group_flag_of(const weir_group_setting *setting, char flag[WEIR_GROUP_FLAG_MAX]);

/* Prints the sentence about `err` (nothing when it is OK) and gives the exit code. */
weir_exit weir_group_outcome(const weir_client *client, weir_err err, const char *group);
/* The same in the gateway's words. */
void weir_group_say(weir_err err, const char *group, const char *sentence);

/* Says so when a group that is not there could not be called so, or only that of a queue could. */
bool weir_group_name_told(const char *group);

typedef enum weir_group_doing {
    WEIR_GROUP_CREATES,
    WEIR_GROUP_ALTERS,
    WEIR_GROUP_JOINS,
    WEIR_GROUP_DELETES,
    WEIR_GROUP_LOOKS,
} weir_group_doing;

/* As weir_group_outcome, and asks the gateway what is in force, so that the sentence names it and
 * the command that helps. `asked`: what the group was to be; NULL: nothing was said about that. */
weir_exit weir_group_refused(weir_client *client, weir_err err, const char *group,
                             const weir_group_options *asked, weir_group_doing doing);

/* Whether a queue that is told so can be made, as far as that can be seen before it is. False: the
 * sentence is printed, and *code is the exit code. */
bool weir_queue_possible(weir_client *client, const char *name, const weir_group_options *asked,
                         weir_exit *code);

/* Whether a group that is so is all that was asked; what was not asked for agrees. */
bool weir_group_agrees(const weir_group_options *asked, const weir_group_options *is);

/* How the group is called that remembers what of a group's dead letters was replayed or discarded: this,
 * and that group's name. */
#define WEIR_DEAD_MEMORY "dead-letters."

/* One line a group, a memory of dead letters without its lag: that counts letters of all groups, and
 * nobody has to settle them; one line a partition; everything about one. */
void weir_groups_print(const weir_client_groups *groups, weir_output output);
void weir_groups_lag_print(const weir_client_groups *groups, weir_output output);
/* `queue`: it is that of a queue, which is told by this name. */
void weir_group_info_print(const weir_group_info *group, bool queue, weir_output output);

/* What is told of a group that stands still, and what helps. */
enum { WEIR_GROUP_STILL_MAX = 2 * WEIR_GROUP_BYTES_MAX + 256 };
void weir_group_still_put(char text[WEIR_GROUP_STILL_MAX], const char *group);

/* Visible records that are not settled, in all partitions; *age_ms is that of the oldest. */
uint64_t weir_group_lag(const weir_group_info *group, int64_t *age_ms);

#endif
