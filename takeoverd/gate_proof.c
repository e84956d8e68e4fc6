#include "takeoverd/gate_proof.h"

void gate_proof_begin(struct gate_proof *proof, int64_t now_ns)
{
    *proof = (struct gate_proof){.changed_ns = now_ns};
}

void gate_proof_set(struct gate_proof *proof, int64_t now_ns)
{
    *proof = (struct gate_proof){.changed_ns = now_ns, .proved_ns = now_ns};
}

void gate_proof_sent(struct gate_proof *proof, int64_t now_ns)
{
    proof->sent_ns = now_ns;
    if (proof->waiting_ns == 0)
        proof->waiting_ns = now_ns;
}

bool gate_proof_heard(struct gate_proof *proof, int64_t sent_ns)
{
    if (sent_ns < proof->changed_ns || sent_ns > proof->sent_ns)
        return false;
    proof->proved_ns = MAX(proof->proved_ns, sent_ns);
    proof->waiting_ns = sent_ns == proof->sent_ns ? 0 : proof->sent_ns;
    return true;
}

int64_t gate_proof_until_ns(const struct gate_proof *proof, int64_t lease_ns)
{
    const int64_t known_ns = MAX(proof->changed_ns, proof->proved_ns);

    if (proof->waiting_ns == 0)
        return 0;
    /* After a stall of this process the half is over already: the echo has its time nevertheless. */
    return MAX(known_ns + lease_ns / 2, proof->waiting_ns + lease_ns / 8);
}
