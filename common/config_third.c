/* The sections witness and fence: who else is asked before a claim in the dark. */
#include <stdio.h>
#include <string.h>

#include "common/config_private.h"

static void check_endpoint(struct reader *reader, int line, const char *url)
{
    const char *host = strncmp(url, "http://", 7) == 0    ? url + 7
                       : strncmp(url, "https://", 8) == 0 ? url + 8
                                                          : NULL;

    if (!host || host[0] == '\0' || strpbrk(host, "/ @?#"))
        config_refuse(reader, line,
                      "endpoint \"%s\" is no address of etcd; write such as \"https://192.0.2.7:2379\"", url);
}

static void check_credentials(struct reader *reader, cfg_t *witness)
{
    const struct config *config = reader->config;
    const struct value user = config_value_of(witness, "user"),
                       password = config_value_of(witness, "password-file");
    bool clear = false;

    for (size_t i = 0; i < config->witness.endpoints.count; i++)
        clear = clear || strncmp(config->witness.endpoints.items[i], "http://", 7) == 0;
    if ((user.text == NULL) != (password.text == NULL))
        config_refuse(reader, user.text ? user.line : password.line,
                      "user and password-file belong together; add the one that is missing");
    else if (user.text && clear)
        config_warn(reader, user.line,
                    "the password goes to etcd in clear text; write https:// endpoints, and ca-file");
}

static void build_witness(struct reader *reader)
{
    struct config *config = reader->config;
    cfg_t *witness = config_single_section(reader, "witness");

    if (!witness)
        return;
    const struct value kind = config_value_of(witness, "kind");
    snprintf(config->witness.key, sizeof config->witness.key, "/duet/%s", config->cluster);
    config_take_strings(reader, witness, "endpoint", &config->witness.endpoints);
    config_take_text(reader, witness, "key", config->witness.key, sizeof config->witness.key);
    config_take_path(reader, witness, "ca-file", config->witness.ca_file, PATH_MAX);
    config_take_text(reader, witness, "user", config->witness.user, sizeof config->witness.user);
    config_take_path(reader, witness, "password-file", config->witness.password_file, PATH_MAX);
    if (kind.text && strcmp(kind.text, "etcd") != 0)
        config_refuse(reader, kind.line, "kind \"%s\" of a witness is not known; write kind = etcd",
                      kind.text);
    if (config->witness.endpoints.count == 0)
        config_refuse(reader, config_section_line(witness),
                      "witness has no endpoint; add endpoint = {\"https://192.0.2.7:2379\"}");
    for (size_t i = 0; i < config->witness.endpoints.count; i++)
        check_endpoint(reader, config_value_of(witness, "endpoint").line, config->witness.endpoints.items[i]);
    check_credentials(reader, witness);
}

static void build_fence(struct reader *reader)
{
    struct config *config = reader->config;
    cfg_t *fence = config_single_section(reader, "fence");

    if (!fence)
        return;
    config->fence.timeout = 30 * NS_PER_S;
    config_take_command(reader, fence, "command", &config->fence.command);
    config_take_duration(reader, fence, "timeout", NS_PER_MS, &config->fence.timeout);
    if (config->fence.command.count == 0)
        config_refuse(reader, config_section_line(fence),
                      "fence has no command; add one that ends the other node's power, such as command = "
                      "{\"fence_ipmilan\", \"-a\", \"192.0.2.8\", …}");
}

void config_build_third_parties(struct reader *reader)
{
    build_witness(reader);
    build_fence(reader);
}
