/* gate_text: the words of the gate (gate.h): the table of nftables, and the frames that open and shut it.
 *
 * The table belongs to the family netdev. For each channel it has the active addresses in a set, a chain at
 * the adapter's ingress that drops what is sent to them, and one at its egress that drops what would tell
 * others where they are (ARP from them, RFC 826; Neighbor Solicitations and Advertisements from them, RFC
 * 4861). Both let pass while a set called `held` has the element that stands for it: 1 for traffic, 2 for
 * answers. The elements time out by themselves.
 *
 * They are renewed from the path of packets, not by transactions: a frame of duet's own on the loopback
 * device, with a mark that only root can set, meets a rule that updates the elements, marks it as done and
 * lets it pass: it comes back as an echo (gate_proof.h). A rule that could not update ends before that. A
 * rule's timeout is a constant, so there are GATE_RUNGS of them, and the frame names the longest that does
 * not outlive the lease.
 *
 * Pure: text and bytes out. */
#pragma once
#include "takeoverd/plan.h"

enum gate_state {
    GATE_CLOSED,  /* nothing passes */
    GATE_TRAFFIC, /* traffic is taken, but no question for the addresses is answered */
    GATE_OPEN
};

enum {
    GATE_RUNGS = 16,
    GATE_FRAME_SIZE = 60,    /* an Ethernet frame with its header, without check sequence */
    GATE_ETHERTYPE = 0x88b5, /* IEEE 802, local experimental EtherType 1, as on the channels */
    GATE_MARK = 0x64756574,
    GATE_ECHO, /* the mark of a frame that a rule has obeyed */
};

#define GATE_TABLE "duet"

/* The highest rung whose timeout is not longer than `left_ns`, of a lease of `lease_ns`; 0: none is. */
unsigned gate_rung(int64_t left_ns, int64_t lease_ns);

/* The timeout of a rung. */
int64_t gate_rung_ns(unsigned rung, int64_t lease_ns);

/* What the frame has the kernel do: the gate is `state` from now on, for the time of `rung` (1 to
 * GATE_RUNGS; without meaning for GATE_CLOSED; GATE_TRAFFIC has a rung 0, too: answers end, and traffic ends
 * when it would have). It carries when it is sent, which its echo gives back. */
void gate_frame(enum gate_state state, unsigned rung, int64_t sent_ns, uint8_t frame[static GATE_FRAME_SIZE]);
int64_t gate_frame_sent_ns(const uint8_t frame[static GATE_FRAME_SIZE]);

/* The commands that put the table in the place of what was there, in one transaction, with the gate already
 * `state` for the time of `rung`. `devices` are the names of the channels' adapters; one whose plan->links is
 * 0 is left out. The caller frees; NULL: no memory. Device names must be such as gate_can_name() allows. */
char *gate_script(const struct plan *plan, const char *const devices[], int64_t lease_ns,
                  enum gate_state state, unsigned rung);

/* Whether the name of a device can be written in the language of nftables. */
bool gate_can_name(const char *device);
