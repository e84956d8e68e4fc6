/* consider: what else the evidence could have meant, and why it did not decide: for people (`duet why`).
 * Reads the arbiter's state and decides nothing; pure, as decide.c. */
#pragma once
#include "arbiterd/decide.h"

enum { CONSIDERED_MAX = 6, CONSIDERED_TEXT_MAX = 192 };

struct considered {
    const char *rule; /* that would have decided otherwise */
    char text[CONSIDERED_TEXT_MAX];
};

struct considerations {
    size_t count;
    struct considered items[CONSIDERED_MAX];
};

/* Fills in what was rejected when `transition` began a change of role. `arbiter` is as after that step, but
 * that it is vouched for still, if it was: the end of service ends that, too. */
void consider_rejected(const struct arbiter *arbiter, const struct arbiter_transition *transition,
                       struct considerations *rejected);

/* Fills in each row whose occasion is there (a fault here, a silent peer, nobody who serves), but which
 * something keeps from applying that time alone will not mend. A text does not change while what it tells
 * stays. */
void consider_barred(const struct arbiter *arbiter, struct considerations *barred);

/* Whether consider_rejected() has words for a change that this row begins; for the tests. */
bool consider_knows(const char *row);
