/* tests/sim/internal.h - the simulated disk's insides, shared by disk.c, crash.c and env.c. */
#ifndef WEIR_TESTS_SIM_INTERNAL_H
#define WEIR_TESTS_SIM_INTERNAL_H

#include "tests/sim/disk.h"

enum { SIM_LANE_JOBS_MAX = 4096 };

typedef struct sim_inode sim_inode;

/* A change of a file that no sync has covered. */
typedef struct sim_change {
    bool cut; /* a truncation to `offset`; else `len` bytes at `offset` */
    bool lost;
    uint64_t offset;
    uint64_t len;
    uint8_t *data;
    uint64_t call;
} sim_change;

typedef struct sim_entry {
    sim_inode *inode;
    char name[SIM_NAME_BYTES];
} sim_entry;

typedef struct sim_entries {
    sim_entry *items;
    uint32_t count;
    uint32_t capacity;
} sim_entries;

/* A change of a folder that no sync has covered: `from` goes, `to` comes; either may be empty. */
typedef struct sim_naming {
    sim_inode *inode; /* kept */
    uint64_t call;
    char from[SIM_NAME_BYTES];
    char to[SIM_NAME_BYTES];
} sim_naming;

typedef struct sim_bytes {
    uint8_t *ptr;
    uint64_t len;
    uint64_t capacity;
} sim_bytes;

struct sim_inode {
    uint32_t number;
    uint32_t refs; /* names, live and durable; pending changes; open files */
    uint32_t live_names;
    uint32_t open_files;
    bool folder;
    char name[SIM_NAME_BYTES]; /* the first it had */
    sim_bytes live;
    sim_bytes synced;
    sim_change *changes;
    uint32_t change_count;
    uint32_t change_capacity;
    const weir_file *locker;
    sim_entries names; /* a folder's, live */
    sim_entries durable;
    sim_naming *namings;
    uint32_t naming_count;
    uint32_t naming_capacity;
};

struct sim_disk {
    sim_inode **inodes; /* by number; NULL: gone */
    uint32_t inode_count;
    uint32_t inode_capacity;
    sim_inode *root;
    sim_env *envs;
    uint64_t now_ns;
    int64_t wall_offset_ms;
    uint64_t calls;
    uint64_t hash;
    uint64_t capacity;
    uint64_t refused;
    uint64_t lost; /* failed syncs so far */
    sim_fault_plan faults[SIM_CALL_COUNT];
    uint64_t faulted[SIM_CALL_COUNT];
    sim_trace *trace;
    void (*watch)(void *arg, const sim_call *call);
    void *watch_arg;
};

struct weir_file {
    sim_env *env;
    sim_inode *inode;
    uint64_t lost_told; /* of disk->lost, what a sync of the volume through this file has told */
    char path[SIM_PATH_BYTES];
};

typedef struct sim_lane {
    weir_job *jobs[SIM_LANE_JOBS_MAX];
    uint64_t due_ns[SIM_LANE_JOBS_MAX];
    uint32_t head, count;
} sim_lane;

struct sim_env {
    weir_env table;
    sim_disk *disk;
    sim_env *next;
    sim_random random; /* what core asks for */
    sim_random chance; /* latencies, partial writes, order of lanes and listings */
    sim_latency latency;
    sim_lane lanes[WEIR_LANE_COUNT];
    uint64_t dies_in;
    uint32_t process_id;
    bool dead;
};

/* disk.c: what calls do, without faults. */
void *sim_alloc(void *ptr, size_t bytes); /* realloc that ends the test when it fails */
sim_inode *sim_find(const sim_disk *disk, const char *path);
/* The folder a path lies in, and its last part; NULL when the folder is missing. */
sim_inode *sim_parent(const sim_disk *disk, const char *path, const char **last);
sim_inode *sim_inode_of(const sim_disk *disk, uint32_t number);
void sim_inode_keep(sim_inode *inode);
void sim_inode_drop(sim_disk *disk, sim_inode *inode);
sim_entry *sim_entry_find(const sim_entries *entries, const char *name);
void sim_entry_set(sim_disk *disk, sim_entries *entries, const char *name, sim_inode *inode,
                   bool live);
void sim_entry_unset(sim_disk *disk, sim_entries *entries, const char *name, bool live);
void sim_bytes_size(sim_bytes *bytes, uint64_t len); /* grows with zeros, or cuts */
void sim_bytes_put(sim_bytes *bytes, uint64_t offset, const uint8_t *in, uint64_t len);
sim_inode *sim_do_create(sim_disk *disk, const char *path, bool folder);
void sim_do_write(sim_disk *disk, sim_inode *inode, const uint8_t *data, uint64_t len,
                  uint64_t offset);
void sim_do_sync(sim_disk *disk, sim_inode *inode, bool fails);
void sim_do_volume_sync(sim_disk *disk, bool fails);
void sim_do_truncate(sim_disk *disk, sim_inode *inode, uint64_t bytes);
void sim_do_dir_sync(sim_disk *disk, sim_inode *folder);
weir_err sim_do_unlink(sim_disk *disk, const char *path, bool folder);
weir_err sim_do_rename(sim_disk *disk, const char *from, const char *to);
void sim_changes_clear(sim_inode *inode);
void sim_namings_clear(sim_disk *disk, sim_inode *inode);
/* Counts, hashes and records a call. */
void sim_call_note(sim_disk *disk, const sim_call *call);

#endif
