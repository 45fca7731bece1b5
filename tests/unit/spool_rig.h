/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VPCFLOWD_TESTS_UNIT_SPOOL_RIG_H
#define VPCFLOWD_TESTS_UNIT_SPOOL_RIG_H

/*
 * A worker with its spool and what takes payloads, between puts that a test makes and an output that
 * it opens and shuts (fake_output.h), on a disk that fails when it is told to (disk.h).
 */

#include "folder.h"

#include "disk.h"
#include "fake_output.h"
#include "receive/server.h"
#include "receive/take.h"

enum { RIG_PAYLOADS = 32, RIG_RECORDS = 6 };

/* One PUT of a payload, until its answer. */
struct rig_put {
	struct rig_put *next;
	unsigned peer;
	unsigned payload;
	struct take *take;
	struct verdict verdict;
	bool converted;
	bool answered;
	bool leaves;   /* its peer goes away once it is converted */
	int64_t since; /* by the clock */
};

struct rig {
	char folder[TEMP_PATH];
	struct config *config;
	struct worker worker;
	struct seen *seen;
	struct spool *spool;
	struct server server;
	struct rig_put *puts;			    /* of this life */
	unsigned handed[RIG_PAYLOADS][RIG_RECORDS]; /* not what was gone before it was delivered */
	bool without_flows; /* payloads have no records from here on; each is another one */
	unsigned empty_puts;
	void (*on_handed)(unsigned payload, unsigned record);
	void (*on_answer)(struct rig_put *put);
};

extern struct rig rig;

/* A new folder, and a configuration for it. */
void rig_init(void);
void rig_deinit(void);

/* A life of the process, from its start to its end. */
void rig_start(void);
/* Like a stop that has to give up on what is under way. */
void rig_end(void);
/* Like kill -9. */
void rig_crash(void);

/* How many records a payload has. */
unsigned rig_records(unsigned payload);
/* The put is the rig's, and is there until the life ends. */
struct rig_put *rig_put(unsigned peer, unsigned payload);
/* Its peer goes away. */
void rig_leave(struct rig_put *put);

/* Lets the loop work for a few rounds. */
void rig_turn(unsigned rounds);
/*
 * Until all puts have their answers and all that the outputs have room for is with them. Answers that
 * wait for delivery do not come.
 */
void rig_settle(void);
/* The same, with all that is handed over delivered too. */
void rig_settle_all(void);

#endif
