/* clients/c/producer.c - a producer's id, and how far a named one got. */
#include "clients/c/client_private.h"

weir_err weir_client_producer_open(weir_client *client, int64_t *producer_id, int16_t *epoch)
{
    uint64_t id = 0;
    weir_v1_document answer = {0};
    weir_v1_writer writer = weir_client_begin(client, "producer", &id);
    weir_client_text_member(&writer, "action", WEIR_TEXT("open"));
    weir_err err = weir_client_end(client, &writer);
    err =
        err != WEIR_OK ? err : weir_client_wait(client, id, weir_client_deadline(client), &answer);
    if (err == WEIR_OK) {
        *producer_id = weir_client_integer(answer.root, "producer_id");
        *epoch = (int16_t)weir_client_integer(answer.root, "epoch");
    }
    weir_v1_document_fini(&answer);
    return err;
}

weir_err weir_client_producer_where(weir_client *client, weir_bytes producer, weir_bytes topic,
                                    uint32_t partition, bool *known, uint64_t *publishing_id)
{
    uint64_t id = 0;
    weir_v1_document answer = {0};
    if (!weir_v1_is_text(producer) || !weir_v1_is_text(topic)) {
        return weir_client_fail(client, WEIR_NAME_INVALID,
                                "A name is UTF-8 text without NUL; spell it so.");
    }
    weir_v1_writer writer = weir_client_begin(client, "producer", &id);
    weir_client_text_member(&writer, "action", WEIR_TEXT("where"));
    weir_client_text_member(&writer, "producer", producer);
    weir_client_text_member(&writer, "topic", topic);
    weir_client_number_member(&writer, "partition", partition);
    weir_err err = weir_client_end(client, &writer);
    err =
        err != WEIR_OK ? err : weir_client_wait(client, id, weir_client_deadline(client), &answer);
    if (err == WEIR_OK) {
        int64_t last = 0;
        *known = weir_v1_node_integer(weir_v1_node_member(answer.root, "publishing_id"), &last);
        *publishing_id = (uint64_t)last;
    }
    weir_v1_document_fini(&answer);
    return err;
}
