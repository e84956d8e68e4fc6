/* process: this program again, with one argument, at the other end of a socket that keeps messages whole.
 * Implemented in linux_process.c. */
#pragma once
#include "common/base.h"

struct process {
    int pid; /* 0: none */
    int socket;
};

/* 0 or a negative errno. It gets nothing of this process but the socket, as descriptor 0. */
int process_start(const char *argument, struct process *process);
int process_socket(const struct process *process);
/* 0; -EAGAIN; or another negative errno: it is gone. */
int process_send(const struct process *process, const void *bytes, size_t size);
/* The size; 0: it is gone; or a negative errno. */
long process_receive(const struct process *process, void *bytes, size_t room);
/* Ends it, and waits for that: it does not take long, since it is killed. */
void process_end(struct process *process);
