#include <stdio.h>
#include <string.h>

#include "cli/blackbox.h"
#include "cli/check_config.h"
#include "cli/command.h"
#include "cli/drill.h"
#include "cli/events.h"
#include "cli/handover.h"
#include "cli/import.h"
#include "cli/keygen.h"
#include "cli/orders.h"
#include "cli/reload.h"
#include "cli/run.h"
#include "cli/setup.h"
#include "cli/status.h"
#include "cli/sync.h"
#include "cli/wants.h"
#include "cli/why.h"

static int check_config_command(struct invocation *invocation)
{
    const char *file = invocation->argc > 0 ? invocation->argv[0] : invocation->options.config;

    if (invocation->argc > 1) {
        command_error(invocation, "takes one file, not %d", invocation->argc);
        return COMMAND_USAGE;
    }
    /* The file may be of a pair that this host is no part of. */
    return check_config(file, invocation->is_node_given ? invocation->options.node : NULL);
}

static int keygen_command(struct invocation *invocation)
{
    const bool monitor = command_take_flag(invocation, "--monitor");
    const bool client = command_take_flag(invocation, "--client");

    if (monitor && client) {
        command_error(invocation, "takes --monitor or --client, not both");
        return COMMAND_USAGE;
    }
    if (invocation->argc != 1) {
        command_error(invocation, "needs the name of the file to make, such as %s",
                      monitor  ? "/etc/duet/monitor"
                      : client ? "grafana"
                               : "/etc/duet/cluster.key");
        return COMMAND_USAGE;
    }
    return monitor || client ? keygen_pair(invocation->argv[0], client) : keygen(invocation->argv[0]);
}

static command_function help_command;

static const struct {
    const char *name, *arguments, *help;
    command_function *function;
} commands[] = {
    {"setup", "nodes ... channel ...", "a first configuration and its key, checked; nothing is started",
     setup_command},
    {"run", "", "all daemons of this node in the foreground", run_command},
    {"status", "[--json|--check] [--watch]", "both nodes, and everything that the role rests on",
     status_command},
    {"why", "[N] [--json]", "the last (N-th last) change of role, from first sign to last packet",
     why_command},
    {"events", "[TOPIC...] [--json]", "what passes on the bus, as it passes", events_command},
    {"blackbox", "[--boot -N] [--json]",
     "what passed on the bus before the end of this boot, or an earlier one", blackbox_command},
    {"switch", "[--force]", "give the active role to the peer", switch_command},
    {"drill", "[--one-way] [--wait TIME]",
     "a planned failover and back, measured; refused when it would hurt", drill_command},
    {"hold", "[--for TIME]", "no change of role by itself: maintenance, for the pair", hold_command},
    {"resume", "", "end the hold", resume_command},
    {"clear", "", "a fault of this node is mended", clear_command},
    {"claim", "--force", "become active in spite of unfinished data", claim_command},
    {"reload", "[--check]", "apply a changed configuration, without touching what did not change",
     reload_command},
    {"sync", "[status|now|verify|log|rollback]", "the data that travels from the active to the passive node",
     sync_command},
    {"check-config", "[FILE]", "what is wrong in a configuration, and the times that follow from it",
     check_config_command},
    {"import", "KEEPALIVED.conf", "a configuration made of one of keepalived's", import_command},
    {"keygen", "[--monitor|--client] FILE", "make the cluster key, or a key pair of the monitor or of a tool",
     keygen_command},
    {"handover", "", "give the role away and claim it no more: before this node stops", handover_command},
    {"wants", "DAEMON", "whether the configuration gives a daemon anything to do", wants_command},
    {"help", "", "this text", help_command},
};

static int help_command(struct invocation *invocation)
{
    (void)invocation;
    puts("usage: duet COMMAND [--config FILE] [--node NAME] [--run-dir DIR] [--state-dir DIR] ...\n");
    for (size_t i = 0; i < ARRAY_LENGTH(commands); i++)
        printf("  %-13s%-27s%s\n", commands[i].name, commands[i].arguments, commands[i].help);
    puts("\nEvery command is described in duet(8).");
    return COMMAND_DONE;
}

static int refuse_unknown(const char *name)
{
    size_t nearest = 0;

    for (size_t i = 1; i < ARRAY_LENGTH(commands); i++)
        if (command_distance(name, commands[i].name) < command_distance(name, commands[nearest].name))
            nearest = i;
    fprintf(stderr, "duet: there is no command \"%s\"; did you mean \"%s\"? `duet help` lists all\n", name,
            commands[nearest].name);
    return COMMAND_USAGE;
}

static bool is_node_given(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (strncmp(argv[i], "--node", 6) == 0 && (argv[i][6] == '=' || argv[i][6] == '\0'))
            return true;
    return false;
}

int main(int argc, char **argv)
{
    struct invocation invocation = {.is_node_given = is_node_given(argc, argv)};
    const int left = options_parse(&invocation.options, argc, argv);

    if (left < 0)
        return COMMAND_USAGE;
    const char *name = invocation.name = left > 1 ? argv[1] : "help";
    invocation.argc = left > 1 ? left - 2 : 0;
    invocation.argv = argv + MIN(left, 2);
    if (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0)
        return puts("duet " DUET_VERSION) < 0;
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
        return help_command(&invocation);
    for (size_t i = 0; i < ARRAY_LENGTH(commands); i++)
        if (strcmp(name, commands[i].name) == 0) {
            const int code = commands[i].function(&invocation);
            return left > 1 ? code : COMMAND_USAGE;
        }
    return refuse_unknown(name);
}
