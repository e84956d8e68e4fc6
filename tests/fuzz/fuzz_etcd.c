/* Any bytes as what etcd answers: to a question, and to a login. What is taken is what ballot makes a
 * question of. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "witnessd/etcd_text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char error[ETCD_ERROR_MAX], token[ETCD_TOKEN_MAX];

    if (size == 0)
        return 0;
    const struct ballot_question asked = {
        .kind = data[0] & 1 ? BALLOT_SWAP : BALLOT_READ, .epoch = 7, .stamp = 9};
    struct ballot_answer answer;
    const int r = etcd_parse_answer((const char *)data + 1, size - 1, &asked, &answer, error);
    if (r == 0) {
        assert(answer.record.revision >= 0 && answer.record.epoch >= 0);
        assert(strnlen(answer.record.holder, sizeof answer.record.holder) < sizeof answer.record.holder);
        const struct ballot_question next = {
            .kind = BALLOT_SWAP, .seen = answer.record, .epoch = 8, .stamp = 10};
        free(etcd_print_question(&next, "alpha", "/duet/gate"));
    } else {
        assert(error[0] != '\0');
    }
    if (etcd_parse_token((const char *)data + 1, size - 1, token, error) == 0)
        assert(!strpbrk(token, "\r\n"));
    return 0;
}
