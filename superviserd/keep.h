/* keep: what is kept of the kernel's own crash records, and under which names. Pure.
 *
 * At most KEEP_FILES of them, each of at most KEEP_FILE_SIZE bytes (of a longer one its end, where the crash
 * is), and KEEP_SIZE bytes in all; the oldest make room. */
#pragma once
#include "common/base.h"
#include "common/blackbox_files.h"

enum { KEEP_FILES = 64, KEEP_FILE_SIZE = 256 << 10, KEEP_SIZE = 4 << 20 };

/* "000016-dmesg-ramoops-0" of a record's name, whatever that is, and the number of the boot that it is from.
 * `again` > 0 tells it from others of the same name: "000016-dmesg-ramoops-0.2". Returns `kept`. */
const char *keep_name(uint32_t number, const char *name, unsigned again, char kept[static BLACKBOX_NAME_MAX]);

/* The number in such a name; -1 if it is none. */
int64_t keep_number(const char *kept);

/* How many of the `count` oldest must go before one of `size` bytes comes. `sizes` are in the order of age.
 */
size_t keep_room(const uint64_t sizes[], size_t count, uint64_t size);
