/* core/engine/group_seams.c - what groups call before its owner's file is there: weak, and gone when
 * each is. */
#include "core/engine/group.h"
#include "core/engine/settlement.h"

#define WEAK __attribute__((weak))

WEAK void weir_member_op(weir_engine *engine, weir_port *port, const weir_op *op)
{
    weir_completion done = {.type = WEIR_COMPLETION_MEMBER,
                            .err = WEIR_NOT_OFFERED,
                            .user = op->user,
                            .token = op->token};
    (void)engine;
    if (op->type == WEIR_OP_MEMBER_JOIN) {
        weir_port_answer(port, &done, 0, WEIR_LEVEL_MEMORY);
    }
}
WEAK void weir_members_work(weir_engine *engine)
{
    (void)engine;
}
WEAK uint64_t weir_members_deadline(const weir_engine *engine, const weir_group *group)
{
    (void)group;
    (void)engine;
    return UINT64_MAX;
}
WEAK void weir_members_end(weir_engine *engine, weir_port *port)
{
    (void)engine;
    (void)port;
}
WEAK void weir_member_out(weir_engine *engine, weir_member *member, bool orderly)
{
    (void)engine;
    (void)orderly;
    weir_link_remove(&member->group_link);
}
WEAK void weir_group_ready(weir_group *group, weir_group_part *part)
{
    (void)group;
    (void)part;
}
WEAK weir_err weir_stream_make(weir_engine *engine, weir_group *group)
{
    (void)engine;
    (void)group;
    return WEIR_OK;
}
WEAK void weir_stream_free(weir_group *group)
{
    (void)group;
}
WEAK void weir_stream_part_free(weir_group_part *part)
{
    (void)part;
}
WEAK void weir_stream_put(weir_engine *engine, const weir_group *group, weir_writer *to)
{
    (void)engine;
    (void)group;
    (void)to;
}
WEAK weir_err weir_stream_take_saved(weir_engine *engine, weir_group *group, weir_reader *from)
{
    (void)engine;
    (void)group;
    from->rest.len = 0;
    return WEIR_OK;
}
WEAK void weir_stream_parts_changed(weir_engine *engine, weir_group *group)
{
    (void)engine;
    (void)group;
}
WEAK weir_err weir_stream_replay(weir_engine *engine, uint16_t type, uint8_t version,
                                 weir_bytes body, const weir_journal_unit *unit,
                                 uint64_t snapshot_unit)
{
    (void)engine, (void)type, (void)version, (void)body, (void)unit, (void)snapshot_unit;
    return WEIR_VERSION;
}
WEAK weir_err weir_queue_make(weir_engine *engine, weir_group *group)
{
    (void)engine;
    (void)group;
    return WEIR_OK;
}
WEAK void weir_queue_free(weir_group *group)
{
    (void)group;
}
WEAK weir_err weir_queue_part_make(weir_engine *engine, weir_group_part *part)
{
    (void)engine;
    (void)part;
    return WEIR_OK;
}
WEAK void weir_queue_part_reset(weir_engine *engine, weir_group_part *part, int64_t start,
                                uint64_t unit)
{
    (void)engine;
    (void)part;
    (void)start;
    (void)unit;
}
WEAK void weir_queue_part_gone(weir_engine *engine, weir_group_part *part)
{
    (void)engine;
    (void)part;
}
WEAK void weir_queue_part_free(weir_group_part *part)
{
    (void)part;
}
WEAK void weir_queue_started(weir_engine *engine, weir_group *group)
{
    (void)engine;
    (void)group;
}
WEAK void weir_queue_work(weir_engine *engine, weir_group *group)
{
    (void)engine;
    (void)group;
}
WEAK uint64_t weir_queue_deadline(const weir_engine *engine, const weir_group *group)
{
    (void)engine;
    (void)group;
    return UINT64_MAX;
}
WEAK void weir_queue_start_moved(weir_engine *engine, weir_group_part *part, weir_fate fate)
{
    (void)engine;
    (void)part;
    (void)fate;
}
WEAK weir_err weir_queue_replay(weir_engine *engine, uint16_t type, uint8_t version,
                                weir_bytes body, const weir_journal_unit *unit,
                                uint64_t snapshot_unit)
{
    (void)engine, (void)type, (void)version, (void)body, (void)unit, (void)snapshot_unit;
    return WEIR_VERSION;
}
WEAK int64_t weir_settlement_floor(const weir_settlement *settlement)
{
    (void)settlement;
    return 0;
}
WEAK int64_t weir_settlement_fresh(const weir_settlement *settlement)
{
    (void)settlement;
    return 0;
}
WEAK uint64_t weir_settlement_leased(const weir_settlement *settlement)
{
    (void)settlement;
    return 0;
}
WEAK uint64_t weir_settlement_delayed(const weir_settlement *settlement)
{
    (void)settlement;
    return 0;
}
WEAK bool weir_settlement_next(const weir_settlement *settlement, int64_t offset,
                               weir_settlement_run *run)
{
    (void)settlement;
    (void)offset;
    (void)run;
    return false;
}
WEAK uint64_t weir_queue_part_held(const weir_group_part *part)
{
    (void)part;
    return 0;
}
WEAK void weir_members_altered(weir_engine *engine, weir_group *group)
{
    (void)engine;
    (void)group;
}
WEAK weir_err weir_queue_join(weir_engine *engine, weir_member *member)
{
    (void)engine;
    (void)member;
    return WEIR_NOT_OFFERED;
}
WEAK void weir_queue_left(weir_engine *engine, weir_member *member, bool orderly)
{
    (void)engine;
    (void)member;
    (void)orderly;
}
WEAK bool weir_queue_take(weir_engine *engine, weir_member *member)
{
    (void)engine;
    (void)member;
    return false;
}
WEAK weir_err weir_queue_settle(weir_engine *engine, weir_member *member,
                                const weir_settle *settle, weir_settled *settled, uint64_t *unit)
{
    (void)engine, (void)member, (void)settle, (void)settled, (void)unit;
    return WEIR_NOT_OFFERED;
}
