/* loop: one thread, one event loop a daemon, on sd-event, whose types stay behind this header.
 *
 * All callbacks get the `userdata` given with them and run in the order in which things happen; none may
 * block. Sources live as long as the loop, unless removed. Timers are absolute CLOCK_BOOTTIME and one-shot;
 * how late the latest one ran is measured, because a daemon that was held up must know it (DESIGN R5, R12).
 */
#pragma once
#include <sys/types.h>

#include "common/base.h"

struct loop;
struct loop_source;

typedef void loop_fd_handler(void *userdata, int fd, unsigned events); /* events: EPOLLIN, EPOLLOUT, … */
typedef void loop_timer_handler(void *userdata, int64_t now_ns);
typedef void loop_signal_handler(void *userdata, int signal);
typedef void loop_zmq_handler(void *userdata, void *socket);

/* 0 or a negative errno; the caller frees with loop_free(). */
int loop_new(struct loop **loop);
void loop_free(struct loop *loop);

/* Turns until loop_exit(); returns its code, or a negative errno. */
int loop_run(struct loop *loop);
void loop_exit(struct loop *loop, int code);

/* One turn: waits at most `timeout_ns` for something to happen and handles it. For tools that wait for one
 * thing after the other; daemons use loop_run(). 0, or a negative errno. */
int loop_turn(struct loop *loop, int64_t timeout_ns);

/* The loop does not own `fd`. `source` may be NULL where it is never removed. 0 or a negative errno. */
int loop_add_fd(struct loop *loop, int fd, unsigned events, loop_fd_handler *handler, void *userdata,
                struct loop_source **source);

/* A timer that is not yet set. */
int loop_add_timer(struct loop *loop, loop_timer_handler *handler, void *userdata,
                   struct loop_source **source);
void loop_set_timer(struct loop_source *source,
                    int64_t at_ns); /* one-shot; a past time runs at the next turn */
void loop_stop_timer(struct loop_source *source);

/* Blocks the signal for the process and handles it in the loop. Call before threads are started. */
int loop_add_signal(struct loop *loop, int signal, loop_signal_handler *handler, void *userdata);

/* Calls the handler while `socket` has a message to take, at most 64 times a turn so that nothing else
 * starves. The handler must take exactly one message. ZMQ_FD is edge-triggered and any zmq call may swallow
 * its edge (see zmq_getsockopt(3)), so the socket's state is asked again before each sleep. `source` may be
 * NULL where it is never removed; it is removed before the socket is closed, and not by its own handler. */
int loop_add_zmq(struct loop *loop, void *socket, loop_zmq_handler *handler, void *userdata,
                 struct loop_source **source);

/* For sockets that are used all the time: the loop is told of calls outside the handler, and asks before the
 * next sleep only. Call it after the last setting, and then after each other call for the socket. */
void loop_zmq_used(struct loop_source *source);

void loop_remove(struct loop_source *source); /* NULL is ignored */

/* The sd_event beneath, for sd-bus to be attached to; nothing else. */
struct sd_event *loop_event(struct loop *loop);

/* Longest delay of a timer since the last call with `reset`, in microseconds. */
int64_t loop_late_us_max(struct loop *loop, bool reset);
