/* config_file: the SNMP configuration file that duet.conf names, as it lies on the disk. */
#pragma once
#include "trapd/directives.h"

/* Reads and parses it. The number of mistakes, each told to `problem`; or a negative errno, told as well
 * (line 0). The file is refused (-EACCES) where others can write to it, since it says to whom this node
 * talks. */
int config_file_read(const char *path, struct directives *directives, directive_problem *problem,
                     void *userdata);
