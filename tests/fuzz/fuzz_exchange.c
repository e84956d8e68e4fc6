/* Pieces of the peer's records, whatever it sends: each chunk of the input is the JSON of one, after a byte
 * that says how much later it came. What becomes whole can be written down and read again. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "arbiterd/exchange.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void take(struct exchange *x, const char *json, size_t size, int64_t now_ns)
{
    static struct piece_message piece, answer;
    static struct change_message whole;
    char error[CODEC_ERROR_MAX];

    if (message_parse(&piece_type, json, size, NULL, &piece, error) < 0)
        return;
    if (exchange_take(x, &piece, now_ns, &whole)) {
        assert(whole.steps_count <= ARRAY_LENGTH(whole.steps) && whole.number == x->taken);
        assert(x->coming.number == 0);
    }
    assert(x->coming.steps_count <= ARRAY_LENGTH(x->coming.steps));
    exchange_compose(x, NULL, 0, 0, 3, &answer);
    char *text = message_pack(&piece_type, NULL, &answer);
    assert(text && message_parse(&piece_type, text, strlen(text), NULL, &answer, error) == 0);
    free(text);
    if (exchange_due(x, NULL, now_ns, NS_PER_S))
        exchange_sent(x, &answer, now_ns);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct exchange x;
    int64_t now_ns = NS_PER_S;

    exchange_open(&x, "alpha", 0);
    while (size > 1) {
        const uint8_t *end = memchr(data + 1, '\n', size - 1);
        const size_t length = end ? (size_t)(end - data - 1) : size - 1;
        now_ns += data[0] * NS_PER_MS;
        take(&x, (const char *)data + 1, length, now_ns);
        const size_t used = MIN(length + 2, size);
        data += used;
        size -= used;
    }
    return 0;
}
