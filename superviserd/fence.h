/* fence: runs the command that makes sure of the peer's end, when arbiterd asks for it, and tells how it ended. */
#pragma once
#include "common/daemon.h"

struct fence;

/* 0 or a negative errno. Where none is configured, nothing happens ever. */
int fence_new(struct daemon *daemon, struct fence **fence);

/* One attempt for each number that `role` shows. One that is not wanted any more still comes to its end. */
void fence_role(struct fence *fence, const struct role_message *role);
