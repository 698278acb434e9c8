/* core/journal/owner.h - one gateway per data directory: a lock per term, and the term itself.
 *
 * "<data>/owner" holds {magic, term, pid, CRC}, written in place. Each start raises the term and
 * holds the lock "<data>/lock-<term>". A second start finds the lock of the current term held and
 * is refused with the owner's pid. --take-over raises the term without asking, and the older owner,
 * when it next compares, finds a newer term and must exit. */
#ifndef WEIR_CORE_JOURNAL_OWNER_H
#define WEIR_CORE_JOURNAL_OWNER_H

#include "weir/base.h"

#include "core/env/env.h"

typedef struct weir_owner weir_owner;

/* Creates `data_dir` when missing. LOCKED names the pid in the fault. *old_alive tells that an
 * older owner may still be alive (taken over): files it has open are not to be written. */
weir_err weir_owner_open(weir_env *env, const char *data_dir, bool take_over, weir_owner **owner,
                         bool *old_alive, weir_fault *fault);
void weir_owner_close(weir_owner *owner);
/* Only looks, and changes nothing. *term: the present or last owner's; 0: none yet. LOCKED names the
 * pid in the fault; NOT_FOUND: there is no such directory. OK with a fault: nobody holds it, and the
 * file "owner" cannot be read. */
weir_err weir_owner_look(weir_env *env, const char *data_dir, uint64_t *term, weir_fault *fault);
uint64_t weir_owner_term(const weir_owner *owner);
/* Reads the term again, with one read of the disk. FENCED: a newer owner has it. IO: it cannot be
 * told. Any thread. */
weir_err weir_owner_compare(weir_owner *owner);

#endif
