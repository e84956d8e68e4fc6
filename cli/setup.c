#include "cli/setup.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <limits.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/check_config.h"
#include "cli/keygen.h"
#include "cli/setup_plan.h"

struct setup {
    struct invocation *invocation;
    struct setup_plan plan;
    const char *file; /* the configuration to be made */
    char directory[PATH_MAX], key[PATH_MAX], draft[PATH_MAX];
    bool made_key;
};

/* ---------------------------------------------------------- this machine */

/* "192.0.2.1/24" is among the addresses of `device` (NULL: of any). */
static bool has_address(const struct ifaddrs *all, const char *device, const char *wanted)
{
    char text[INET6_ADDRSTRLEN];
    const size_t length = strcspn(wanted, "/+");

    for (const struct ifaddrs *at = all; at; at = at->ifa_next) {
        if (!at->ifa_addr || (device && strcmp(at->ifa_name, device) != 0))
            continue;
        const int family = at->ifa_addr->sa_family;
        const void *bytes =
            family == AF_INET ? &((const struct sockaddr_in *)(const void *)at->ifa_addr)->sin_addr
            : family == AF_INET6
                ? (const void *)&((const struct sockaddr_in6 *)(const void *)at->ifa_addr)->sin6_addr
                : NULL;
        if (bytes && inet_ntop(family, bytes, text, sizeof text) && strlen(text) == length &&
            strncmp(text, wanted, length) == 0)
            return true;
    }
    return false;
}

static void look_at_channel(const struct setup_channel *channel, size_t node, const struct ifaddrs *all)
{
    const char *device = channel->device[node];

    if (if_nametoindex(device) == 0) {
        printf("missing   %s: there is no adapter %s on this machine\n", channel->name, device);
        return;
    }
    if (!has_address(all, device, channel->passive[node]))
        printf("missing   %s: %s does not have %s; have the system set it up\n", channel->name, device,
               channel->passive[node]);
    if (has_address(all, NULL, channel->active))
        printf("too much  %s: this machine has %s already; the system must not set it up\n", channel->name,
               channel->active);
}

/* What the system still has to do, if this machine is one of the nodes. */
static void look_around(const struct setup *setup)
{
    const struct setup_plan *plan = &setup->plan;
    struct ifaddrs *all = NULL;
    size_t node = 0;

    while (node < SETUP_NODES && strcmp(plan->node[node], setup->invocation->options.node) != 0)
        node++;
    if (node == SETUP_NODES) {
        printf("missing   this machine is called %s, which is neither %s nor %s: change its name, or give "
               "--node\n",
               setup->invocation->options.node, plan->node[0], plan->node[1]);
        return;
    }
    if (getifaddrs(&all) < 0)
        return;
    if (!has_address(all, NULL, plan->reserved[node]))
        printf("missing   the reserved line: no adapter has %s; have the system set it up\n",
               plan->reserved[node]);
    for (size_t i = 0; i < plan->channel_count; i++)
        look_at_channel(&plan->channels[i], node, all);
    freeifaddrs(all);
}

/* ----------------------------------------------------------------- files */

static int make_places(struct setup *setup)
{
    const char *slash = strrchr(setup->file, '/');
    char whole[PATH_MAX];

    if (!slash || slash == setup->file || strlen(setup->file) >= sizeof whole - 16) {
        command_error(setup->invocation, "--config needs a whole path, such as /etc/duet/duet.conf, not %s",
                      setup->file);
        return -EINVAL;
    }
    snprintf(setup->directory, sizeof setup->directory, "%.*s", (int)(slash - setup->file), setup->file);
    snprintf(setup->draft, sizeof setup->draft, "%s.new", setup->file);
    snprintf(setup->key, sizeof setup->key, "%.*s/cluster.key", (int)(slash - setup->file), setup->file);
    setup->plan.key_file = setup->key;
    if (access(setup->file, F_OK) == 0) {
        command_error(setup->invocation,
                      "%s is there already, and is not overwritten; move it away, or name another "
                      "one with --config",
                      setup->file);
        return -EEXIST;
    }
    if (mkdir(setup->directory, 0750) < 0 && errno != EEXIST) {
        command_error(setup->invocation, "cannot make %s: %s", setup->directory, strerror(errno));
        return -errno;
    }
    return 0;
}

static int write_draft(const struct setup *setup)
{
    char text[SETUP_TEXT_MAX];

    if (setup_plan_print(&setup->plan, text) < 0) {
        command_error(setup->invocation, "these are too many words for one configuration");
        return -ENOSPC;
    }
    const int fd AUTO_CLOSE = open(setup->draft, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0640);
    const ssize_t size = (ssize_t)strlen(text);
    if (fd < 0 || write(fd, text, (size_t)size) != size || fsync(fd) < 0) {
        command_error(setup->invocation, "cannot write %s: %s", setup->draft, strerror(errno));
        return -EIO;
    }
    return 0;
}

static int make_key(struct setup *setup)
{
    if (access(setup->key, F_OK) == 0)
        return 0;
    if (keygen(setup->key) != COMMAND_DONE)
        return -EIO;
    setup->made_key = true;
    return 0;
}

/* Takes back what was made, since it is refused. */
static void give_up(const struct setup *setup)
{
    unlink(setup->draft);
    if (setup->made_key)
        unlink(setup->key);
}

static int make_files(struct setup *setup)
{
    int r = write_draft(setup);

    if (r == 0)
        r = make_key(setup);
    if (r == 0 && check_config(setup->draft, NULL) != COMMAND_DONE) {
        command_error(setup->invocation,
                      "what was asked for does not pass the check: see above; nothing is kept");
        r = -EINVAL;
    }
    if (r == 0 && rename(setup->draft, setup->file) < 0) {
        command_error(setup->invocation, "cannot rename %s: %s", setup->draft, strerror(errno));
        r = -errno;
    }
    if (r < 0)
        give_up(setup);
    return r;
}

static void tell_next(const struct setup *setup)
{
    const char *self = setup->invocation->options.node;
    const char *peer = setup->plan.node[strcmp(setup->plan.node[0], self) == 0];

    printf("\nmade      %s and %s\n\n", setup->file, setup->made_key ? setup->key : "(the key was there)");
    look_around(setup);
    printf("\nNext, on a way that you trust, the same for the other node:\n\n"
           "    tar -C %s -cpf - %s cluster.key | ssh root@%s 'mkdir -p %s && tar -C %s -xpf -'\n\n"
           "and on both nodes:\n\n    systemctl enable --now duet.target\n",
           setup->directory, strrchr(setup->file, '/') + 1, peer, setup->directory, setup->directory);
}

int setup_command(struct invocation *invocation)
{
    struct setup setup = {.invocation = invocation, .file = invocation->options.config};
    char error[SETUP_ERROR_MAX];

    setup.plan.cluster = "gate";
    setup.plan.profile = "lan";
    if (command_take_value(invocation, "--cluster", &setup.plan.cluster) < 0 ||
        command_take_value(invocation, "--profile", &setup.plan.profile) < 0)
        return COMMAND_USAGE;
    if (setup_plan_parse(&setup.plan, invocation->argv, (size_t)invocation->argc, error) < 0) {
        command_error(invocation, "%s", error);
        return COMMAND_USAGE;
    }
    if (make_places(&setup) < 0 || make_files(&setup) < 0)
        return COMMAND_REFUSED;
    tell_next(&setup);
    return COMMAND_DONE;
}
