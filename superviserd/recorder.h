/* recorder: keeps the black box (common/blackbox.h): what passed on the bus before the end, whatever that
 * was.
 *
 * A thread of its own hears all daemons of this node, this one included, lets the sieve (sieve.h) choose, and
 * writes into the mapped file (box.h); what decides goes to the kernel's memory, too (pmsg.h). It also
 * flushes the file within RECORDER_FLUSH of a change, says each second in the file that it lives and when it
 * last heard whom, and takes over the kernel's crash records at the start (pstore.h). So no disk ever stops
 * superviserd: what the disk holds up is the thread, which then records late, and loses only what more than a
 * thousand messages behind it.
 *
 * It takes what the bus has each RECORDER_PACE, and five times as often for a second after each change: a
 * thread that woke for each message would cost more than all the rest. So the death of superviserd itself
 * loses that much; the death of any other process loses nothing.
 *
 * Without a box (a full disk, a file system that is read-only) there is one line in the log, and all else
 * goes on. All functions ignore NULL. */
#pragma once
#include "common/daemon.h"

#define RECORDER_PACE (50 * NS_PER_MS)
#define RECORDER_FLUSH NS_PER_S

struct recorder;

/* Starts the thread for this node. Keeps `daemon` by reference. The kernel's own memory is used only where
 * the node is the whole machine (sys.h). 0 or a negative errno; the caller ends it with recorder_stop(). */
int recorder_start(const struct daemon *daemon, struct recorder **recorder);

/* Records a text of superviserd's own, such as what it is about to do to this machine. Does not block; a text
 * of more than 200 bytes is cut, and more than 16 that wait for a slow disk are dropped. */
void recorder_note(struct recorder *recorder, const char *text);

/* Takes what the bus has, and writes everything down to the disk: for the moment before a restart. Blocks
 * until it is there, for at most `timeout_ns`. 0; -ETIMEDOUT (the disk is slower; it goes on); -ENODEV (there
 * is no box); or another negative errno. */
int recorder_flush(struct recorder *recorder, int64_t timeout_ns);

/* Records that superviserd ends, flushes, and ends the thread; waits for it for at most two seconds. */
void recorder_stop(struct recorder *recorder);
