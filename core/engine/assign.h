/* core/engine/assign.h - who gets which partition: balanced, and as few moved as can be. Pure. */
#ifndef WEIR_CORE_ENGINE_ASSIGN_H
#define WEIR_CORE_ENGINE_ASSIGN_H

#include "weir/base.h"

#define WEIR_ASSIGN_NOBODY UINT32_MAX

/* One partition. Members are numbered below member_count. */
typedef struct weir_assign_part {
    uint32_t owner;  /* who has it now, and has not given it up; NOBODY */
    uint32_t target; /* in: whom it was meant for, NOBODY; out: whom it is meant for */
} weir_assign_part;

enum { WEIR_ASSIGN_SCRATCH = 4 }; /* words of scratch per member */

/* Sets every target. Afterwards the members' counts differ by at most one [A1], and no assignment
 * that does so would move fewer partitions away from where they were [A2]. Without members nobody
 * gets any. `scratch` is WEIR_ASSIGN_SCRATCH * member_count words. The same input gives the same
 * output. */
void weir_assign(weir_assign_part *parts, uint32_t part_count, uint32_t member_count,
                 uint32_t *scratch);

#endif
