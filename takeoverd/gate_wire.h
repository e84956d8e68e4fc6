/* gate_wire: the socket on the loopback device by which the gate is told its state, and answers
 * (gate_text.h).
 *
 * Implemented in linux_gate_wire.c, by a packet socket. */
#pragma once
#include "takeoverd/gate_text.h"

/* The socket, or a negative errno. The caller closes it. */
int gate_wire_open(void);

/* Sends a frame that was made at `sent_ns`. 0 or a negative errno. */
int gate_wire_send(int fd, enum gate_state state, unsigned rung, int64_t sent_ns);

/* When the next frame that came back was sent; 0: none is there. Does not wait. */
int64_t gate_wire_hear(int fd);
