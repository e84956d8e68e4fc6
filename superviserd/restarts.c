#include "superviserd/restarts.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* No word may be empty, or it could not be read again. */
static const char *word(const char *text)
{
    return text[0] ? text : "-";
}

void restarts_print(const struct restarts *restarts, char text[static STATEFILE_MAX])
{
    snprintf(text, STATEFILE_MAX, "row %" PRId64 "\nboot %s\nat %" PRId64 "\ncause %s\n", restarts->row,
             word(restarts->boot), restarts->at_s, word(restarts->cause));
}

int restarts_parse(const char *text, struct restarts *restarts)
{
    int end = 0;

    *restarts = (struct restarts){0};
    const int n = sscanf(text, "row %9" SCNd64 "\nboot %36[^\n]\nat %15" SCNd64 "\ncause %127[^\n]%n",
                         &restarts->row, restarts->boot, &restarts->at_s, restarts->cause, &end);
    const bool whole = n == 4 && strcmp(text + end, "\n") == 0 && restarts->row >= 0 && restarts->at_s >= 0;
    if (!whole || restarts->row == 0)
        *restarts = (struct restarts){0};
    return whole ? 0 : -EBADMSG;
}

static int64_t since_last_ns(const struct restarts *restarts, const struct restarts_now *now)
{
    const bool same_boot = strcmp(restarts->boot, now->boot) == 0;

    return MAX(now->at_ns - (same_boot ? restarts->at_s * NS_PER_S : 0), 0);
}

int64_t restarts_calm_ns(const struct restarts *restarts, const struct restarts_now *now)
{
    return restarts->row == 0 ? 0 : MAX(RESTARTS_CALM_NS - since_last_ns(restarts, now), 0);
}

int64_t restarts_row(const struct restarts *restarts, const struct restarts_now *now)
{
    return restarts_calm_ns(restarts, now) > 0 ? restarts->row : 0;
}

int64_t restarts_wait_ns(const struct restarts *restarts, const struct restarts_now *now)
{
    const int64_t row = restarts_row(restarts, now);

    if (row == 0)
        return 0;
    return MAX(backoff_ns(RESTARTS_PAUSE_NS, row, RESTARTS_PAUSE_MAX_NS) - since_last_ns(restarts, now), 0);
}

void restarts_count(struct restarts *restarts, const char *cause, const struct restarts_now *now)
{
    restarts->row = restarts_row(restarts, now) + 1;
    restarts->at_s = now->at_ns / NS_PER_S;
    text_copy(restarts->boot, sizeof restarts->boot, now->boot);
    text_copy(restarts->cause, sizeof restarts->cause, cause);
}
