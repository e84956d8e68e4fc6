/* files: copying and removing what lies in directories, without ever following a symlink. */
#pragma once
#include "common/base.h"

/* The bytes of one file into another, empty one: by sharing its blocks where the file system can; holes stay
 * holes. 0 or a negative errno. */
int file_copy(int from, int to);

/* An entry with its attributes and, of a directory, all below it. `to` must not be there. Sockets, devices
 * and FIFOs in it are left out. */
int entry_copy(int from, const char *name, int to, const char *to_name);
/* Another name of a file or symlink; a copy where that cannot be. */
int entry_link(int from, const char *name, int to, const char *to_name);
/* Renames; copies and removes across file systems. */
int entry_move(int from, const char *name, int to, const char *to_name);
/* Removes with all below it; 0 if it is not there. */
int entry_erase(int directory, const char *name);

int file_write(int fd, const void *bytes, size_t size, uint64_t offset);
/* The disk begins with what lies there, so that making it durable later takes less long; promises nothing. */
void file_write_out(int fd, uint64_t offset, uint64_t size);
/* Fewer bytes than asked for, at the end of the file: their number. */
long file_read(int fd, void *bytes, size_t size, uint64_t offset);
/* Zeros, given back to the file system where it can. */
int file_zero(int fd, uint64_t offset, uint64_t size);
