/* memory: what the client knows after a restart: the profile that was chosen, on the disk; and which
 * connections an earlier run of this boot left up, in the run directory. */
#pragma once
#include "client/config.h"
#include "common/saver.h"

struct memory;

/* Reads both. What cannot be read is logged and counts as unknown. 0 or a negative errno. */
int memory_open(const char *state_dir, const char *run_dir, const struct client_config *config,
                struct memory **memory);
void memory_close(struct memory *memory);

/* The chosen profile, -1: none, or one that is no longer configured. */
int memory_chosen(const struct memory *memory);
/* Soon on the disk. */
void memory_choose(struct memory *memory, int profile);

/* Profiles (bits). */
uint32_t memory_left_up(const struct memory *memory);
void memory_note_up(struct memory *memory, uint32_t profiles);
