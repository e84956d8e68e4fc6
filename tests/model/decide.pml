/* decide: the rows of arbiterd/decide.c, for two nodes, in steps of one heartbeat interval.
 *
 * Spin walks all states. Each row of the table stands here under its own name and in the same order (rows.py
 * compares the lists); its condition says what the row's condition in C says, with these simplifications:
 *
 * - Time is a count of ticks. In a tick faults may happen, then the nodes have their turns, either one first.
 *   Whatever is older than the longest wait that asks for it is just old. The waits keep the order of those of
 *   profile lan (lease + tick < takeover < search < handover), not their proportions.
 * - There is one path for heartbeats a direction, and one for the search. A heartbeat is heard in the tick in
 *   which it is sent, or never; it shows what its sender was after its last turn.
 * - Numbers of changes are not counted. Whether a node has considered the other's *present* change is one bit.
 * - A write to the disk takes until the node's next turn, and is lost if the power goes before.
 * - Channels are one: it works or it does not, and both nodes know. Services are one. Evidence newer than a fault is
 *   the second heartbeat since (R6); being passive cures as much as it does (no sticky trouble), damping does not double.
 * - A node that gives the role away goes quiet: it answers nothing and still takes the traffic. So only who answers
 *   counts for I1. Exclusive services end some time after they are told to.
 * - Left out: data (R14), hold (R15), watchdogs, the age of phases in the contest (a tie goes to the name),
 *   takeoverd's own end (it lives as long as its machine; it may refuse a claim, or stand still). The simulator has all these.
 *
 * What goes wrong, at most FAULTS times altogether, is picked by -DNETWORK, -DONEWAY, -DLOSS, -DPROCESSES, -DORDERS,
 * -DTROUBLES, -DSTUCK (takeoverd stands still; the gate, which is the kernel's, ends its answers with the lease). The pair has no
 * gate with -DNOGATE (then not -DSTUCK together with -DNETWORK or -DPROCESSES: where nobody can ask, nothing takes the addresses away), and exclusive services with -DEXCLUSIVE.
 * -DDENIAL cuts all between the nodes and, at once, the active one from the witness (and nothing else breaks the way there).
 * -DISOLATE cuts a node off from everything at once (routers are configured, so R8 can tell, where there is no
 * witness). With -DWITNESS there is a witness, and what reaches it may break, too; then a partition is no excuse for
 * two owners. A question to it is answered at once, or never. Grants are renewed each tick, and last for ISOLATION;
 * who claims waits one tick longer (the eighth).
 * What is broken may be mended in any later tick. When all is mended and no fault is left, CALM ticks later one
 * node serves, and nothing changes any more. */
#ifndef FAULTS
#define FAULTS 2
#endif
#define LEASE 2
#define TAKEOVER 4
#define SEARCH 5
#define CLAIM 3
#define HANDOVER 4
#define SETTLE 4
#define OLD 14 /* SEARCH + 2 * HANDOVER + 1 */
#define CALM 30
#ifdef NOGATE
#define GATE false
#else
#define GATE true
#endif
#ifdef EXCLUSIVE
#define HAS_EXCLUSIVE true
#define STOP_TIMEOUT 1
#else
#define HAS_EXCLUSIVE false
#define STOP_TIMEOUT 0
#endif
#define ISOLATION 2 /* without a witness it is shorter than TAKEOVER; with one it is longer than a tick and an answer */
#ifdef WITNESS
#undef ISOLATION
#define ISOLATION 4
#define HAS_WITNESS true
#else
#define HAS_WITNESS false
#endif
#ifdef ISOLATE
#define HAS_ROUTERS (!HAS_WITNESS)
#else
#define HAS_ROUTERS false
#endif
#define OUT_MOST (TAKEOVER + ISOLATION + 1)
#ifndef EPOCHS
#define EPOCHS 14 /* where an epoch reaches this, the walk ends: a node that cannot claim tries for ever */
#endif

#define SEARCHING 0
#define PASSIVE 1
#define CLAIMING 2
#define ACTIVE 3
#define OFFERING 4
#define RELEASING 5
#define SAME 6

#define NOBODY 0
#define SELF 1
#define PEER 2

#define RELEASED 0
#define HOLDING 1
#define PARTIAL 2 /* failed, some addresses are up */
#define FAILED 3

#define NOTHING 0
#define WATCHES 1
#define CLAIMS 2
#define KEEPS 3

#define SWITCH 1
#define STOP 2
#define BY_HAND 3

#define NETWORK_FAULT 1
#define SERVICE_FAULT 2
#define CLAIM_FAULT 3
#define LEASE_FAULT 4
#define ADDRESS_FAULT 5

#define SERVES(p) ((p) == CLAIMING || (p) == ACTIVE || (p) == OFFERING)

/* ---- the world */
bool power[2], arbiter[2], starting[2], stopped[2] /* arbiterd and heartbeatd */, frozen[2] /* the machine */, stuck[2] /* takeoverd */;
bool cut[2] /* heartbeats from this node */, arp_cut, lost[2] /* one heartbeat */;
bool network[2], service[2], refuses[2], partly[2];
byte faults = FAULTS, calm;

/* ---- takeoverd: what the kernel has */
bool plane[2], mute[2] /* it takes traffic, and answers nothing */, obeyed[2] /* the arbiter's present change */;
bool t_silent[2]; /* the arbiter heard that it is mute, as it was last told to be */
byte gate[2]; /* the kernel answers for so long, whether takeoverd runs or not */
byte t_state[2], t_lease[2], t_epoch[2], t_bad[2]; /* t_bad: since when nothing is held under a lease */

/* ---- heartbeatd: what was heard of the peer. Ages in ticks. */
bool knows[2]; /* the peer's present session */
byte heard[2], linked_at[2], backed[2], counting[2], clear_for[2], silent_asked[2];
byte p_phase[2], p_epoch[2], p_next[2], p_prefers[2];
bool p_released[2], p_lease[2], p_offer[2], p_fit[2], p_network[2], p_service[2], p_arbiter[2], p_silent[2], answered[2], looked[2];

/* ---- arbiterd */
byte phase[2], since[2], epoch[2], spent[2], disk_next[2], file_next[2], file_epoch[2], saving[2], saving_epoch[2], lease[2], role_age[2];
byte lapsed[2] /* 0, or since when, plus 1 */, no_renewal[2], renewed[2], changed[2], vacant[2];
byte order[2], ordered[2], no_offer[2], no_claim[2], no_quiet[2], proof[2] /* heartbeats since the network failed, 2: many */, trouble[2], offering_for[2], gone[2], prefers[2];
bool stopping[2], offer[2], released[2], reboot_wanted[2], reboot[2], fresh[2], agrees[2], asking[2], took[2];
byte quiet[2]; /* 0, or since when, plus 1 */
bool silent[2], yielding[2];

/* ---- the witness, and what each node knows of it */
byte w_epoch, w_holder;
bool reached[2], denied[2], vouched[2];
byte asks[2], watched[2] /* so long the record was seen unchanged, plus 1; 0: it was not seen */;
byte granted[2] /* epoch */, grant_age[2], hearing[2] /* since the other one heard this node */, acked[2] /* … as this node knows */;
byte heard_for[2]; /* without a break, plus 1 */

/* ---- R8 without a witness */
byte out[2]; /* since when this node's network is out, plus 1 */
bool together[2] /* it went out with the peer */, was_alive[2];

/* ---- superviserd: the services that may not run twice */
bool exclusive[2];

/* ---- the judge */
byte partition_ago, freeze_ago, by_hand_ago /* with a witness */, last_claim[2];
bool dark, first /* whose turn it is */;

hidden byte rows, turns, me, was_phase, was_prefers, hit, was_offer, was_asking, was_quiet, want;

c_code {
    /* Which rows applied at all: each is told once. */
    static void saw(const char *name)
    {
        static const char *seen[64];
        static int count;
        for (int k = 0; k < count; k++)
            if (seen[k] == name)
                return;
        seen[count++] = name;
        printf("row %s\n", name);
    }
};

#define other (1 - me) /* the other node */
#define HEARTBEATS_CUT (cut[0] || cut[1])
#define PARTITIONED (HEARTBEATS_CUT && arp_cut)
#define EXCUSED ((!HAS_WITNESS && partition_ago <= 2) || by_hand_ago <= 4 || freeze_ago <= LEASE + 2)

#define SOONER(wait) wait = (wait > 0 -> wait - 1 : 0)
#define MIN(a, b) ((a) < (b) -> (a) : (b))
#define MAX(a, b) ((a) > (b) -> (a) : (b))

/* ------------------------------------------------------------------ judge.c */

#define ANSWERS(k) (power[k] && plane[k] && !mute[k] && !frozen[k] && (!GATE || gate[k] > 0))
#define ALIVE (heard[me] < TAKEOVER)
#define LINKED (linked_at[me] < TAKEOVER)
#define PEER_GIVES (LINKED && p_phase[me] == OFFERING && p_silent[me])
#define PEER_SERVES (ALIVE && !PEER_GIVES && (SERVES(p_phase[me]) || (p_phase[me] == RELEASING && !p_released[me] && p_lease[me])))
#define PEER_ARBITER (ALIVE && p_arbiter[me])
#define ABLE (LINKED && PEER_ARBITER && p_next[me] > epoch[me])
#define ELIGIBLE (ABLE && p_fit[me] && p_released[me])
#define FIRST (me == 0)
#define HIGHEST MAX(epoch[me], p_epoch[me])
#define CLEAR (!answered[me])
#define FRESH_REPORT (looked[me])
#define CAN_CLAIM (!stopping[me] && !stuck[me] && no_claim[me] == 0 && disk_next[me] > HIGHEST)
#define MAY_CLAIM (CAN_CLAIM && FRESH_REPORT)
#define VACANT (!PEER_SERVES && !answered[me])
#define FIT (trouble[me] == 0)

#define PREFERRED (!stopping[me] && !stuck[me] && !offer[me] && (p_offer[me] || \
    ((no_claim[me] == 0) != (p_next[me] > 0) -> (no_claim[me] == 0) : \
    (FIT != p_fit[me] -> FIT : (network[me] != p_network[me] -> network[me] : \
    (service[me] != p_service[me] -> service[me] : FIRST))))))

#define PEER_AGREES (prefers[me] == SELF && (PEER_GIVES || (agrees[me] && (p_prefers[me] == PEER || (p_prefers[me] == SELF && FIRST)))))
#define PEER_HOLDS_NOTHING (p_released[me] || PEER_GIVES || (!p_lease[me] && CLEAR && \
    changed[me] >= TAKEOVER && clear_for[me] >= TAKEOVER && counting[me] >= TAKEOVER))
#define PATIENCE (p_next[me] == 0 || !PEER_ARBITER -> SEARCH : SEARCH + HANDOVER * (FIRST -> 1 : 2))

#define VACANCY_AGREED (CAN_CLAIM && !PEER_SERVES && LINKED && PEER_HOLDS_NOTHING && PEER_AGREES)
#define VACANCY_LASTS (CAN_CLAIM && !PEER_SERVES && \
    VACANT && CLEAR && (ALIVE -> vacant[me] >= PATIENCE : network[me] && vacant[me] >= SEARCH + (FIRST -> 0 : 1)))
#define PATIENCE_IS_OUT (HAS_WITNESS && reached[me] && ALIVE && VACANCY_LASTS)
#define VACANCY_DECIDED (HAS_WITNESS && ALIVE -> VACANCY_LASTS && CLAIM_GRANTED : VACANCY_LASTS && AGREED(PATIENCE))
#define VACANCY_DUE (FRESH_REPORT && ((VACANCY_AGREED && AGREED(0)) || VACANCY_DECIDED))

/* ----------------------------------------------------------------- right.c */

#define PEER_IS_HEARD (linked_at[me] <= 1)
#define GRANTED(e) ((e) > 0 && granted[me] == (e) && grant_age[me] < ISOLATION)
/* heard_for is kept up to OLD, patience is at most SEARCH + 2 * HANDOVER */
#define CLAIM_GRANTED (asks[me] == CLAIMS && GRANTED(disk_next[me])) /* it burns when the question ends */
#define AGREED(wait) (!HAS_WITNESS || (PEER_IS_HEARD && heard_for[me] > (wait)) || (!PEER_IS_HEARD && CLAIM_GRANTED))
#define RIGHT_LEFT (!HAS_WITNESS || vouched[me] -> LEASE : \
    MAX(ISOLATION - acked[me], (GRANTED(epoch[me]) -> ISOLATION - grant_age[me] : 0)))
#define RIGHT_OVER (RIGHT_LEFT == 0)
#define CUT_OFF (HAS_ROUTERS && !ALIVE && together[me] && !network[me])

#define PEER_IS_CLAIMING (ALIVE && p_phase[me] == CLAIMING && changed[me] < CLAIM)
#define TAKEOVER_DUE (FRESH_REPORT && TAKEOVER_RIPE && AGREED(TAKEOVER))
#define TAKEOVER_RIPE (CAN_CLAIM && !PEER_IS_CLAIMING && !(LINKED && !PEER_SERVES) && CLEAR && network[me] && \
    backed[me] >= TAKEOVER && counting[me] >= TAKEOVER && clear_for[me] >= TAKEOVER && since[me] >= TAKEOVER && \
    changed[me] >= TAKEOVER)

/* --------------------------------------------------------------- handover.c */

#define CAN_BE_TAKEN (ABLE && (p_fit[me] || offering_for[me] == LEASE_FAULT))
#define CONSIDERED (LINKED && agrees[me] && p_prefers[me] == SELF && p_released[me] && CAN_BE_TAKEN)
#define MUST_YIELD (HAS_EXCLUSIVE && !yielding[me] && CONSIDERED)
#define NOTHING_EXCLUSIVE_LEFT (!HAS_EXCLUSIVE || (yielding[me] && !exclusive[me]))
#define MAY_GO_QUIET (GATE && t_state[me] == HOLDING && t_lease[me] > 0 && lapsed[me] == 0)
#define OFFER_CONSIDERED (quiet[me] == 0 && MAY_GO_QUIET && NOTHING_EXCLUSIVE_LEFT && CONSIDERED)
#define OFFER_CONSIDERED_WITHOUT_QUIET (((quiet[me] > LEASE && !silent[me]) || (quiet[me] == 0 && !MAY_GO_QUIET)) && \
    NOTHING_EXCLUSIVE_LEFT && CONSIDERED)
#define OFFER_TAKEN (silent[me] && LINKED && p_phase[me] == ACTIVE && p_epoch[me] > epoch[me] && changed[me] >= 1)
#define BEING_TAKEN (silent[me] && LINKED && SERVES(p_phase[me]) && p_epoch[me] > epoch[me])
#define OFFERED_FOR (quiet[me] > 0 -> quiet[me] - 1 : since[me])
#define OFFER_FAILS (!BEING_TAKEN && (!CAN_BE_TAKEN || OFFERED_FOR >= HANDOVER + (yielding[me] -> STOP_TIMEOUT : 0)))

/* ----------------------------------------------------------------- decide.c */

#define MAY_OFFER_AT_ALL (lapsed[me] == 0 && no_offer[me] == 0)
#define MAY_OFFER (MAY_OFFER_AT_ALL && ELIGIBLE)
#define HOPEFUL (!network[me] && p_network[me]) /* by the peer's last word */
#define LEASE_UNCONFIRMED (lapsed[me] == 0 && t_bad[me] > LEASE && renewed[me] > MIN(LEASE, TAKEOVER - 1))
#define LAPSED_BUT_ALONE (lapsed[me] > 1 && !RIGHT_OVER && looked[me] && no_renewal[me] == 0 && !PEER_SERVES && \
    (LINKED && PEER_ARBITER -> agrees[me] : \
     CLEAR && lapsed[me] - 1 >= 2 && counting[me] >= 2 && (silent_asked[me] || clear_for[me] >= SEARCH)))

inline give_up(what) { trouble[me] = what; gone[me] = SETTLE; reboot_wanted[me] = (what != CLAIM_FAULT) }
inline use_next() { epoch[me] = disk_next[me]; spent[me] = epoch[me]; disk_next[me] = 0; note_claim() }
inline begin_claim() { use_next(); order[me] = 0; offer[me] = 0; lapsed[me] = 0; renewed[me] = 0; released[me] = 0;
                       reboot_wanted[me] = 0; reboot[me] = 0; vouched[me] = 0 }
inline claim_by_hand()
{
    begin_claim();
    vouched[me] = HAS_WITNESS;
    by_hand_ago = (HAS_WITNESS -> 0 : by_hand_ago)
}
inline yield() { offer[me] = 0; order[me] = 0 }
inline make_offer(what) { offer[me] = 1; offering_for[me] = what }
inline hand_over()
{
    if
    :: offering_for[me] != 0 -> give_up(offering_for[me])
    :: else
    fi;
    order[me] = 0
}
inline give_up_claim() { give_up(CLAIM_FAULT); no_claim[me] = SETTLE }
inline withdraw() { offer[me] = 0; order[me] = 0; no_offer[me] = SETTLE }
inline go_quiet() { quiet[me] = 1; t_silent[me] = 0; silent[me] = 0 }
inline recall_offer() { withdraw(); quiet[me] = 0; lapsed[me] = 1; lease[me] = 0 }
inline lapse() { lapsed[me] = 1; lease[me] = 0; no_renewal[me] = CLAIM }
inline renew() { lapsed[me] = 0; renewed[me] = 0 }
inline resume_role() { epoch[me] = t_epoch[me]; lease[me] = t_lease[me]; spent[me] = MAX(spent[me], epoch[me]); renewed[me] = 0 }
inline become_fit() { trouble[me] = 0; reboot_wanted[me] = 0; reboot[me] = 0 }

/* I4: no epoch is claimed twice, none goes back. */
inline note_claim()
{
    assert(epoch[me] > last_claim[me]);
    assert(epoch[me] != last_claim[other]);
    last_claim[me] = epoch[me]
}

inline enter(to)
{
    if
    :: to != SAME ->
        /* I5: left alone for long enough, no role changes any more. */
        assert(calm < CALM || SERVES(phase[me]) == SERVES(to));
        phase[me] = to;
        since[me] = 0;
        if
        :: to == RELEASING -> released[me] = 0; lease[me] = 0; lapsed[me] = 0; obeyed[me] = 0
        :: else
        fi
    :: else
    fi
}

/* The first row that applies. */
#define ROW(name, in, when, to, act) \
    if \
    :: !hit && (in) && (when) -> hit = true; c_code { saw(#name); }; act; enter(to) \
    :: else \
    fi;
#define IN(p) (phase[me] == p)
#define SERVING SERVES(phase[me])
/* Whether the peer is as the row believes is asked only where it was heard in this very tick. */
#define IDLE (IN(SEARCHING) || IN(PASSIVE))

inline table()
{
    ROW(R9_yield, SERVING, !silent[me] && LINKED && SERVES(p_phase[me]) && p_epoch[me] > epoch[me], RELEASING,
        assert(p_epoch[me] > epoch[me]); yield())
    ROW(R12_replaced, SERVING, lapsed[me] > 0 && answered[me], RELEASING, yield())
    ROW(R12_lapsed, SERVING, lapsed[me] > 0 && (!IN(ACTIVE) || lapsed[me] > HANDOVER), RELEASING, yield())
    ROW(R8_denied, SERVING, HAS_WITNESS && RIGHT_OVER && denied[me], RELEASING, yield())
    ROW(R8_isolated, IN(ACTIVE) || IN(OFFERING), CUT_OFF, RELEASING, yield())
    ROW(R2_unconfirmed, IN(CLAIMING), since[me] >= CLAIM, RELEASING, give_up_claim())
    ROW(R13_stop, IN(CLAIMING) || IN(ACTIVE), order[me] == STOP && !ELIGIBLE, RELEASING, order[me] = 0)
    ROW(R13_taken, IN(OFFERING), OFFER_TAKEN, RELEASING,
        assert(heard[me] > 0 || SERVES(phase[other])); hand_over())
    ROW(R13_exclusive, IN(OFFERING), MUST_YIELD, SAME, yielding[me] = 1)
    ROW(R13_quiet, IN(OFFERING), OFFER_CONSIDERED, SAME,
        assert(heard[me] > 0 || (prefers[other] == SELF && fresh[other])); go_quiet())
    ROW(R13_considered, IN(OFFERING), OFFER_CONSIDERED_WITHOUT_QUIET, RELEASING, hand_over())
    ROW(R13_unanswered_stop, IN(OFFERING), stopping[me] && OFFER_FAILS, RELEASING, hand_over())
    ROW(R13_recalled, IN(OFFERING), quiet[me] > 0 && OFFER_FAILS, ACTIVE, recall_offer())
    ROW(R13_withdrawn, IN(OFFERING), OFFER_FAILS, ACTIVE, withdraw())
    ROW(R13_ordered, IN(ACTIVE), (order[me] == SWITCH || order[me] == STOP) && lapsed[me] == 0, OFFERING, make_offer(0))
    ROW(R6_quiet, IN(ACTIVE), quiet[me] == 0 && no_quiet[me] == 0 && !HAS_EXCLUSIVE && MAY_OFFER && MAY_GO_QUIET && HOPEFUL, SAME,
        go_quiet())
    ROW(R6_network, IN(ACTIVE), MAY_OFFER && HOPEFUL && proof[me] == 2, OFFERING, make_offer(NETWORK_FAULT))
    ROW(R6_aloud, IN(ACTIVE), quiet[me] > 0 && (!MAY_OFFER || !HOPEFUL || quiet[me] > 1), SAME, quiet[me] = 0; no_quiet[me] = SETTLE)
    ROW(R6_lease, IN(ACTIVE), LEASE_UNCONFIRMED && MAY_OFFER_AT_ALL && ABLE && p_network[me], OFFERING,
        make_offer(LEASE_FAULT))
    ROW(R12_unconfirmed, IN(ACTIVE), LEASE_UNCONFIRMED, SAME, lapse())
    ROW(R6_addresses, IN(ACTIVE), t_state[me] == PARTIAL && renewed[me] >= CLAIM && MAY_OFFER && p_network[me] >= network[me],
        OFFERING, make_offer(ADDRESS_FAULT))
    ROW(R7_service, IN(ACTIVE), !service[me] && p_service[me] && MAY_OFFER && p_network[me] >= network[me], OFFERING,
        make_offer(SERVICE_FAULT))
    ROW(R13_released, IN(RELEASING), released[me], PASSIVE, skip)
    ROW(R13_unreleased, IN(RELEASING), since[me] >= CLAIM, PASSIVE, skip)

    ROW(R1_resume, IN(SEARCHING), t_state[me] == HOLDING && t_lease[me] > 0 && !t_silent[me], ACTIVE, resume_role())
    ROW(R1_found, IN(SEARCHING), PEER_SERVES || answered[me], PASSIVE, skip)
    ROW(R2_confirmed, IN(CLAIMING), t_state[me] == HOLDING && t_epoch[me] == epoch[me] && t_lease[me] > 0, ACTIVE,
        if :: trouble[me] == CLAIM_FAULT -> trouble[me] = 0 :: else fi; no_claim[me] = 0)
    ROW(R12_renewed, IN(ACTIVE), LAPSED_BUT_ALONE, SAME, renew())
    ROW(R11_raised, IN(ACTIVE), LINKED && !PEER_SERVES && p_epoch[me] > epoch[me] && disk_next[me] > p_epoch[me], SAME,
        use_next())
    ROW(R10_fit, true, trouble[me] != 0 && gone[me] == 0, SAME, become_fit())
    ROW(R6_reboot, IN(PASSIVE), reboot_wanted[me] && !reboot[me] && LINKED && p_phase[me] == ACTIVE && p_lease[me] &&
        changed[me] >= 1 && (trouble[me] != NETWORK_FAULT || (p_network[me] && !network[me])), SAME,
        reboot[me] = 1; reboot_wanted[me] = 0)

    ROW(claim_ordered, IDLE, order[me] == BY_HAND && FRESH_REPORT && disk_next[me] > HIGHEST && !answered[me] &&
        !(PEER_SERVES && backed[me] < TAKEOVER), CLAIMING, claim_by_hand())
    ROW(R2_offered, IDLE, p_offer[me] && VACANCY_DUE, CLAIMING, assert(!exclusive[other] || !PEER_GIVES); begin_claim())
    ROW(R3_takeover, IN(PASSIVE), TAKEOVER_DUE, CLAIMING, begin_claim())
    ROW(R2_vacancy, IDLE, VACANCY_DUE, CLAIMING, begin_claim())
}

/* ----------------------------------------------------------------- upkeep.c */

inline update_giving()
{
    if
    :: !IN(OFFERING) ->
        quiet[me] = (IN(ACTIVE) -> quiet[me] : 0);
        silent[me] = 0;
        yielding[me] = yielding[me] && IN(ACTIVE) && lapsed[me] > 0
    :: else -> silent[me] = (quiet[me] > 0 && t_silent[me] && t_lease[me] > 0)
    fi
}

inline upkeep()
{
    if
    :: !SERVING -> released[me] = (t_state[me] == RELEASED && obeyed[me])
    :: else
    fi;
    update_giving();
    if
    :: IN(PASSIVE) && offer[me] && (PEER_SERVES || since[me] >= HANDOVER) ->
        no_offer[me] = (PEER_SERVES -> no_offer[me] : HANDOVER + SETTLE);
        offer[me] = 0
    :: else
    fi;
    if
    :: order[me] != 0 && order[me] != STOP && ordered[me] >= HANDOVER -> order[me] = 0
    :: else
    fi;
    if /* the cause is there: it is not gone yet */
    :: (trouble[me] == NETWORK_FAULT && !network[me]) || (trouble[me] == SERVICE_FAULT && !service[me]) -> gone[me] = SETTLE
    :: else
    fi;
    if
    :: SERVING || IN(RELEASING) || !(ALIVE || network[me]) || !VACANT || !CAN_CLAIM -> vacant[me] = 0
    :: else -> vacant[me] = (counting[me] < SEARCH -> MIN(vacant[me], counting[me]) : vacant[me]) /* older is just old */
    fi;
    prefers[me] = (SERVING && !IN(OFFERING) -> SELF : (offer[me] -> PEER : (!LINKED || PATIENCE_IS_OUT -> NOBODY : (PREFERRED -> SELF : PEER))))
}

/* What the peer agrees to is another thing than before: it has not considered it yet. */
inline number_change()
{
    asking[me] = (lapsed[me] > 0 && no_renewal[me] == 0);
    if
    :: phase[me] != was_phase || offer[me] != was_offer || prefers[me] != was_prefers || asking[me] != was_asking ||
       (quiet[me] > 0) != was_quiet ->
        agrees[me] = 0;
        fresh[other] = 0;
        obeyed[me] = 0;
        was_phase = phase[me];
        was_offer = offer[me];
        was_prefers = prefers[me];
        was_asking = asking[me];
        was_quiet = (quiet[me] > 0)
    :: else
    fi
}

/* The parity of an epoch is its node's. */
inline save()
{
    want = MAX(HIGHEST, file_epoch[me]); /* the highest epoch known */
    if
    :: saving[me] == 0 && (disk_next[me] <= HIGHEST || file_epoch[me] < want) ->
        saving[me] = MAX(HIGHEST, spent[me]) + 1;
        saving[me] = (saving[me] % 2 == 1 - me -> saving[me] : saving[me] + 1);
        saving[me] = (disk_next[me] <= HIGHEST -> saving[me] : disk_next[me]);
        saving_epoch[me] = want
    :: else
    fi
}

inline saved()
{
    if
    :: saving[me] > 0 ->
        disk_next[me] = (saving[me] > spent[me] -> saving[me] : 0);
        file_next[me] = saving[me];
        file_epoch[me] = saving_epoch[me];
        saving[me] = 0;
        saving_epoch[me] = 0
    :: else
    fi
}

/* A new arbiter knows nothing but the disk; the next epoch there counts as used. Until it has decided for the
 * first time, heartbeatd shows what the last one said. */
inline forget_arbiter()
{
    starting[me] = 0;
    phase[me] = SEARCHING;
    prefers[me] = NOBODY;
    offer[me] = 0;
    released[me] = 0;
    role_age[me] = LEASE;
    lease[me] = 0; lapsed[me] = 0; no_renewal[me] = 0; renewed[me] = 0; changed[me] = 0; vacant[me] = 0; since[me] = 0;
    order[me] = 0; ordered[me] = 0; no_offer[me] = 0; no_claim[me] = 0; no_quiet[me] = 0; trouble[me] = 0; offering_for[me] = 0; gone[me] = 0;
    stopping[me] = 0; reboot_wanted[me] = 0; reboot[me] = 0; asking[me] = 0; took[me] = 0;
    quiet[me] = 0; silent[me] = 0; yielding[me] = 0;
    saving[me] = 0; saving_epoch[me] = 0;
    fresh[me] = 0; agrees[me] = 0; fresh[other] = 0; obeyed[me] = 0;
    spent[me] = file_next[me];
    disk_next[me] = 0;
    epoch[me] = file_epoch[me]
}

/* What is asked from now on; a grant that was not used is burnt. */
inline right()
{
#ifdef WITNESS
    want = NOTHING;
    if
    :: SERVING && !(acked[me] <= 1 || no_renewal[me] > 0) -> want = KEEPS
    :: !SERVING && !IN(RELEASING) && (!PEER_IS_HEARD || PATIENCE_IS_OUT) ->
        want = (VACANCY_AGREED || VACANCY_LASTS || (IN(PASSIVE) && TAKEOVER_RIPE) -> CLAIMS : WATCHES)
    :: else
    fi;
    if
    :: !SERVING && granted[me] == disk_next[me] && disk_next[me] > 0 && (want != CLAIMS || !CLAIM_GRANTED) ->
        epoch[me] = MAX(epoch[me], disk_next[me]);
        spent[me] = MAX(spent[me], disk_next[me]);
        disk_next[me] = 0
    :: else
    fi;
    if /* another question: what was seen before counts no more */
    :: want != asks[me] && !((want == WATCHES || want == CLAIMS) && (asks[me] == WATCHES || asks[me] == CLAIMS)) ->
        watched[me] = 0;
        denied[me] = 0
    :: else
    fi;
    asks[me] = want
#else
    skip
#endif
}

/* witnessd, if it reaches the witness. The arbiter's last word counts, as long as the arbiter is there. */
inline ask_witness()
{
#ifdef WITNESS
    vouched[me] = (vouched[me] && SERVING && !PEER_IS_HEARD && granted[me] != epoch[me]);
    heard_for[me] = (PEER_IS_HEARD -> MAX(heard_for[me], 1) : 0);
    if
    :: !reached[me] || !arbiter[me] || asks[me] == NOTHING
    :: else ->
        if
        :: asks[me] == KEEPS && w_epoch > epoch[me] -> denied[me] = 1
        :: asks[me] == KEEPS && w_epoch <= epoch[me] -> win(epoch[me])
        :: asks[me] == CLAIMS && watched[me] > ISOLATION + 1 && w_epoch < disk_next[me] -> win(disk_next[me])
        :: else
        fi;
        watched[me] = MAX(watched[me], 1);
        if
        :: !SERVING && w_epoch > epoch[me] && w_epoch != granted[me] -> epoch[me] = w_epoch
        :: else
        fi
    fi
#else
    skip
#endif
}

inline win(e)
{
    w_epoch = e;
    granted[me] = e;
    grant_age[me] = 0;
    denied[me] = 0;
    watched[other] = MIN(watched[other], 1) /* it has changed */
}

inline decide()
{
    if
    :: starting[me] -> forget_arbiter(); fresh[me] = looked[me]
    :: else
    fi;
    was_phase = phase[me];
    was_offer = offer[me];
    was_prefers = prefers[me];
    was_asking = asking[me];
    was_quiet = (quiet[me] > 0);
    role_age[me] = 0;
    if /* a lease that ended before anything renewed it */
    :: SERVING && lapsed[me] == 0 && lease[me] == 0 && took[me] -> lapsed[me] = 1; no_renewal[me] = 0
    :: else
    fi;
    saved();
    if
    :: !SERVING && p_epoch[me] > epoch[me] -> epoch[me] = p_epoch[me]
    :: else
    fi;
    upkeep();
    number_change();
    rows = 0;
    do
    :: rows < 8 ->
        hit = false;
        table();
        upkeep();
        number_change();
        rows = (hit -> rows + 1 : 8)
    :: else -> break
    od;
    if
    :: SERVING && lapsed[me] == 0 && looked[me] -> lease[me] = MAX(lease[me], MIN(LEASE, RIGHT_LEFT))
    :: else
    fi;
    took[me] = SERVING;
    right();
    save()
}

/* ---------------------------------------------------------- the other daemons */

inline release_plane() { plane[me] = 0; gate[me] = 0; mute[me] = 0; t_silent[me] = 0; t_state[me] = RELEASED; t_lease[me] = 0 }

inline obey()
{
    if
    :: !arbiter[me] || stopped[me] || stuck[me]
    :: else ->
        if
        :: SERVING && lapsed[me] == 0 && lease[me] > 0 && !refuses[me] ->
            /* I6: no address goes up under an epoch that is on no disk. */
            assert(file_next[me] >= epoch[me]);
            plane[me] = 1;
            gate[me] = (GATE -> lease[me] : 0);
            mute[me] = (quiet[me] > 0);
            t_silent[me] = mute[me];
            t_state[me] = HOLDING;
            t_epoch[me] = epoch[me];
            t_lease[me] = lease[me]
        :: SERVING && lapsed[me] == 0 && lease[me] > 0 && refuses[me] ->
            plane[me] = plane[me] && partly[me];
            gate[me] = (GATE && plane[me] -> lease[me] : 0);
            mute[me] = plane[me] && quiet[me] > 0;
            t_silent[me] = mute[me];
            t_state[me] = (plane[me] -> PARTIAL : FAILED);
            t_epoch[me] = epoch[me];
            t_lease[me] = lease[me]
        :: !(SERVING && lapsed[me] == 0) -> release_plane()
        :: else
        fi;
        obeyed[me] = 1
    fi
}

/* superviserd: who gives the role away ends them (mend), who serves starts them. Who takes back what it gave away
 * must not run them beside the peer. */
inline run_exclusive()
{
    assert(!(HAS_EXCLUSIVE && IN(ACTIVE) && !yielding[me] && !exclusive[me] && exclusive[other]) || EXCUSED);
    exclusive[me] = (HAS_EXCLUSIVE && power[me] && SERVING && (!yielding[me] || exclusive[me]))
}

/* Both see the other's heartbeat of its last turn, if it has a heartbeatd that runs. */
inline listen()
{
    looked[me] = 1;
    if
    :: power[other] && !frozen[other] && !stopped[other] && !cut[other] && !lost[other] ->
        heard[me] = 0;
        if
        :: knows[other] -> linked_at[me] = 0; acked[me] = MIN(acked[me], hearing[me])
        :: else
        fi;
        hearing[other] = (HAS_WITNESS -> 1 : 0); /* it was sent a tick ago, at most */
        knows[me] = 1;
        if
        :: SERVES(phase[other]) && t_lease[other] > 0 && role_age[other] < LEASE -> backed[me] = 0
        :: else
        fi;
        if
        :: !fresh[me] -> changed[me] = 0
        :: else
        fi;
        p_phase[me] = phase[other];
        p_epoch[me] = epoch[other];
        p_next[me] = (no_claim[other] > 0 || stuck[other] -> 0 : disk_next[other]);
        p_prefers[me] = prefers[other];
        p_released[me] = released[other];
        p_silent[me] = silent[other];
        p_lease[me] = (t_lease[other] > 0 && t_state[other] != FAILED);
        p_offer[me] = offer[other];
        p_fit[me] = (trouble[other] == 0);
        p_network[me] = network[other];
        proof[me] = (network[me] -> 0 : MIN(proof[me] + 1, 2));
        p_service[me] = service[other];
        p_arbiter[me] = (role_age[other] < LEASE);
        if
        :: arbiter[me] -> fresh[me] = 1; agrees[me] = (fresh[other] && linked_at[other] < TAKEOVER && knows[other])
        :: else
        fi
    :: else
    fi;
    lost[other] = 0
}

/* Who holds does not ask. */
inline search()
{
    if
    :: plane[me] && lapsed[me] == 0 && SERVING -> answered[me] = 0; clear_for[me] = 0; silent_asked[me] = 0
    :: else ->
        answered[me] = (!arp_cut && ANSWERS(other));
        clear_for[me] = (answered[me] -> 0 : clear_for[me]);
        silent_asked[me] = !answered[me]
    fi
}

inline turn()
{
    looked[me] = 0;
    if
    :: power[me] && !frozen[me] ->
        if
        :: !stopped[me] -> listen(); search()
        :: else
        fi;
        if
        :: arbiter[me] && !stopped[me] -> ask_witness(); decide()
        :: else
        fi;
        obey();
        run_exclusive()
    :: else
    fi
}

/* What was being written is lost. */
inline kill_arbiter()
{
    arbiter[me] = 0;
    saving[me] = 0;
    saving_epoch[me] = 0
}

inline start_arbiter()
{
    arbiter[me] = 1;
    starting[me] = 1
}

inline power_off()
{
    power[me] = 0;
    arbiter[me] = 0;
    stopped[me] = 0;
    frozen[me] = 0;
    stuck[me] = 0;
    forget_arbiter();
    release_plane();
    exclusive[me] = 0;
    t_epoch[me] = 0; t_bad[me] = 0; epoch[me] = 0; spent[me] = 0; looked[me] = 0;
    granted[me] = 0; grant_age[me] = ISOLATION; acked[me] = ISOLATION; hearing[other] = ISOLATION; denied[me] = 0; asks[me] = 0;
    watched[me] = 0; vouched[me] = 0; heard_for[me] = 0; out[me] = 0; together[me] = 0; was_alive[me] = 0;
    knows[me] = 0; knows[other] = 0; heard[me] = TAKEOVER; linked_at[me] = TAKEOVER; backed[me] = TAKEOVER; counting[me] = 0;
    clear_for[me] = 0; silent_asked[me] = 0; answered[me] = 0; lost[me] = 0;
    p_phase[me] = 0; p_epoch[me] = 0; p_next[me] = 0; p_prefers[me] = 0; p_released[me] = 0; p_lease[me] = 0;
    p_offer[me] = 0; p_fit[me] = 0; p_network[me] = 0; p_service[me] = 0; p_arbiter[me] = 0; p_silent[me] = 0
}

#define WAIT_LESS(age, most) age = (age < (most) -> age + 1 : (most))

/* A tick passes on a node. */
inline pass_time()
{
    WAIT_LESS(heard[me], TAKEOVER); WAIT_LESS(linked_at[me], TAKEOVER); WAIT_LESS(backed[me], TAKEOVER);
    WAIT_LESS(counting[me], SEARCH); WAIT_LESS(clear_for[me], SEARCH); WAIT_LESS(changed[me], TAKEOVER);
    WAIT_LESS(since[me], HANDOVER + STOP_TIMEOUT); WAIT_LESS(role_age[me], LEASE); WAIT_LESS(renewed[me], CLAIM);
    WAIT_LESS(vacant[me], OLD);
#ifdef WITNESS
    WAIT_LESS(acked[me], ISOLATION); WAIT_LESS(hearing[me], ISOLATION); WAIT_LESS(grant_age[me], ISOLATION);
    watched[me] = (watched[me] > 0 && watched[me] <= ISOLATION + 1 -> watched[me] + 1 : watched[me]);
    heard_for[me] = (heard_for[me] > 0 && heard_for[me] <= OLD -> heard_for[me] + 1 : heard_for[me]);
#endif
#ifdef ISOLATE
    out[me] = (network[me] -> 0 : MIN(out[me] + 1, OUT_MOST));
    together[me] = (network[me] || ALIVE -> false : together[me] || (heard[me] == TAKEOVER && was_alive[me] && out[me] > 0 && out[me] < OUT_MOST));
    was_alive[me] = ALIVE;
#endif
    lapsed[me] = (lapsed[me] > 0 && lapsed[me] <= HANDOVER -> lapsed[me] + 1 : lapsed[me]);
    quiet[me] = (quiet[me] > 0 && quiet[me] <= HANDOVER + STOP_TIMEOUT -> quiet[me] + 1 : quiet[me]);
    ordered[me] = (order[me] == 0 -> 0 : MIN(ordered[me] + 1, HANDOVER));
    SOONER(no_renewal[me]); SOONER(no_offer[me]); SOONER(no_claim[me]); SOONER(no_quiet[me]); SOONER(gone[me]); SOONER(lease[me]);
    gate[me] = (gate[me] > 0 && !frozen[me] -> gate[me] - 1 : gate[me]); /* the kernel's timers stand still with the machine */
    if /* takeoverd's own timer */
    :: !frozen[me] && !stuck[me] && plane[me] && t_lease[me] <= 1 -> release_plane()
    :: else -> SOONER(t_lease[me])
    fi;
    if
    :: SERVES(phase[me]) && !(t_state[me] == HOLDING && t_lease[me] > 0) && !(t_state[me] == PARTIAL) -> WAIT_LESS(t_bad[me], LEASE + 1)
    :: else -> t_bad[me] = 0
    fi;
    counting[me] = (stopped[me] || frozen[me] -> 0 : counting[me])
}

/* -------------------------------------------------------------------- the judge */

inline judge()
{
    /* Where no heartbeat passes and nobody serves, both may claim at once, and who did is not heard; nor is who
     * claimed in a partition, when the search alone passes again: until each has heard the
     * other answer (a session that is new to the peer takes a round trip). */
    dark = (PARTITIONED || (HEARTBEATS_CUT && !ANSWERS(0) && !ANSWERS(1)) ||
            (dark && !(linked_at[0] == 0 && linked_at[1] == 0))) && !HAS_WITNESS;
    partition_ago = (!HAS_WITNESS && (PARTITIONED || dark) -> 0 : partition_ago);
    assert(!(ANSWERS(0) && ANSWERS(1)) || EXCUSED); /* I1, I2, R9 */
    assert(!(plane[0] && released[0] && arbiter[0] && power[0] && !SERVES(phase[0]))); /* I7 */
    assert(!(plane[1] && released[1] && arbiter[1] && power[1] && !SERVES(phase[1])))
}

#ifdef TELL /* `pan -r` tells the story of a trail */
#define PRINT(k) printf("%d%d%d%d ph %d ep %d next %d pl %d t %d/%d lease %d lapsed %d heard %d link %d clear %d agr %d fr %d pref %d rel %d trb %d vac %d noo %d noc %d| ", \
    power[k], arbiter[k], stopped[k], frozen[k], phase[k], epoch[k], disk_next[k], plane[k], t_state[k], t_lease[k], lease[k], \
    lapsed[k], heard[k], linked_at[k], clear_for[k], agrees[k], fresh[k], prefers[k], released[k], trouble[k], vacant[k], no_offer[k], no_claim[k])
#define STORY printf("cut %d%d arp %d net %d%d ref %d%d part %d dark %d calm %d\n 0: ", cut[0], cut[1], arp_cut, network[0], network[1], refuses[0], refuses[1], partition_ago, dark, calm); \
    PRINT(0); printf("\n 1: "); PRINT(1); printf("\n")
#else
#define STORY skip
#endif

#define ALL_WELL (faults == 0 && power[0] && power[1] && arbiter[0] && arbiter[1] && !stopped[0] && !stopped[1] && \
    !frozen[0] && !frozen[1] && !stuck[0] && !stuck[1] && !cut[0] && !cut[1] && !arp_cut && network[0] && network[1] && service[0] && service[1] && \
    reached[0] && reached[1] && !refuses[0] && !refuses[1] && !stopping[0] && !stopping[1])

/* I3: left alone for long enough, exactly one serves. */
inline judge_calm()
{
    calm = (ALL_WELL -> MIN(calm + 1, CALM) : 0);
    assert(calm < CALM || (ANSWERS(0) + ANSWERS(1) == 1 && (phase[0] == ACTIVE) + (phase[1] == ACTIVE) == 1 &&
                           ANSWERS(0) == (phase[0] == ACTIVE)))
}

/* --------------------------------------------------------------------- the world */

inline mend()
{
    do
    :: cut[0] -> cut[0] = 0
    :: cut[1] -> cut[1] = 0
    :: arp_cut -> arp_cut = 0
    :: !reached[0] -> reached[0] = 1
    :: !reached[1] -> reached[1] = 1
    :: stopped[0] -> stopped[0] = 0
    :: stopped[1] -> stopped[1] = 0
#ifdef EXCLUSIVE
    :: exclusive[0] && yielding[0] -> exclusive[0] = 0
    :: exclusive[1] && yielding[1] -> exclusive[1] = 0
#endif
    :: stuck[0] -> stuck[0] = 0
    :: stuck[1] -> stuck[1] = 0
    :: frozen[0] -> frozen[0] = 0; freeze_ago = (plane[0] -> 0 : freeze_ago)
    :: frozen[1] -> frozen[1] = 0; freeze_ago = (plane[1] -> 0 : freeze_ago)
    :: !network[0] -> network[0] = 1
    :: !network[1] -> network[1] = 1
    :: !service[0] -> service[0] = 1
    :: !service[1] -> service[1] = 1
    :: refuses[0] -> refuses[0] = 0
    :: refuses[1] -> refuses[1] = 0
    :: !power[0] -> d_step { me = 0; power[me] = 1; start_arbiter() }
    :: !power[1] -> d_step { me = 1; power[me] = 1; start_arbiter() }
    :: power[0] && !arbiter[0] -> d_step { me = 0; start_arbiter() }
    :: power[1] && !arbiter[1] -> d_step { me = 1; start_arbiter() }
    :: break
    od
}

/* At most one of them in a tick. */
inline go_wrong()
{
    if
    :: true
#ifdef ONEWAY
    :: faults > 0 && !cut[0] -> cut[0] = 1; faults--
    :: faults > 0 && !cut[1] -> cut[1] = 1; faults--
#endif
#ifdef NETWORK
    :: faults > 0 && !cut[0] && !cut[1] -> cut[0] = 1; cut[1] = 1; faults--
    :: faults > 0 && !arp_cut -> arp_cut = 1; faults--
    :: faults > 0 && !arp_cut && !cut[0] && !cut[1] -> arp_cut = 1; cut[0] = 1; cut[1] = 1; faults--
#endif
#ifdef DENIAL
    :: faults > 0 && !arp_cut && !cut[0] && !cut[1] && reached[0] && reached[1] && phase[0] == ACTIVE ->
        arp_cut = 1; cut[0] = 1; cut[1] = 1; reached[0] = 0; faults--
    :: faults > 0 && !arp_cut && !cut[0] && !cut[1] && reached[0] && reached[1] && phase[1] == ACTIVE ->
        arp_cut = 1; cut[0] = 1; cut[1] = 1; reached[1] = 0; faults--
#endif
#if defined(WITNESS) && !defined(DENIAL)
    :: faults > 0 && reached[0] -> reached[0] = 0; faults--
    :: faults > 0 && reached[1] -> reached[1] = 0; faults--
    :: faults > 0 && reached[0] && reached[1] -> reached[0] = 0; reached[1] = 0; faults--
#endif
#ifdef ISOLATE
    :: faults > 0 && network[0] && !arp_cut && !cut[0] && !cut[1] ->
        network[0] = 0; arp_cut = 1; cut[0] = 1; cut[1] = 1; reached[0] = !HAS_WITNESS; faults--
    :: faults > 0 && network[1] && !arp_cut && !cut[0] && !cut[1] ->
        network[1] = 0; arp_cut = 1; cut[0] = 1; cut[1] = 1; reached[1] = !HAS_WITNESS; faults--
#endif
#ifdef LOSS
    :: faults > 0 && !lost[0] -> lost[0] = 1; faults--
    :: faults > 0 && !lost[1] -> lost[1] = 1; faults--
#endif
#ifdef PROCESSES
    :: faults > 0 && power[0] -> d_step { me = 0; power_off(); faults-- }
    :: faults > 0 && power[1] -> d_step { me = 1; power_off(); faults-- }
    :: faults > 0 && power[0] && arbiter[0] -> d_step { me = 0; kill_arbiter(); faults-- }
    :: faults > 0 && power[1] && arbiter[1] -> d_step { me = 1; kill_arbiter(); faults-- }
    :: faults > 0 && power[0] && !stopped[0] -> stopped[0] = 1; faults--
    :: faults > 0 && power[1] && !stopped[1] -> stopped[1] = 1; faults--
    :: faults > 0 && power[0] && !frozen[0] -> frozen[0] = 1; faults--
    :: faults > 0 && power[1] && !frozen[1] -> frozen[1] = 1; faults--
#endif
#ifdef TROUBLES
    :: faults > 0 && network[0] -> network[0] = 0; faults--
    :: faults > 0 && network[1] -> network[1] = 0; faults--
    :: faults > 0 && service[0] -> service[0] = 0; faults--
    :: faults > 0 && service[1] -> service[1] = 0; faults--
    :: faults > 0 && !refuses[0] -> refuses[0] = 1; partly[0] = 0; faults--
    :: faults > 0 && !refuses[1] -> refuses[1] = 1; partly[1] = 0; faults--
    :: faults > 0 && !refuses[0] -> refuses[0] = 1; partly[0] = 1; faults--
    :: faults > 0 && !refuses[1] -> refuses[1] = 1; partly[1] = 1; faults--
#endif
#ifdef STUCK
    :: faults > 0 && power[0] && !stuck[0] -> stuck[0] = 1; faults--
    :: faults > 0 && power[1] && !stuck[1] -> stuck[1] = 1; faults--
#endif
#ifdef ORDERS
    :: faults > 0 && arbiter[0] && phase[0] == ACTIVE -> order[0] = SWITCH; ordered[0] = 0; faults--
    :: faults > 0 && arbiter[1] && phase[1] == ACTIVE -> order[1] = SWITCH; ordered[1] = 0; faults--
    :: faults > 0 && arbiter[0] -> order[0] = STOP; stopping[0] = 1; faults--
    :: faults > 0 && arbiter[1] -> order[1] = STOP; stopping[1] = 1; faults--
    :: faults > 0 && arbiter[0] && !SERVES(phase[0]) -> order[0] = BY_HAND; ordered[0] = 0; faults--
    :: faults > 0 && arbiter[1] && !SERVES(phase[1]) -> order[1] = BY_HAND; ordered[1] = 0; faults--
#endif
    fi
}

/* A node that was stopped ends once it has let go; one that restarts itself is off for a while. */
inline ends()
{
    if
    :: power[0] && (reboot[0] && phase[0] == PASSIVE || stopping[0] && phase[0] <= PASSIVE && !plane[0]) ->
        d_step { me = 0; power_off() }
    :: power[1] && (reboot[1] && phase[1] == PASSIVE || stopping[1] && phase[1] <= PASSIVE && !plane[1]) ->
        d_step { me = 1; power_off() }
    :: true
    fi
}

inline start(k)
{
    me = k;
    network[me] = 1; service[me] = 1; reached[me] = 1;
    acked[me] = ISOLATION; hearing[me] = ISOLATION; grant_age[me] = ISOLATION;
    heard[me] = TAKEOVER; linked_at[me] = TAKEOVER; backed[me] = TAKEOVER;
    power[me] = 1;
    role_age[me] = LEASE;
    start_arbiter()
}

init
{
    d_step { start(0); start(1); power[1] = 0; arbiter[1] = 0; starting[1] = 0; partition_ago = 3; freeze_ago = LEASE + 3; by_hand_ago = 5 }
    do
    :: epoch[0] >= EPOCHS || epoch[1] >= EPOCHS -> break
    :: else ->
       go_wrong();
       ends();
       mend();
       skip;
       d_step {
           me = 0;
           if
           :: power[me] -> pass_time()
           :: else
           fi;
           me = 1;
           if
           :: power[me] -> pass_time()
           :: else
           fi;
           WAIT_LESS(partition_ago, 3); WAIT_LESS(by_hand_ago, 5); WAIT_LESS(freeze_ago, LEASE + 3);
           judge()
       }
       if
       :: first = 0
       :: first = 1
       fi;
       d_step {
           me = first;
           turns = 0;
           do
           :: turns < 2 -> turn(); judge(); me = 1 - me; turns++
           :: else -> break
           od;
           judge_calm();
           first = 0;
           STORY
       }
    od
}
