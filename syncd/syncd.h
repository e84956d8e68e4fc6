/* syncd: files and databases, from the active to the passive node, all the time (DESIGN §8).
 *
 * What a *set* is made of: a tree (index), a source (reads and watches), a replica (receives), for databases
 * a snapshot. The source works while this node is active, the replica while it is passive; the tree is the
 * other's view of the same thing: on the active node what the peer holds, on the passive one what is on its
 * disk.
 *
 * How the two nodes agree (exchange.c): both say HELLO with their role; when each has answered the other's,
 * both tell their sets (SET). The active one then compares each set with the peer's (compare.c), sends
 * generations (sender.c), and hears what became of them. Whatever goes wrong on the way ends in the same
 * place: the sets are compared again. So there is one way to be right, and it is used all the time. */
#pragma once
#include "common/daemon.h"
#include "syncd/batch.h"
#include "syncd/child.h"
#include "syncd/hash.h"
#include "syncd/lineage.h"
#include "syncd/link.h"
#include "syncd/paths.h"
#include "syncd/replica.h"
#include "syncd/snapshot.h"
#include "syncd/source.h"
#include "syncd/tree.h"

enum {
    CREDIT_BYTES = 8 << 20, /* of batches under way, or not yet written by the receiver */
    PART_BYTES = 8 << 20,   /* of a first sync that are applied together */
    UNANSWERED_MAX = 2,     /* generations of a set sent and not yet applied */
    ASKED_MAX = 16,         /* questions of a comparison under way */
    PENDING_MAX = 4096,     /* messages of a set that wait for a switch; credit keeps them far below */
};

struct syncd;

/* Where a set is, on the active node. */
enum set_stage {
    SET_UNREADY, /* its own scan has not ended, or the peer has not told its set */
    SET_COMPARING,
    SET_READY,   /* nothing under way */
    SET_SENDING, /* between BEGIN and COMMIT */
    SET_WAITING, /* after a failure: until `again_ns` */
    SET_REFUSED, /* the peer's `validate` said no: until something changes here */
};

/* A generation that was sent and is not applied yet. */
struct sent {
    struct sync_log_entry entry;
    bool whole;
    int64_t oldest_ns; /* since when the oldest change in it waited */
};

/* Sending of one set (active node). */
struct sending {
    struct digest *digest;             /* of the generation under way */
    struct sync_generation generation; /* the one under way */
    struct sync_generation base;       /* what the peer has when that arrives */
    bool told;                         /* BEGIN was sent */
    uint64_t part_bytes;               /* of operations in it so far */
    bool first;                        /* the first one after a comparison: sent even if empty */
    bool partial;                      /* of a first sync */
    bool urgent;                       /* `sync now`, or a drain: everything that waits is due */
    bool with_snapshot;                /* it reads the latest snapshot; the next one may then be made */
    bool last;                         /* no more operations will follow in this generation */
    int64_t oldest_ns;                 /* since when the oldest change in it waited */
    int64_t lacking_since_ns; /* the peer may lack changes from then on, which comparing finds; 0: none */
    bool unsure;              /* nobody knows since when: it was before this role began */
    uint8_t *raw;             /* SYNC_RAW_MAX: operations not yet sent, for want of credit */
    size_t raw_size;
    int unanswered;
    struct sent sent[UNANSWERED_MAX + 1]; /* the oldest first */
};

/* Comparing of one set (active node): what is still to be asked, and how much is under way. */
struct comparing {
    struct sync_hash groups[SYNC_FANOUT];  /* the peer's */
    struct sync_hash buckets[SYNC_FANOUT]; /* of `group` */
    bool groups_known, buckets_known;
    int group, bucket; /* the next ones to look at */
    int asked;         /* answers that are still to come */
    uint64_t differing;
    struct paths different;      /* found so far */
    struct compare_bucket *open; /* buckets whose entries are coming in */
    struct compare_file *files;  /* big ones whose block hashes are wanted */
};

/* Receiving of one set (passive node). */
struct receiving {
    bool begun;     /* between BEGIN and COMMIT */
    bool failed;    /* what still comes of this generation is ignored */
    bool switching; /* replica_switch() has more to do */
    bool restore;   /* the active node takes back an old generation */
    int64_t restore_until_ns;
    bool whole;
    struct child *validating, *applying;
    bool apply_again;
    int64_t restore_again_ns; /* `restore` of the copy that is here has not succeeded: when it is tried; 0: it
                                 has */
    int restore_failures;
    struct sync_generation generation;
    uint64_t files, bytes;                  /* as BEGIN announced */
    struct pending *pending, **pending_end; /* messages that came while switching or validating */
    size_t pending_count;
};

/* An old generation that the active node asked for (passive node). */
struct restoring {
    bool on, last;
    struct sync_generation wanted, number; /* the one asked for; the number under which it travels */
    size_t raw_size;
};

/* The tree as it was last written to the disk, and as it was last seen. */
struct saved_tree {
    struct sync_hash hash, seen;
    bool known;
    int64_t at_ns, seen_ns, cost_ns;
};

struct set {
    struct syncd *syncd;
    const struct config_sync *config;
    uint16_t number; /* in the configuration, and in this node's HELLO */
    struct tree *tree;
    struct source *source;
    struct replica *replica;
    struct snapshot *snapshot;     /* of a database or dump; else NULL */
    char directory[PATH_MAX - 64]; /* its own, below STATE */
    char snapshot_path[PATH_MAX], received_path[PATH_MAX], tree_path[PATH_MAX], stage_view[PATH_MAX];
    char switch_lock[PATH_MAX], conflicts[PATH_MAX];
    const char **roots; /* where the entries are on this node */
    size_t root_count;
    const char *snapshot_root; /* of a database: the copy */
    bool snapshot_waits;       /* a new one is to be read */
    struct sync_hash roots_hash;
    struct lineage lineage;
    char lineage_path[PATH_MAX];
    bool learned;            /* the scan that the role began with has ended */
    bool had_role;           /* since the start */
    bool known;              /* the tree was brought up to the disk since the start */
    bool source_open;        /* there is something to read: of a database, a first snapshot */
    bool time_due;           /* of a database that has settled: its time may have to be what the peer has */
    struct sync_hash before; /* its content as the peer has it, and the time */
    int64_t before_mtime_ns;
    struct saved_tree saved_tree;

    /* what the peer told */
    bool peer_told;
    bool answer_due; /* passive: its SET is not answered yet */
    struct sync_log_entry peer_log[SYNC_LOG_MAX];
    size_t peer_log_count;
    struct sync_generation peer_generation;
    struct sync_hash peer_tree;
    uint64_t peer_entries;
    bool peer_whole;
    bool same_configuration;
    int64_t heard_ns; /* the latest message about it */
    bool all_new;     /* the peer has nothing of this set */

    enum set_stage stage;
    int64_t again_ns; /* SET_WAITING */
    int failures;     /* in a row: the pause grows */
    struct comparing comparing;
    struct sending sending;
    struct receiving receiving;
    struct restoring restoring;
    int64_t position_saved_ns;
    struct sync_log_entry log[SYNC_LOG_MAX]; /* generations that the peer has applied, the newest first */
    size_t log_count;

    /* what is told */
    uint64_t done_bytes;                 /* of the generation under way */
    int64_t began_ns;                    /* when it began; 0 = none */
    int64_t as_of_ns;                    /* passive: the active node's changes up to then are here */
    int64_t arrived_ns;                  /* passive: the message in hand */
    uint64_t behind_files, behind_bytes; /* passive: as the active node last told */
    int64_t behind_since_ns;
    char trouble[192]; /* the latest that a person should know of; empty: none */
    char trouble_of_snapshot[192], untaken[192];
    bool refused; /* a generation was refused by `validate` */
    char verify_text[192];
    int64_t verified_ns;
    bool verified_equal;
    struct verifying *verifying;
};

struct syncd {
    struct daemon daemon;
    struct hasher *hasher;
    uint8_t hash_key[SYNC_KEY_BYTES];
    bool key_asked; /* passive: the active node was asked for its hash key, in this session */
    struct link *link;
    struct set *sets;
    size_t set_count;

    bool role_known, active, draining;
    int64_t looked_ns; /* draining: what had changed by then was looked for */
    uint64_t epoch;

    bool line_works;                /* as heartbeatd says */
    bool up;                        /* the link */
    uint64_t session, peer_session; /* of the HELLOs; 0 = none yet */
    bool agreed;                    /* each has answered the other's */
    bool peer_active;
    uint64_t peer_epoch;
    struct set *peer_sets[SYNC_SETS_MAX]; /* by the peer's number */

    uint64_t counter; /* of the last generation made or received */
    int64_t credit;   /* bytes of batches that may still be sent */
    struct loop_source *work, *second;
    size_t turn; /* whose turn it is to send or switch */
    bool forced; /* the role was claimed by force: the data is whole because the operator says so */
    struct loop_source *publish_timer;
    bool publish_due;
    int64_t published_ns;
    struct packer *packer;
    uint8_t *packed;   /* SYNC_MESSAGE_MAX, for one message */
    uint8_t *squeezed; /* SYNC_RAW_MAX, for a batch compressed */
    uint8_t *unpacked; /* SYNC_RAW_MAX */
};

/* set.c: 0 or a negative errno (logged). */
int sets_open(struct syncd *syncd);
void sets_close(struct syncd *syncd);
/* The role changed: sources begin or end, positions are taken. */
void set_role(struct set *set);
/* The set's data went through this epoch, and those that the peer told of. */
void set_add_lineage(struct set *set, uint64_t epoch);
void set_save_tree(struct set *set, bool always);
/* Text for the log, the topic and people; empty: over. Logged once. */
PRINTF_LIKE(2, 3) void set_trouble(struct set *set, const char *format, ...);

/* exchange.c */
void exchange_up(void *syncd);
void exchange_down(void *syncd, const char *why);
void exchange_message(void *syncd, const uint8_t *bytes, size_t size);
void exchange_restart(struct syncd *syncd); /* the role changed: HELLO again */
/* Active: tells the set as soon as it is learned; the peer answers with its own, which is then compared. */
void exchange_tell_set(struct set *set);
/* Passive: answers the active node's SET, once nothing is under way here. */
void exchange_answer_set(struct set *set);
void exchange_tell_lag(struct set *set);
/* Sends; -EAGAIN etc. as link_send(). Fills header.session and header.set (`set` may be NULL). */
int exchange_send(struct syncd *syncd, struct set *set, struct sync_message *message);
bool exchange_is_sender(
    const struct syncd *syncd); /* active, agreed with a passive peer of no higher epoch */
bool exchange_is_receiver(
    const struct syncd *syncd); /* passive, agreed with an active peer of no lower epoch */

/* rekey.c */
/* Passive: a set of the active node's does not fit to this node's. */
void rekey_ask(struct syncd *syncd);
void rekey_message(struct syncd *syncd, struct sync_bytes key);

/* compare.c */
void compare_begin(struct set *set);
void compare_hashes(struct set *set, const struct sync_message *message);
void compare_entries(struct set *set, const struct sync_message *message);
void compare_blocks(struct set *set, const struct sync_message *message);
void compare_conclude(struct set *set); /* what differs is dirty */
void compare_end(struct set *set);      /* forgets what is under way */

/* sender.c */
void sender_begin_role(struct set *set); /* what the peer has is not known before the first comparison */
void sender_reset(struct set *set);      /* the exchange began anew */
void sender_compared(struct set *set);
bool sender_work(struct set *set, int64_t now_ns); /* one step; true: there is more to do at once */
int64_t sender_due_ns(const struct set *set);      /* 0: nothing waits */
void sender_ack(struct set *set, const struct sync_message *message);
/* Since when the oldest change waits that the peer has not applied; 0 = none. */
int64_t sender_oldest_ns(const struct set *set);
bool sender_is_sure(const struct set *set); /* the peer lacks nothing that is older than that */
/* Once a second: an answer that does not come for two minutes was lost. */
void sender_check(struct set *set, int64_t now_ns);
void sender_again(struct set *set, const char *why); /* compare again, after a pause that grows */

/* restore.c */
int restore_ask(struct set *set, struct sync_generation generation); /* 0, or -EBUSY */
void restore_arrived(struct set *set);
void restore_failed(struct set *set, struct sync_bytes text);
void restore_asked(struct set *set, struct sync_generation generation);
bool restore_work(struct set *set);

/* receiver.c */
void receiver_apply_command(struct set *set);
void receiver_reset(struct set *set);
void receiver_begin_role(struct set *set);
void receiver_check(struct set *set, int64_t now_ns); /* once a second */
void receiver_doubt(
    struct set *set); /* the active node was not heard: what it has changed since is not known */
void receiver_finish(struct set *set);               /* before this node serves */
void receiver_rest(struct set *set, int64_t now_ns); /* each second */
void receiver_message(struct set *set, const struct sync_message *message, const uint8_t *bytes, size_t size);
bool receiver_work(struct set *set, int64_t now_ns);
void receiver_answer(struct set *set, const struct sync_message *message); /* ASK */

/* publish.c */
int publish_open(struct syncd *syncd);
void publish_soon(struct set *set);
void publish_all(struct syncd *syncd);

/* orders.c */
void orders_command(void *syncd, const struct command_message *command, struct bus_answer *answer);

/* verify.c */
void verify_end(struct set *set);
void verify_begin(struct set *set, bool asked_by_peer);
bool verify_work(struct set *set);
void verify_message(struct set *set, const struct sync_message *message);

void remove_tree(const char *path); /* rm -rf; what cannot be removed stays */

/* main.c */
void syncd_work_soon(struct syncd *syncd);
void syncd_close(void *syncd);
