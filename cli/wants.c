#include "cli/wants.h"

#include <stdlib.h>
#include <string.h>

#include "common/model.h"

enum { WANTS_UNKNOWN = 255 };

static int find_daemon(const char *name)
{
    for (int i = 0; i < MODEL_DAEMONS; i++)
        if (strcmp(model_daemons[i], name) == 0)
            return i;
    return -1;
}

static bool is_wanted(const struct config *config, size_t daemon)
{
    struct model *model AUTO_FREE = calloc(1, sizeof *model);

    if (!model)
        return true;
    model_expect(model, config);
    const bool wanted = model_wants(model, daemon);
    model_clear(model);
    return wanted;
}

int wants_command(struct invocation *invocation)
{
    const struct options *options = &invocation->options;
    const int daemon = invocation->argc == 1 ? find_daemon(invocation->argv[0]) : -1;
    struct config *config;

    if (daemon < 0) {
        command_error(invocation, "needs the name of one of duet's daemons, such as syncd");
        return WANTS_UNKNOWN;
    }
    if (config_read(options->config, options->node, stderr, &config) < 0)
        return WANTS_UNKNOWN;
    const bool wanted = is_wanted(config, (size_t)daemon);
    config_free(config);
    if (!wanted)
        printf("%s has nothing to do by this configuration\n", invocation->argv[0]);
    return wanted ? COMMAND_DONE : COMMAND_REFUSED;
}
