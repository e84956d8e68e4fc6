#include "superviserd/restarts.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

void restarts_print(const struct restarts *restarts, char text[static STATEFILE_MAX])
{
    snprintf(text, STATEFILE_MAX, "row %" PRId64 "\nlast %" PRId64 "\ncause %s\n", restarts->row,
             restarts->last_s, restarts->cause);
}

int restarts_parse(const char *text, struct restarts *restarts)
{
    int end = 0;

    *restarts = (struct restarts){0};
    const int n = sscanf(text, "row %9" SCNd64 "\nlast %15" SCNd64 "\ncause %127[^\n]%n", &restarts->row,
                         &restarts->last_s, restarts->cause, &end);
    const bool whole = n == 3 && strcmp(text + end, "\n") == 0 && restarts->row >= 1 && restarts->last_s >= 0;
    if (!whole)
        *restarts = (struct restarts){0};
    return whole ? 0 : -EBADMSG;
}

static int64_t since_last_ns(const struct restarts *restarts, int64_t now_s)
{
    return MAX(now_s - restarts->last_s, 0) * NS_PER_S;
}

int64_t restarts_row(const struct restarts *restarts, const char *cause, int64_t now_s)
{
    const bool same = restarts->row > 0 && strcmp(restarts->cause, cause) == 0;

    return same && since_last_ns(restarts, now_s) < RESTARTS_CALM_NS ? restarts->row : 0;
}

int64_t restarts_wait_ns(const struct restarts *restarts, const char *cause, int64_t now_s)
{
    const int64_t row = restarts_row(restarts, cause, now_s);

    if (row == 0)
        return 0;
    return MAX(backoff_ns(RESTARTS_PAUSE_NS, row, RESTARTS_PAUSE_MAX_NS) - since_last_ns(restarts, now_s), 0);
}

void restarts_count(struct restarts *restarts, const char *cause, int64_t now_s)
{
    restarts->row = restarts_row(restarts, cause, now_s) + 1;
    restarts->last_s = now_s;
    text_copy(restarts->cause, sizeof restarts->cause, cause);
}
