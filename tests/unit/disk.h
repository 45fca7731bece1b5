/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VPCFLOWD_TESTS_UNIT_DISK_H
#define VPCFLOWD_TESTS_UNIT_DISK_H

/*
 * A disk that fails when it is told to, and a clock that can be set: linked in place of the system
 * calls that the spool makes (ld --wrap; the list is in CMakeLists.txt). Calls are safe from any
 * thread.
 */

#include <stdbool.h>
#include <stdint.h>

#define DISK_CALLS(X)                                                                              \
	X(WRITEV)                                                                                  \
	X(WRITE)                                                                                   \
	X(PWRITE)                                                                                  \
	X(FTRUNCATE)                                                                               \
	X(FDATASYNC)                                                                               \
	X(FSYNC)                                                                                   \
	X(UNLINKAT)                                                                                \
	X(RENAMEAT)                                                                                \
	X(OPENAT)

enum disk_call {
#define X(name) DISK_##name,
	DISK_CALLS(X)
#undef X
		DISK_CALL_COUNT
};

/* All is well, the clock is right, nothing is counted. */
void disk_reset(void);
/* The call fails so many times from now on, without doing anything. */
void disk_fail(enum disk_call call, int error, unsigned times);
unsigned disk_count(enum disk_call call);
/* writev(2) finds room for so many octets more, then the disk is full; UINT64_MAX for no end. */
void disk_room(uint64_t octets);
/* fdatasync(2) waits while this holds; disk_wait_for_sync returns once one does. */
void disk_hold(bool hold);
void disk_wait_for_sync(void);
/*
 * From now on every change is said to be made, and none is: what is there stays as a process leaves
 * it that is killed here.
 */
void disk_cut(bool cut);
/* So many octets of a file were there when fdatasync(2) was last called for it. */
uint64_t disk_synced(const char *path);
void disk_set_clock(int64_t seconds_ahead);

#endif
