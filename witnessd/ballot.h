/* ballot: what to ask the witness, and what its answers mean. Pure: no clock, no I/O, no allocation.
 *
 * The witness is a register that can be read, and changed by compare-and-swap: it holds a record {holder,
 * epoch} and numbers each change of it (its revision; 0 = there is no record). One record serves a pair.
 *
 *   keep   The node serves, and wants to go on although it does not hear the other one. It writes itself into
 *          the record, anew each quarter of `after`. Each write that succeeds is a grant that ends `after`
 * later, counted from when the question was sent. A record of a higher epoch denies it. watch  The node may
 * soon want to serve. The record is read once. claim  It wants to. When the record has stood unchanged for
 * `after` and an eighth (since the answer that first showed it so, within this question), it is swapped for
 * one of its own. Whoever held it has not renewed it for so long that its last grant is over, whatever the
 * two clocks say (they run within an eighth of each other).
 *
 * An answer that does not come changes nothing here: whether the swap was made is seen by the next answer. */
#pragma once
#include "common/base.h"
#include "proto/topics.h"

enum { BALLOT_NAME_MAX = 32 };

struct ballot_settings {
    char node[BALLOT_NAME_MAX];
    int64_t after; /* ns: isolation-after */
    uint64_t salt; /* random, another one with each start */
};

enum ballot_kind { BALLOT_READ, BALLOT_SWAP };

/* What the register holds. */
struct ballot_record {
    uint64_t era; /* of the register: another one after it was restored from a backup, in which revisions and
                     records come again (and after each election in it, which does no harm) */
    int64_t revision; /* 0 = there is no record */
    uint64_t stamp;   /* of who wrote it */
    int64_t epoch;
    char holder[BALLOT_NAME_MAX];
};

/* What is to be sent. */
struct ballot_question {
    enum ballot_kind kind;
    struct ballot_record seen; /* SWAP: only if the register still holds this */
    int64_t epoch;             /* SWAP: for this node, under this epoch */
    uint64_t stamp;
};

/* What came back. */
struct ballot_answer {
    bool swapped; /* the record is now what was asked for */
    struct ballot_record record;
};

struct ballot {
    struct ballot_settings set;
    enum question ask;
    int64_t number, ask_epoch;
    int64_t told;      /* when that was last said */
    bool seen;         /* within this question the record was seen */
    int64_t unchanged; /* … and has been so since */
    struct ballot_record record;
    bool known;      /* `record` is what was seen last, in whichever question */
    bool waiting;    /* a question is on its way */
    uint64_t stamps; /* given away */
    struct ballot_question asked;
    int64_t asked_number, sent, next; /* sent, and not before which the next one is */
    struct witness_message view;      /* endpoint is the shell's */
};

void ballot_init(struct ballot *b, const struct ballot_settings *settings);

/* What `role` asks for, each time that it is said. True if that is news. */
bool ballot_ask(struct ballot *b, enum question ask, int64_t number, int64_t epoch, int64_t now_ns);

/* Whether something is to be sent now. It is on its way then, until ballot_take() or ballot_fail(). */
bool ballot_next(struct ballot *b, int64_t now_ns, struct ballot_question *question);

/* When ballot_next() is worth asking again; INT64_MAX: after the next answer or order. */
int64_t ballot_due(const struct ballot *b, int64_t now_ns);

void ballot_take(struct ballot *b, const struct ballot_answer *answer, int64_t now_ns);
void ballot_fail(struct ballot *b, const char *text, int64_t now_ns);
