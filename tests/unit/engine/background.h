/* tests/unit/engine/background.h - for tests that need the disk for themselves: waits for what the engine has its
 * lanes do. They run when nobody wants the processor, on a loaded machine much later. */
#ifndef WEIR_TESTS_ENGINE_BACKGROUND_H
#define WEIR_TESTS_ENGINE_BACKGROUND_H

#include "tests/unit/engine/support.h"

#include "core/engine/state.h"
#include "core/journal/internal.h"

/* A flush or a checkpoint that is due or under way, or a spare file of the journal that is being made. */
static inline bool background_busy(const weir_engine *engine)
{
    return engine->flush.running || (engine->straight.flush_wanted && !engine->flush_empty) ||
           engine->phase != WEIR_CHECKPOINT_IDLE || engine->journal->prepare.running;
}

/* Until something is asked of it again the engine calls the disk no more. */
static inline void background_rests(fixture *f)
{
    int64_t until = wait_end();
    for (weir_port_step(f->port); background_busy(f->engine); weir_port_step(f->port)) {
        assert_true(wait_goes_on(until));
        f->engine->env->ops->lanes_drain(f->engine->env);
    }
}

/* The journal says so of all that it has synced: a start takes what comes next for unproved. */
static inline void marked(fixture *f)
{
    int64_t until = wait_end();
    while (f->engine->mark_due_ns != 0) {
        assert_true(wait_goes_on(until));
        (void)weir_port_wait(f->port, 5);
    }
}

#endif
