/* Any bytes as a message of any topic: what parses packs, and parses again to the same text. The first byte
 * chooses the type. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "proto/topics.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct message_type *type_of(uint8_t choice)
{
    static const struct message_type *const others[] = {&command_type, &reply_type, &change_type, &piece_type};
    size_t count = 0;

    while (topic_types[count])
        count++;
    const size_t i = choice % (count + sizeof others / sizeof *others);
    return i < count ? topic_types[i] : others[i - count];
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct envelope envelope;
    char error[CODEC_ERROR_MAX];

    if (size == 0)
        return 0;
    const struct message_type *type = type_of(data[0]);
    struct envelope *with = type->topic ? &envelope : NULL;
    void *body = calloc(1, type->record->size);
    if (message_parse(type, (const char *)data + 1, size - 1, with, body, error) == 0) {
        char *json = message_pack(type, with, body);
        assert(json && message_parse(type, json, strlen(json), with, body, error) == 0);
        char *again = message_pack(type, with, body);
        assert(again && strcmp(json, again) == 0);
        free(again);
        free(json);
    } else {
        assert(memchr(error, '\0', sizeof error) && error[0]);
    }
    free(body);
    return 0;
}
