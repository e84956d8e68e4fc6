/* trapd-tables: the tables of DUET-MIB, for snmpd. Started by trapd. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/log.h"
#include "trapd/tables.h"

int main(int argc, char **argv)
{
    struct options options;
    const int left = options_parse(&options, argc, argv);

    if (left < 0)
        return EXIT_FAILURE;
    if (left > 1) {
        fprintf(stderr, "%s: unknown argument %s; known are --config, --node, --run-dir, --state-dir\n",
                argv[0], argv[1]);
        return EXIT_FAILURE;
    }
    log_open("trapd", options.node);
    return tables_run(&options);
}
