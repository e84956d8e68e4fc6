#include "heartbeatd/search.h"

enum { CONFLICT_REQUESTS = 2 }; /* a third one that leaves so many unanswered is gone */

void search_restart(struct search *search, int64_t now_ns)
{
    search->unanswered = 0;
    search->second_ns = search->open_ns = search->unanswered_ns = 0;
    search->silent_since_ns = now_ns;
    if (search->state != SEARCH_STATE_IDLE)
        search->state = SEARCH_STATE_ASKING;
}

void search_begin(struct search *search, int64_t now_ns)
{
    search->state = SEARCH_STATE_ASKING;
    search->since_conflict = CONFLICT_REQUESTS + 1;
    search->next_ns = now_ns;
    search->broadcast_ns = 0;
    search_restart(search, now_ns);
}

void search_end(struct search *search)
{
    *search = (struct search){
        .asked_ns = search->asked_ns,
        .answered_ns = search->answered_ns,
        .conflict_ns = search->conflict_ns,
        .answers_mac = search->answers_mac,
        .next_address = search->next_address,
    };
}

/* Requests may follow each other sooner than each of them has had its time. */
static void mature(struct search *search, int64_t now_ns)
{
    if (search->open_ns == 0 || now_ns < search->open_ns + SEARCH_PATIENCE_NS)
        return;
    search->unanswered_ns = search->open_ns;
    search->open_ns = 0;
}

void search_asked(struct search *search, int64_t interval_ns, int64_t now_ns)
{
    mature(search, now_ns);
    if (search->open_ns == 0)
        search->open_ns = now_ns;
    search->asked_ns = now_ns;
    search->next_ns = now_ns + interval_ns;
    if (++search->unanswered == 2)
        search->second_ns = now_ns;
    if (search->since_conflict <= CONFLICT_REQUESTS)
        search->since_conflict++;
}

static bool set_state(struct search *search, enum search_state state)
{
    const bool changed = search->state != state;

    search->state = state;
    return changed;
}

bool search_answered(struct search *search, const struct mac *mac, bool by_peer, int64_t received_ns)
{
    if (search->state == SEARCH_STATE_IDLE)
        return false;
    search->answers_mac = *mac;
    if (!by_peer) {
        search->conflict_ns = received_ns;
        search->since_conflict = 0;
        return search->state == SEARCH_STATE_SILENT && set_state(search, SEARCH_STATE_CONFLICT);
    }
    search->answered_ns = MAX(search->answered_ns, received_ns);
    search->unanswered = 0;
    search->second_ns = search->open_ns = search->unanswered_ns = search->silent_since_ns = 0;
    return set_state(search, SEARCH_STATE_ANSWERED);
}

int64_t search_verdict_ns(const struct search *search)
{
    const bool open = search->state == SEARCH_STATE_ASKING || search->state == SEARCH_STATE_ANSWERED;

    return open && search->second_ns ? search->second_ns + SEARCH_PATIENCE_NS : 0;
}

bool search_judge(struct search *search, int64_t now_ns)
{
    mature(search, now_ns);
    if (search->state == SEARCH_STATE_IDLE || !search->second_ns ||
        now_ns < search->second_ns + SEARCH_PATIENCE_NS)
        return false;
    if (search->silent_since_ns == 0)
        search->silent_since_ns = search->answered_ns;
    const bool third = search->since_conflict <= CONFLICT_REQUESTS;
    return set_state(search, third ? SEARCH_STATE_CONFLICT : SEARCH_STATE_SILENT);
}

void search_fill(const struct search *search, struct search_message *message)
{
    *message = (struct search_message){
        .state = search->state,
        .asked_ns = search->asked_ns,
        .answered_ns = search->answered_ns,
        .silent_since_ns = search->silent_since_ns,
        .unanswered = search->unanswered,
        .unanswered_ns = search->unanswered_ns,
        .conflict_ns = search->conflict_ns,
        .quick = search->quick,
    };
    if (!mac_is_zero(&search->answers_mac))
        mac_print(&search->answers_mac, message->answers_mac);
}
