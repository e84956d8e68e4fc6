/* Any bytes as a configuration: no crash, no leak, an error told for each refusal, and what is accepted stays
 * within the bounds that its users rely on. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/config_compare.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_accepted(const struct config *config)
{
    assert(config->channel_count >= 1 && config->channel_count <= CONFIG_CHANNELS_MAX);
    assert(config->service_count <= CONFIG_SERVICES_MAX && config->route_count <= CONFIG_ROUTES_MAX);
    assert(config->timers.takeover_after >= 2 * config->timers.heartbeat_interval);
    assert(config->timers.address_lease >= 2 * config->timers.heartbeat_interval);
    assert(strcmp(config->nodes[0].name, config->nodes[1].name) != 0);
    assert(config->reboot_command.count > 0 &&
           config->reboot_command.items[config->reboot_command.count] == NULL);
    for (size_t i = 0; i < config->channel_count; i++) {
        assert(config->channels[i].device[0] != '\0' && config->channels[i].active.count > 0);
        assert(config->channels[i].routers.count <= CONFIG_ROUTERS_MAX);
    }
    char why[CONFIG_REFUSAL_MAX];
    assert(config_can_reload(config, config, why));
    FILE *nowhere = fopen("/dev/null", "we");
    assert(nowhere && config_list_changes(config, config, nowhere) == 0);
    fclose(nowhere);
    for (size_t i = 0; i < config->route_count; i++)
        assert(config->routes[i].channel >= 0 && config->routes[i].channel < (int)config->channel_count);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1), *errors = NULL;
    size_t errors_size;
    struct config *config;

    memcpy(text, data, size);
    text[size] = '\0';
    FILE *out = open_memstream(&errors, &errors_size);
    const int r = config_read_text("f", text, size % 2 ? "alpha" : NULL, out, &config);
    fclose(out);
    assert((r == 0) == (config != NULL));
    if (r == 0)
        check_accepted(config);
    else
        assert(strncmp(errors, "f:", 2) == 0);
    config_free(config);
    free(errors);
    free(text);
    return 0;
}
