/* bench/kept.h - a peer that takes long to start: started once, stopped while others are measured.
 *
 *   none --wake--> running --rest--> stopped (SIGSTOP) --wake--> running ...    end: none
 *
 * While it is stopped it uses no processor; it is given out once it has done what it had left.
 * Zeroed is none. Main thread only. */
#ifndef WEIR_BENCH_KEPT_H
#define WEIR_BENCH_KEPT_H

#include "bench/subject.h"

typedef struct weir_kept {
    const weir_subject *subject; /* NULL: none */
    weir_subject_run run;
} weir_kept;

/* True where the subject is kept for rows that do not measure what a start costs. */
bool weir_kept_suits(const weir_subject *subject);
/* Starts it, or lets it go on, and waits until it is quiet. *run is the kept one's, borrowed. On
 * failure run->text says why and there is none. */
weir_err weir_kept_wake(weir_kept *kept, const weir_subject *subject, const weir_subject_weir *weir,
                        weir_subject_run *run);
void weir_kept_rest(weir_kept *kept);
void weir_kept_end(weir_kept *kept);

#endif
