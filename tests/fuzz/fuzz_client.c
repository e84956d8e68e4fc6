/* Any bytes as the client's configuration, as an answer to an echo request, and as a line of wg's: no crash,
 * no leak, an error told for each refusal, and what is accepted stays within the bounds that its users rely
 * on. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "client/config.h"
#include "client/echo.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_profile(const struct client_config *config, size_t i)
{
    const struct client_profile *profile = &config->profiles[i];
    const struct roam_profile_rule *rule = &config->rules.profiles[i];
    const uint64_t known = (UINT64_C(1) << config->rules.gateway_count) - 1;

    assert(profile->name[0] != '\0' && profile->route_count <= CLIENT_ROUTES_MAX);
    assert(profile->up.count + profile->run.count + profile->route_count > 0);
    assert(((rule->gateways | rule->inside) & ~known) == 0 && rule->connect_timeout > 0);
    for (size_t r = 0; r < profile->route_count; r++)
        assert(profile->routes[r].count == profile->unroutes[r].count && profile->routes[r].count >= 7);
}

static void check_accepted(const struct client_config *config)
{
    assert(config->rules.profile_count >= 1 && config->rules.profile_count <= ROAM_PROFILES_MAX);
    assert(config->rules.gateway_count <= ROAM_GATEWAYS_MAX);
    assert(config->first >= 0 && (size_t)config->first < config->rules.profile_count);
    assert(config->rules.order_count <= config->rules.profile_count && config->rules.failures >= 1);
    assert((config->page.family == 0) == (config->page_port == 0));
    for (size_t i = 0; i < config->rules.profile_count; i++)
        check_profile(config, i);
    for (size_t i = 0; i < config->rules.gateway_count; i++) {
        const struct client_gateway *gateway = &config->gateways[i];
        assert(gateway->timeout <= gateway->interval && gateway->timeout > 0);
        assert(gateway->address.family != 0 || gateway->command.count > 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1), *errors = NULL;
    size_t errors_size;
    struct client_config *config;

    memcpy(text, data, size);
    text[size] = '\0';
    FILE *out = open_memstream(&errors, &errors_size);
    const int r = client_config_read_text("f", text, out, &config);
    fclose(out);
    assert((r == 0) == (config != NULL));
    if (r == 0)
        check_accepted(config);
    else
        assert(strncmp(errors, "f:", 2) == 0);
    client_config_free(config);
    assert(handshake_of_line(text, "") >= 0 && handshake_of_line(text, "KEY=") >= 0);
    echo_is_answer(size % 2, data, size, 0);
    free(errors);
    free(text);
    return 0;
}
