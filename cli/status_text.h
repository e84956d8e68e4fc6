/* status_text: the model as a compact picture for people: who serves since when and why, then everything that
 * this rests on, then what is wrong. */
#pragma once
#include "common/model.h"
#include "cli/text.h"

void status_text(const struct paper *paper, const struct model *model, const char *cluster, int64_t now_ns);
